"""A text as plain data, with the place of every key and value."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from fac.diagnostics import Diagnostic, Path, Rule, Span, dotted

UNREADABLE_TEXT = Rule("FAC101", "unreadable-text")
DUPLICATE_KEY = Rule("FAC106", "duplicate-key")
EMPTY_SPEC = Rule("FAC107", "empty-spec")
UNSUPPORTED_YAML = Rule("FAC108", "unsupported-yaml")

MAX_DEPTH = 100
MAX_NODES = 200_000
MAX_INTEGER = 2**63
START = Span(1, 1, 1, 1)


@dataclass(frozen=True)
class Document:
    """Plain data and where each piece of it stands.

    `data` is made of dict, tuple, str, int, float, bool and None only. `values` and `keys` map a path to the
    span of its value and of its key; both are empty for data that never was a text. `overridden` maps paths
    that `--set` wrote to the name of that place. A text with `diagnostics` is not worth parsing further.
    """

    name: str
    text: str
    data: Mapping[str, Any]
    values: Mapping[Path, Span] = field(default_factory=dict)
    keys: Mapping[Path, Span] = field(default_factory=dict)
    diagnostics: tuple[Diagnostic, ...] = ()
    overridden: Mapping[Path, str] = field(default_factory=dict)
    mark: str = ""
    """The byte order mark before the text, if there was one."""

    @property
    def folder(self) -> pathlib.Path:
        """Where relative paths in it start: beside its file, or where the program runs if it never was one."""
        return pathlib.Path(self.name).parent

    @cached_property
    def lines(self) -> tuple[str, ...]:
        """The text by line, without line ends. Never empty."""
        return tuple(re.split(r"\r\n|\r|\n", self.text))

    @cached_property
    def _last_line(self) -> int:
        """The number of the last line with something on it."""
        return max((i for i, line in enumerate(self.lines, 1) if line.strip()), default=1)

    def span(self, diagnostic: Diagnostic) -> Span:
        """The piece of text to underline: of the key, of the value, or of the nearest ancestor that exists.

        A value that runs over lines is represented by its key, if it has one, and so are the lines below a key.
        """
        if diagnostic.span is not None:
            return self._clamped(diagnostic.span)
        path = diagnostic.path
        if diagnostic.key and path in self.keys:
            return self._clamped(self.keys[path])
        while path not in self.values:
            if not path:
                return START
            path = path[:-1]
        span = self.values[path]
        if (key := self.keys.get(path)) and (
            span.end_line > span.line or (span.line > key.line and not self.is_scalar(path))
        ):
            span = key
        return self._clamped(span)

    def is_scalar(self, path: Path) -> bool:
        """Whether neither a mapping nor a list stands at a path of the data."""
        value: Any = self.data
        for part in path:
            value = value[part]
        return not isinstance(value, dict | tuple)

    def place(self, diagnostic: Diagnostic) -> Span | str:
        """A span of the text, or the name of a place outside it: `--set update.lr=1`, `<python>:layers[0].out`."""
        if diagnostic.span is not None:
            return self.span(diagnostic)
        path = diagnostic.path
        while path not in self.values and path not in self.overridden and path:
            path = path[:-1]
        if path in self.overridden:
            return self.overridden[path]
        if not self.values:
            return f"{self.name}:{dotted(diagnostic.path)}" if diagnostic.path else self.name
        return self.span(diagnostic)

    def _clamped(self, span: Span) -> Span:
        """The span within the text: marks at the end of a file lie beyond its last character."""
        last = self._last_line

        def clamp(line: int, column: int) -> tuple[int, int]:
            if line > last:
                return last, len(self.lines[last - 1]) + 1
            return line, min(column, len(self.lines[line - 1]) + 1)

        return Span(*clamp(span.line, span.column), *clamp(span.end_line, span.end_column))


def too_deep(path: Path, span: Span | None = None) -> Diagnostic:
    """The finding for data that is nested too deep, or holds itself."""
    return replace(UNSUPPORTED_YAML.at(path, f"nested more than {MAX_DEPTH} levels deep"), span=span)


def too_many(path: Path, span: Span) -> Diagnostic:
    """The finding for more values than a spec may have, of which the one at `path` is the first too many."""
    return replace(UNSUPPORTED_YAML.at(path, f"more than {MAX_NODES:,} values"), span=span)


class UnreadableError(Exception):
    """Nothing that follows can be read: this finding stands alone."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic.message)
        self.diagnostic = diagnostic


def short(text: str) -> str:
    """The text as a message can hold it."""
    return text if len(text) <= 40 else f"{text[:37]}..."
