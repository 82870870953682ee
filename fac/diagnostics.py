"""What `fac` says to people: places, rules, findings and errors. Knows how to escape, and nothing else."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import islice

from fac.escaping import visible

Path = tuple[str | int, ...]
"""Where something stands in a spec: `("feedback", "routes", 0, "matrix", "rank")`."""

MAX_MESSAGE = 600
"""Characters. Longer ones lose their middle."""

MAX_FINDINGS = 10_000
"""Of one text. Nobody reads more, and a short text can have very many."""


class Severity(StrEnum):
    """How bad a finding is. Only errors stop a compilation."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of text: lines and columns count from 1, the end is exclusive."""

    line: int
    column: int
    end_line: int
    end_column: int


@dataclass(frozen=True, slots=True)
class Rule:
    """A kind of finding. Codes are never reused; the name reads after "allow"."""

    code: str
    name: str
    severity: Severity = Severity.ERROR

    def at(
        self,
        path: Path,
        message: str,
        *,
        help: str = "",
        key: bool = False,
        fix: Fix | None = None,
        supposes: Iterable[str] = (),
    ) -> Diagnostic:
        """A finding of this rule. `key` puts the caret under the key at `path` instead of its value."""
        return Diagnostic(self, path, plain(message), plain(help), key, fix=fix, supposes=frozenset(supposes))


@dataclass(frozen=True, slots=True)
class Edit:
    """One change of a spec: `text` in the place of the value at `path`, or of its key; None removes the entry."""

    path: Path
    text: str | None
    key: bool = False


@dataclass(frozen=True, slots=True)
class Fix:
    """What `fac check --fix` does about a finding. Only where one change is surely what was meant."""

    message: str
    edits: tuple[Edit, ...]


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding: where, what, and how to mend it. Renderers turn the path into lines and columns."""

    rule: Rule
    path: Path
    message: str
    help: str = ""
    key: bool = False
    span: Span | None = None
    """Set only where no path exists, as in text that is not YAML."""
    fix: Fix | None = None
    supposes: frozenset[str] = frozenset()
    """The arrays of whose initial values it speaks: it is silent where one starts with another."""

    def holds(self, given: Collection[str]) -> bool:
        """Whether there is something to say where these arrays start with other values."""
        return self.supposes.isdisjoint(given)


class FacError(Exception):
    """The tool could not do what was asked. `str(error)` is one clear message that names place and remedy."""

    def __init__(self, message: object = "", *lines: str) -> None:
        """Take the message, and lines that belong to it, whatever names from outside are in them."""
        super().__init__("\n  ".join(visible(str(part)) for part in (message, *lines)))


class SpecError(FacError):
    """A spec has findings that forbid going on. The findings stand in `diagnostics`."""

    def __init__(self, message: str, diagnostics: tuple[Diagnostic, ...]) -> None:
        Exception.__init__(self, message)  # lines, whose parts are escaped
        self.diagnostics = diagnostics


def first(findings: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """The findings, but not more than anybody reads: one of them says that there are more."""
    found = tuple(islice(findings, MAX_FINDINGS + 1))
    if len(found) <= MAX_FINDINGS:
        return found
    more = f"only {MAX_FINDINGS:,} findings are shown, and there are more"
    return (*found[: MAX_FINDINGS - 1], replace(found[MAX_FINDINGS - 1], help=more))


def plain(text: str) -> str:
    """The text of a message on one line of a bearable length, whatever the words from a spec in it are.

    What a terminal would not show, or what would turn the direction of a line, is written as an escape.
    """
    text = visible(text)
    if len(text) <= MAX_MESSAGE:
        return text
    head, tail = text[: MAX_MESSAGE // 2], text[-MAX_MESSAGE // 2 :]
    # Between words, where there are any.
    return f"{head.rpartition(' ')[0] or head} ... {tail.partition(' ')[2] or tail}"


def dotted(path: Path) -> str:
    """`("layers", 0, "out")` as `layers[0].out`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
