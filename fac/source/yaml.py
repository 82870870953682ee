"""YAML 1.2 to a tree of nodes. The only importer of ruamel.yaml; JSON comes through the same door.

ruamel.yaml has two parsers. The one in C is twenty times faster, and what it reads without an error is what
the other reads, places included, as long as the text holds nothing of `_ONLY_IN_PYTHON`: there the two
differ. All messages are those of the parser in Python, which reads again what the other refused.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import accumulate
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.reader import ReaderError

from fac.diagnostics import Diagnostic, Span
from fac.source.document import (
    MAX_DEPTH,
    MAX_NODES,
    START,
    UNREADABLE_TEXT,
    UnreadableError,
    too_deep,
    too_many,
)

try:
    from ruamel.yaml.cyaml import CParser  # type: ignore[attr-defined]
except ImportError:  # not built for this Python
    CParser = None

# Tabs and other separators; anchors, aliases, tags, block text, directives and `? key`; the end of a document.
_ONLY_IN_PYTHON = re.compile(r"[\t\x85\u2028\u2029]|(?:^|[\s\[\]{},:?-])[&*!|>%?]|^\.\.\.", re.MULTILINE)
SLOWNESS = 6
"""How many times as long the parser in Python takes, with all that is made of what it reads."""
_OTHER_VERSION = re.compile(r"^%YAML\b(?![ \t]+1\.2\s)", re.MULTILINE)
_KINDS = {ScalarEvent: "scalar", SequenceStartEvent: "sequence", MappingStartEvent: "mapping"}
_LINE_END = re.compile(r"\r\n|\r|\n")
_ANCHOR = re.compile(r"&[^\s\[\]{},]+\s*(?=\S)")
_BYTE_ORDER_MARK = "\ufeff"


# Line ends of YAML 1.1, which 1.2 takes for characters like others. The parsers do not, so they get to see others.
_OLD_BREAK = re.compile(r"[\x85\u2028\u2029]")
_IN_THEIR_PLACE = {0x85: 0xF0085, 0x2028: 0xF2028, 0x2029: 0xF2029}
_BACK = {placed: old for old, placed in _IN_THEIR_PLACE.items()}
_TAKEN = re.compile(r"[\U000f0085\U000f2028\U000f2029]|\\U000[fF]")


@dataclass(slots=True, eq=False)
class Node:
    """A value as it is written, before anybody asks what it means."""

    kind: str
    """`scalar`, `sequence` or `mapping`."""
    value: Any
    """The text of a scalar, the nodes of a sequence; of a mapping, keys and values by turns."""
    tag: str
    """As it is written, in its long form; empty if there is none."""
    plain: bool
    """Whether it is a scalar without quotes, which may be a number."""
    span: Span
    """Of the value alone: an anchor before it is left out."""
    empty: bool
    """Whether it is a scalar without a single character."""


def compose(text: str) -> Node | None:
    """The tree of the one value that a text holds; None if it holds none.

    Raises:
        UnreadableError: it is not YAML, or nested too deep, or too much.
    """
    if _BYTE_ORDER_MARK in text:
        message = "the character U+FEFF is not allowed in YAML"
        help = "remove it: a byte order mark stands at the start of a file only"
        raise _unreadable(message, help, _span_of_offset(text, text.index(_BYTE_ORDER_MARK)))
    if not _OLD_BREAK.search(text) or _TAKEN.search(text):
        return _parsed(text)
    root = _parsed(text.translate(_IN_THEIR_PLACE))
    for node in _scalars(root):
        node.value = node.value.translate(_BACK)
    return root


def _parsed(text: str) -> Node | None:
    if CParser is not None and not _ONLY_IN_PYTHON.search(text):
        try:
            # Without a line end the two parsers see the end of the text in different places.
            ended = text if text.endswith("\n") else f"{text}\n"
            return _composed(ended, _events(CParser(ended)))
        except (YAMLError, UnicodeEncodeError):
            pass
    if version := _OTHER_VERSION.search(text):
        message, help = "YAML versions other than 1.2 are not supported", "remove the `%YAML` line"
        raise _unreadable(message, help, _span_of_offset(text, version.start()))
    try:
        return _composed(text, YAML(typ="safe", pure=True).parse(text))
    except YAMLError as error:
        raise UnreadableError(_syntax_error(error, text)) from error


@lru_cache(maxsize=2)
def effort(text: str) -> int:
    """What it takes to read a text, in characters of one that the quick parser reads."""
    return len(text) * (SLOWNESS if CParser is None or _ONLY_IN_PYTHON.search(text) else 1)


def _events(parser: Any) -> Iterator[Any]:
    while parser.check_event():
        yield parser.get_event()


def _composed(text: str, events: Iterator[Any]) -> Node | None:
    """The tree of the nodes. It keeps its own stack, so that no depth of nesting is too much for Python's."""
    root: list[Node] = []
    open_nodes: list[Node] = []
    target = root  # where the next node goes
    anchors: dict[str, Node] = {}
    count = 0
    for event in events:
        kind = type(event)
        if kind in _KINDS:
            start, end = event.start_mark, event.end_mark
            span = Span(start.line + 1, start.column + 1, end.line + 1, end.column + 1)
            tag = "" if event.ctag is None else str(event.ctag)
            if kind is ScalarEvent:
                node = Node("scalar", event.value, tag, event.implicit[0], span, start.index == end.index)
            else:
                node = Node(_KINDS[kind], [], tag, False, span, False)
            target.append(node)
            if event.anchor is not None:
                anchors[event.anchor] = node
                node.span = _without_anchor(
                    text, start.index, end.index if kind is ScalarEvent else len(text), span
                )
            if kind is not ScalarEvent:
                target = node.value
                open_nodes.append(node)
                if len(open_nodes) > MAX_DEPTH + 1:
                    raise UnreadableError(too_deep((), span))
            count += 1
            if count > 2 * MAX_NODES:  # keys count, too
                raise UnreadableError(too_many((), span))
        elif kind is MappingEndEvent or kind is SequenceEndEvent:
            node, end = open_nodes.pop(), event.end_mark
            line, column = end.line + 1, end.column + 1
            if event.start_mark.index == end.index:  # no bracket: the mark stands before whatever comes next
                line, column = _end_of_last(node)
            node.span = Span(node.span.line, node.span.column, line, column)
            target = open_nodes[-1].value if open_nodes else root
        elif kind is AliasEvent:
            start, end = event.start_mark, event.end_mark
            span = Span(start.line + 1, start.column + 1, end.line + 1, end.column + 1)
            if event.anchor not in anchors:
                help = "define it above its first use"
                raise _unreadable(f"no anchor is called `{event.anchor}`", help, span)
            target.append(replace(anchors[event.anchor], span=span, empty=False))
        elif kind is DocumentStartEvent and root:
            help = "one file holds one spec: put the second one in a file of its own"
            raise _unreadable("a second document starts here", help, _span_of_mark(event.start_mark))
    return root[0] if root else None


def _scalars(root: Node | None) -> Iterator[Node]:
    """The scalars below a node, each once. An alias shares the list of what is in it with its anchor."""
    stack, seen = [root] if root else [], set[int]()
    while stack:
        node = stack.pop()
        if node.kind == "scalar":
            yield node
        elif id(node.value) not in seen:
            seen.add(id(node.value))
            stack += node.value


def _without_anchor(text: str, start: int, end: int, span: Span) -> Span:
    anchor = _ANCHOR.match(text, start, end)
    if anchor is None:
        return span
    lines = _LINE_END.split(anchor[0])
    line = span.line + len(lines) - 1
    column = len(lines[-1]) + (span.column if len(lines) == 1 else 1)
    return Span(line, column, span.end_line, span.end_column)


def _end_of_last(node: Node) -> tuple[int, int]:
    """Where the last character of a collection without brackets stands."""
    last = node.value[-1]
    if node.kind == "mapping" and last.empty:  # nothing behind the colon
        last = node.value[-2]
    return last.span.end_line, last.span.end_column


def _unreadable(message: str, help: str, span: Span) -> UnreadableError:
    return UnreadableError(replace(UNREADABLE_TEXT.at((), message, help=help), span=span))


def _syntax_error(error: YAMLError, text: str) -> Diagnostic:
    if isinstance(error, ReaderError):
        character = f"U+{error.character:04X}"
        return replace(
            UNREADABLE_TEXT.at((), f"the character {character} is not allowed in YAML"),
            span=_span_of_offset(text, error.position),
        )
    if not isinstance(error, MarkedYAMLError):
        return replace(UNREADABLE_TEXT.at((), f"not YAML: {_quoted(str(error))}"), span=START)
    problem, context, help = str(error.problem or ""), str(error.context or ""), ""
    mark = error.problem_mark or error.context_mark
    message = f"not YAML: {_quoted(problem)}"
    if "'\\t'" in problem:
        message, help = "a tab is not allowed here", "write spaces, both to indent and behind `:`"
    elif "mapping values are not allowed" in problem:
        message, help = "`:` is not allowed here", "quote text that holds `: `, or check the indentation"
    elif context and error.context_mark is not None and error.context_mark.line >= 0:
        help = f"{_quoted(context)} that starts on line {error.context_mark.line + 1}"
    return replace(
        UNREADABLE_TEXT.at((), message, help=help), span=START if mark is None else _span_of_mark(mark)
    )


def _quoted(text: str) -> str:
    """A message of the parser on one line, with its quotes as backticks."""
    shown = " ".join(text.split()).replace(r"\U000f", r"\u")  # see `_IN_THEIR_PLACE`
    return re.sub(r"'([^']+)'", r"`\1`", shown)


def _span_of_mark(mark: Any) -> Span:
    return Span(mark.line + 1, mark.column + 1, mark.line + 1, mark.column + 2)


def _span_of_offset(text: str, offset: int) -> Span:
    ends = list(accumulate(len(line) for line in re.split(r"(?<=\n)|(?<=\r)(?!\n)", text)))
    index = bisect_right(ends, offset)
    column = offset - (ends[index - 1] if index else 0) + 1
    return Span(index + 1, column, index + 1, column + 1)
