"""YAML 1.2 to plain data and spans. The only importer of ruamel.yaml; JSON comes through the same door."""

from __future__ import annotations

import re
import warnings
from bisect import bisect_right
from dataclasses import replace
from itertools import accumulate
from math import isfinite
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, ReusedAnchorWarning, YAMLError
from ruamel.yaml.events import CollectionEndEvent, CollectionStartEvent
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from fac.diagnostics import Diagnostic, Path, Span
from fac.source.document import (
    DUPLICATE_KEY,
    MAX_DEPTH,
    MAX_INTEGER,
    START,
    UNREADABLE_TEXT,
    UNSUPPORTED_YAML,
    TooLargeError,
    short,
    too_deep,
)

MAX_NODES = 200_000

_YAML_TAG = "tag:yaml.org,2002:"


def load(text: str) -> tuple[object, Walk]:
    """The data of one YAML value (None for an empty text), and the walk that knows places and findings."""
    walk = Walk()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ReusedAnchorWarning)  # allowed by YAML 1.2
            node = YAML(typ="safe", pure=True).compose(text)
        return (None if node is None else walk.visit(node, (), 0)), walk
    except RecursionError:
        walk.diagnostics = [_deep_place(text)]
    except TooLargeError as error:
        walk.diagnostics = [error.diagnostic]
    except YAMLError as error:
        walk.diagnostics = [_syntax_error(error, text)]
    except KeyError:  # how ruamel.yaml says that a `%YAML` line asks for a version that it does not know
        message = "YAML versions other than 1.2 are not supported"
        start = max(text.find("%YAML"), 0)
        found = UNREADABLE_TEXT.at((), message, help="remove the `%YAML` line")
        walk.diagnostics = [replace(found, span=_span_of_offset(text, start))]
    return None, walk


def _deep_place(text: str) -> Diagnostic:
    """Where the nesting passes the limit. The parser keeps its own stack; only the composer recurses."""
    depth, span = 0, START
    for event in YAML(typ="safe", pure=True).parse(text):
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if depth > MAX_DEPTH:
            span = _span(event)
            break
    return replace(too_deep(()), span=span)


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
        message, help = "a tab cannot indent YAML", "indent with spaces"
    elif "another document" in problem:
        message, help = "a second document starts here", "one file holds one spec: remove the `---`"
    elif "undefined alias" in problem:
        message, help = f"no anchor is called {_quoted(problem).split()[-1]}", "define it above its first use"
    elif "mapping values are not allowed" in problem:
        message, help = "`:` is not allowed here", "quote text that holds `: `, or check the indentation"
    elif context and error.context_mark is not None and error.context_mark.line >= 0:
        help = f"{_quoted(context)} that starts on line {error.context_mark.line + 1}"
    span = START if mark is None else Span(mark.line + 1, mark.column + 1, mark.line + 1, mark.column + 2)
    return replace(UNREADABLE_TEXT.at((), message, help=help), span=span)


def _quoted(text: str) -> str:
    """A message of the parser on one line, with its quotes as backticks."""
    return re.sub(r"'([^']+)'", r"`\1`", " ".join(text.split()))


def _span(marked: Any) -> Span:
    start, end = marked.start_mark, marked.end_mark
    return Span(start.line + 1, start.column + 1, end.line + 1, end.column + 1)


def _span_of_offset(text: str, offset: int) -> Span:
    ends = list(accumulate(len(line) for line in re.split(r"(?<=\n)|(?<=\r)(?!\n)", text)))
    index = bisect_right(ends, offset)
    column = offset - (ends[index - 1] if index else 0) + 1
    return Span(index + 1, column, index + 1, column + 1)


class Walk:
    """One walk over the node tree: builds plain data, remembers spans, refuses what a spec has no use for."""

    def __init__(self) -> None:
        self.values: dict[Path, Span] = {}
        self.keys: dict[Path, Span] = {}
        self.diagnostics: list[Diagnostic] = []
        self._open_nodes: set[int] = set()
        self._seen = 0

    def visit(self, node: Node, path: Path, depth: int) -> object:
        self.values[path] = _span(node)
        self._seen += 1
        if id(node) in self._open_nodes:  # `&x [*x]` parses: only this walk would not end
            return self._reject(path, "an alias refers to its own parent")
        # Counted while walking: aliases multiply, nine lines of text can stand for 9**9 values.
        if self._seen > MAX_NODES:
            message = f"more than {MAX_NODES:,} values"
            raise TooLargeError(replace(UNSUPPORTED_YAML.at(path, message), span=self.values[path]))
        if depth > MAX_DEPTH:
            raise TooLargeError(replace(too_deep(path), span=self.values[path]))
        if isinstance(node, ScalarNode):
            return self._scalar(node, path)
        kind = "map" if isinstance(node, MappingNode) else "seq"
        if str(node.tag) != _YAML_TAG + kind:
            return self._reject_tag(node, path)
        self._open_nodes.add(id(node))
        try:
            if isinstance(node, SequenceNode):
                return tuple(self.visit(item, (*path, i), depth + 1) for i, item in enumerate(node.value))
            return self._mapping(node, path, depth)
        finally:
            self._open_nodes.discard(id(node))

    def _mapping(self, node: Node, path: Path, depth: int) -> dict[str, object]:
        data: dict[str, object] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node, path)
            if key is None:
                continue
            place, span = (*path, key), _span(key_node)
            if key in data:
                first = self.keys[place].line
                twice = DUPLICATE_KEY.at(
                    place, f"key `{key}` is written twice", help=f"first written on line {first}", key=True
                )
                self.diagnostics.append(replace(twice, span=span))
                continue
            self.keys[place] = span
            data[key] = self.visit(value_node, place, depth + 1)
            if value_node.start_mark.index == value_node.end_mark.index:
                # Nothing is written there, and the mark may lie on a later line: the key stands for it.
                self.values[place] = span
        return data

    def _key(self, node: Node, path: Path) -> Any:
        span = _span(node)
        if not isinstance(node, ScalarNode):
            kind = "a mapping" if isinstance(node, MappingNode) else "a list"
            return self._reject(path, f"a key must be text, found {kind}", span=span)
        if str(node.tag) == _YAML_TAG + "merge":
            return self._reject(path, "merge keys are not supported", help="write the keys out", span=span)
        if not str(node.tag).startswith(_YAML_TAG):
            return self._reject_tag(node, path)
        if str(node.tag) != _YAML_TAG + "str":
            found = f"`{short(node.value)}`" if node.value else "nothing"
            help = f'write it in quotes: `"{short(node.value)}"`'
            return self._reject(path, f"a key must be text, found {found}", help=help, span=span)
        return self._text(node, path)

    def _scalar(self, node: ScalarNode, path: Path) -> object:
        text = node.value
        match str(node.tag).removeprefix(_YAML_TAG):
            case "str" | "value":
                return self._text(node, path)
            case "null":
                return None
            case "bool" if text.lower() in ("true", "false"):
                return bool(text.lower() == "true")
            case "bool":
                return self._reject(path, f"`{text}` is neither `true` nor `false`")
            case "int":
                return self._integer(text, path)
            case "float":
                return self._float(text, path)
            case "timestamp":
                help = f'for text, write it in quotes: `"{short(text)}"`'
                return self._reject(
                    path, f"`{short(text)}` is a date, and no value of a spec is one", help=help
                )
            case _:
                return self._reject_tag(node, path)

    def _text(self, node: ScalarNode, path: Path) -> Any:
        try:
            # JSON writes characters beyond the basic plane as two escapes, which YAML keeps apart.
            return str(node.value).encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            return self._reject(path, "the text holds half of a surrogate pair", span=_span(node))

    def _integer(self, text: str, path: Path) -> Any:
        digits = text.replace("_", "").lower()
        # Checked before conversion: Python refuses thousands of digits with an exception of its own.
        if len(digits) > 70 and digits.lstrip("+-").isalnum():
            return self._reject(path, f"the whole number `{short(text)}` is too large")
        try:
            value = int(digits, 0 if re.match(r"[-+]?0[box]", digits) else 10)
        except ValueError:
            return self._reject(path, f"`{short(text)}` is not a whole number")
        if abs(value) >= MAX_INTEGER:
            return self._reject(path, f"the whole number `{short(text)}` is too large")
        return value

    def _float(self, text: str, path: Path) -> Any:
        try:
            value = float(re.sub(r"\.(inf|nan)$", r"\1", text.replace("_", "").lower()))
        except ValueError:
            return self._reject(path, f"`{short(text)}` is not a number")
        return value if isfinite(value) else self._reject(path, f"`{short(text)}` is not a finite number")

    def _reject_tag(self, node: Node, path: Path) -> Any:
        tag = short(str(node.tag).replace(_YAML_TAG, "!!"))
        return self._reject(
            path, f"the tag `{tag}` is not supported", help="remove the tag", span=_span(node)
        )

    def _reject(self, path: Path, message: str, *, help: str = "", span: Span | None = None) -> Any:
        """Report, and give None: what stands in the data for a value that was refused."""
        self.diagnostics.append(replace(UNSUPPORTED_YAML.at(path, message, help=help), span=span))
