"""Plain data as YAML in many layouts, with the place of every key and value as it was written.

The places are an oracle for those that the reader finds: the writer knows where it is, the reader has to find out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from fac.diagnostics import Path, Span

Pick = Callable[[int], int]
"""`pick(n)` is one of 0, ..., n - 1; 0 is the plainest choice."""

# Text that needs no quotes anywhere: no number, no word of YAML, no punctuation.
_BARE = re.compile(r"(?!(?:true|false|null|True|False|Null|TRUE|FALSE|NULL)$)[A-Za-z_][A-Za-z0-9_.-]*")
_SINGLE = re.compile(r"[ -~]*")
_NOTES = ("# note", "#", "# fac: a: [b]", '# it\'s "quoted"', "# é 😀")


@dataclass(frozen=True)
class Layout:
    """What a writer is free to choose. Each is asked for at every place where there is a choice."""

    flow: Pick = lambda _: 0
    quote: Pick = lambda _: 0
    comment: Pick = lambda _: 0
    anchor: Pick = lambda _: 0
    number: Pick = lambda _: 0
    indent: int = 2
    as_json: bool = False
    line_end: str = "\n"


BLOCK = Layout()
FLOW = Layout(flow=lambda n: n - 1)
MIXED = Layout(flow=lambda n: n // 2)
QUOTED = Layout(quote=lambda n: n - 1)
QUOTED_FLOW = Layout(flow=lambda n: n - 1, quote=lambda n: n // 2)
COMMENTED = Layout(comment=lambda n: n - 1)
COMMENTED_FLOW = Layout(flow=lambda n: n // 2, comment=lambda n: n - 1)
WIDE = Layout(indent=5, line_end="\r\n")
JSON = Layout(flow=lambda n: n - 1, quote=lambda n: n - 1, as_json=True)
LAYOUTS = {
    "block": BLOCK,
    "flow": FLOW,
    "mixed": MIXED,
    "quoted": QUOTED,
    "quoted flow": QUOTED_FLOW,
    "commented": COMMENTED,
    "commented flow": COMMENTED_FLOW,
    "wide": WIDE,
    "JSON": JSON,
}


@dataclass
class Written:
    """A text, and where each piece of its data stands: offsets of the first character and behind the last one."""

    text: str = ""
    keys: dict[Path, tuple[int, int]] = field(default_factory=dict)
    values: dict[Path, tuple[int, int]] = field(default_factory=dict)

    def span(self, offsets: tuple[int, int]) -> Span:
        """Offsets as lines and columns."""
        places = []
        for offset in offsets:
            before = re.split(r"\r\n|\r|\n", self.text[:offset])
            places += [len(before), len(before[-1]) + 1]
        return Span(*places)


def write(data: Any, layout: Layout) -> Written:
    """The text of a mapping in a layout."""
    writer = _Writer(layout)
    if layout.as_json or not data or layout.flow(3) == 2:
        writer.flow(data, (), 0)
    else:
        writer.block(data, (), 0)
    return Written("".join(writer.parts), writer.keys, writer.values)


class _Writer:
    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.parts: list[str] = []
        self.at = 0
        self.keys: dict[Path, tuple[int, int]] = {}
        self.values: dict[Path, tuple[int, int]] = {}
        self.anchors: dict[str, str] = {}
        self.named = 0

    def put(self, text: str) -> int:
        """Write, and give the offset behind it."""
        self.parts.append(text)
        self.at += len(text)
        return self.at

    def line(self, depth: int) -> None:
        """End the line, perhaps with comments, and indent the next."""
        comment = self.layout.comment(4)
        if comment:
            self.put(f" {_NOTES[self.layout.comment(len(_NOTES))]}")
        if comment > 1:
            self.put(f"{self.layout.line_end}{' ' * self.layout.comment(8)}{_NOTES[0]}{self.layout.line_end}")
        self.put(self.layout.line_end + " " * depth)

    def block(self, data: Any, path: Path, depth: int) -> None:
        """A collection without brackets that is not empty, from its first key or dash."""
        start, end = self.at, self.at
        parts = data.items() if isinstance(data, Mapping) else enumerate(data)
        for number, (part, value) in enumerate(parts):
            if number:
                self.line(depth)
            end = self.entry(part, value, (*path, part), depth)
        self.values[path] = start, end

    def entry(self, part: str | int, value: Any, path: Path, depth: int) -> int:
        """A key and its value, or a dash and an item. Gives the offset behind it."""
        if isinstance(part, str):
            self.key(part, path)
            self.put(":")
        else:
            self.put("-")
        inline = not isinstance(value, Mapping | tuple) or not value or self.layout.flow(3)
        if value is None and self.layout.number(2):
            # Nothing is written: the key, or the dash, stands for it.
            self.values[path] = self.keys[path] if isinstance(part, str) else (self.at - 1, self.at)
            return self.values[path][1]
        if inline or self.seen(value):
            self.put(" ")
            self.anchored(value, path, depth + self.layout.indent)
        elif isinstance(part, int):
            self.put(" " * (self.layout.indent - 1))
            self.block(value, path, depth + self.layout.indent)
        else:
            # A list may stand as far to the left as its key.
            deeper = 0 if isinstance(value, tuple) and self.layout.flow(2) else self.layout.indent
            self.line(depth + deeper)
            self.block(value, path, depth + deeper)
        return self.values[path][1]

    def key(self, key: str, path: Path) -> None:
        start = self.at
        self.keys[path] = start, self.put(self.text(key))

    def seen(self, value: Any) -> bool:
        return repr(value) in self.anchors and bool(self.layout.anchor(2))

    def anchored(self, value: Any, path: Path, depth: int) -> None:
        """A value on the line of its key, perhaps with an anchor, or as an alias of an equal one.

        What is inside the value of an alias is written where its anchor is: no place of its own is kept.
        """
        if self.seen(value):
            start = self.at
            self.values[path] = start, self.put(f"*{self.anchors[repr(value)]}")
            return
        if value is not None and self.layout.anchor(4):
            self.named += 1
            name = f"a{self.named}"
            self.put(f"&{name} ")
            self.flow(value, path, depth)
            self.anchors[repr(value)] = name
            return
        self.flow(value, path, depth)

    def flow(self, value: Any, path: Path, depth: int) -> None:
        """A scalar, or a collection in brackets."""
        start = self.at
        if not isinstance(value, Mapping | tuple):
            self.values[path] = start, self.put(self.scalar(value))
            return
        mapping = isinstance(value, Mapping)
        self.put("{" if mapping else "[")
        parts = value.items() if isinstance(value, Mapping) else enumerate(value)
        for number, (part, item) in enumerate(parts):
            if number:
                self.put(",")
            if self.layout.comment(3):
                self.line(depth + self.layout.comment(5))
            elif number:
                self.put(" ")
            place = (*path, part)
            if isinstance(part, str):
                self.key(part, place)
                self.put(": ")
            self.anchored(item, place, depth)
        self.values[path] = start, self.put("}" if mapping else "]")

    def scalar(self, value: Any) -> str:
        """A value that is no collection."""
        match value:
            case str():
                return self.text(value)
            case None:
                return "null" if self.layout.as_json else ("null", "~")[self.layout.number(2)]
            case bool():
                return str(value).lower()
            case float() if not isfinite(value):
                return {"inf": ".inf", "-inf": "-.inf", "nan": ".nan"}[str(value)]
            case _:
                return str(value)

    def text(self, text: str) -> str:
        """Text, in quotes where it needs them or the layout wants them."""
        wanted = self.layout.quote(3)
        if wanted == 1 and _SINGLE.fullmatch(text):
            return "'" + text.replace("'", "''") + "'"
        if wanted or not _BARE.fullmatch(text):
            return json.dumps(text, ensure_ascii=bool(self.layout.quote(2)))
        return text
