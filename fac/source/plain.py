"""A tree of nodes as plain data, with the place of every key and value. Refuses what a spec has no use for."""

from __future__ import annotations

import re
from dataclasses import replace
from math import isfinite
from typing import Any

from fac.diagnostics import Diagnostic, Path, Span
from fac.source.document import (
    DUPLICATE_KEY,
    MAX_DEPTH,
    MAX_INTEGER,
    MAX_NODES,
    UNSUPPORTED_YAML,
    UnreadableError,
    short,
    too_deep,
    too_many,
)
from fac.source.yaml import Node, compose

_YAML_TAG = "tag:yaml.org,2002:"

# What text without quotes means in YAML 1.2, and what is a number to some reader: `_SURE` says which of them to all.
_MEANING = re.compile(
    r"""
    (?P<bool> true|True|TRUE|false|False|FALSE )
    | (?P<float>
        [-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?
        | [-+]?[0-9][0-9_]*[eE][-+]?[0-9]+
        | [-+]?\.[0-9_]+(?:[eE][-+]?[0-9]+)?
        | [-+]?\.(?:inf|Inf|INF)
        | \.(?:nan|NaN|NAN) )
    | (?P<int> (?=[-+0-9])
        (?: [-+]?0b[01_]+ | [-+]?0o?[0-7_]+ | [-+]?[0-9_]+ | [-+]?0x[0-9a-fA-F_]+ ) )
    | (?P<merge> << )
    | (?P<null> ~ | null | Null | NULL | )
    | (?P<timestamp>
        [0-9]{4}-[0-9]{2}-[0-9]{2}
        | [0-9]{4}-[0-9]{1,2}-[0-9]{1,2} (?:[Tt]|[ \t]+) [0-9]{1,2}:[0-9]{2}:[0-9]{2} (?:\.[0-9]*)?
          (?:[ \t]*(?:Z|[-+][0-9]{1,2}(?::[0-9]{2})?))? )
    """,
    re.VERBOSE,
)

# The whole numbers that are the same to the letter of YAML 1.1 and of 1.2. `010` is eight to the one and ten to the
# other, which have `0o10`, `0b11`, `-0x1f` and `1_000` for text to the other or the one.
_SURE = re.compile(r"[-+]?(?:0|[1-9][0-9]*)|0x[0-9a-fA-F]+")
_OCTAL = re.compile(r"[-+]?0[0-7]+")


def load(text: str) -> tuple[object, Walk]:
    """The data of one YAML value (None for an empty text), and the walk that knows places and findings."""
    walk = Walk()
    try:
        node = compose(text)
        return (None if node is None else walk.visit(node, (), 0)), walk
    except UnreadableError as error:
        walk.diagnostics = [error.diagnostic]
    return None, walk


class Walk:
    """One walk over the node tree: builds plain data, and remembers spans and findings."""

    def __init__(self) -> None:
        self.values: dict[Path, Span] = {}
        self.keys: dict[Path, Span] = {}
        self.diagnostics: list[Diagnostic] = []
        self._open_nodes: set[int] = set()
        self._seen = 0

    def visit(self, node: Node, path: Path, depth: int) -> object:
        """The data of a node that stands at a path."""
        self.values[path] = node.span
        self._seen += 1
        # An alias shares the list of what is in it with its anchor: `&x [*x]` parses, only this walk would not end.
        if id(node.value) in self._open_nodes:
            return self._reject(path, "an alias refers to its own parent")
        # Counted while walking: aliases multiply, nine lines of text can stand for 9**9 values.
        if self._seen > MAX_NODES:
            raise UnreadableError(too_many(path, node.span))
        if depth > MAX_DEPTH:
            raise UnreadableError(too_deep(path, node.span))
        if node.kind == "scalar":
            return self._scalar(node, path)
        if node.tag not in ("", "!", _YAML_TAG + ("map" if node.kind == "mapping" else "seq")):
            return self._reject_tag(node, path)
        self._open_nodes.add(id(node.value))
        try:
            if node.kind == "sequence":
                return self._sequence(node, path, depth)
            return self._mapping(node, path, depth)
        finally:
            self._open_nodes.discard(id(node.value))

    def _sequence(self, node: Node, path: Path, depth: int) -> tuple[object, ...]:
        items = []
        for index, item in enumerate(node.value):
            place = (*path, index)
            items.append(self.visit(item, place, depth + 1))
            if item.empty:  # the dash before it stands for it
                line, column = item.span.line, item.span.column
                self.values[place] = Span(line, column - 1, line, column)
        return tuple(items)

    def _mapping(self, node: Node, path: Path, depth: int) -> dict[str, object]:
        data: dict[str, object] = {}
        for key_node, value_node in zip(node.value[::2], node.value[1::2], strict=True):
            key = self._key(key_node, path)
            if key is None:
                continue
            place, span = (*path, key), key_node.span
            if key in data:
                first = self.keys[place].line
                twice = DUPLICATE_KEY.at(
                    place,
                    f"key `{short(key)}` is written twice",
                    help=f"first written on line {first}",
                    key=True,
                )
                self.diagnostics.append(replace(twice, span=span))
                continue
            self.keys[place] = span
            data[key] = self.visit(value_node, place, depth + 1)
            if value_node.empty:
                # Nothing is written there, and the mark may lie on a later line: the key stands for it.
                self.values[place] = span
        return data

    def _key(self, node: Node, path: Path) -> Any:
        if node.kind != "scalar":
            kind = "a mapping" if node.kind == "mapping" else "a list"
            return self._reject(path, f"a key must be text, found {kind}", span=node.span)
        meaning = _meaning(node)
        if meaning == "merge":
            return self._reject(
                path, "merge keys are not supported", help="write the keys out", span=node.span
            )
        if not meaning:
            return self._reject_tag(node, path)
        if meaning != "str":
            found = f"`{short(node.value)}`" if node.value else "nothing"
            help = f'write it in quotes: `"{short(node.value)}"`'
            return self._reject(path, f"a key must be text, found {found}", help=help, span=node.span)
        return self._text(node, path)

    def _scalar(self, node: Node, path: Path) -> object:
        text = node.value
        match _meaning(node):
            case "str" | "value":
                return self._text(node, path)
            case "null":
                return None
            case "bool" if text.lower() in ("true", "false"):
                return bool(text.lower() == "true")
            case "bool":
                return self._reject(path, f"`{short(text)}` is neither `true` nor `false`")
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

    def _text(self, node: Node, path: Path) -> Any:
        try:
            # JSON writes characters beyond the basic plane as two escapes, which YAML keeps apart.
            return str(node.value).encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            return self._reject(path, "the text holds half of a surrogate pair", span=node.span)

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
        if _SURE.fullmatch(text):
            return value
        if not _OCTAL.fullmatch(text):
            return self._ambiguous(text, path, str(value))
        octal = int(digits, 8)
        help = f"write `{value}`" if octal == value else f"write `{value}`, or `{octal}`"
        return self._reject(
            path, f"`{text}` is octal to some readers of YAML and decimal to others", help=help
        )

    def _float(self, text: str, path: Path) -> Any:
        if "_" in text:
            return self._ambiguous(text, path, text.replace("_", ""))
        try:
            value = float(re.sub(r"\.(inf|nan)$", r"\1", text.replace("_", "").lower()))
        except ValueError:
            return self._reject(path, f"`{short(text)}` is not a number")
        return value if isfinite(value) else self._reject(path, f"`{short(text)}` is not a finite number")

    def _ambiguous(self, text: str, path: Path, meant: str) -> Any:
        message = f"`{short(text)}` is a number to some readers of YAML and text to others"
        return self._reject(path, message, help=f"write `{short(meant)}`")

    def _reject_tag(self, node: Node, path: Path) -> Any:
        tag = short(node.tag.replace(_YAML_TAG, "!!"))
        return self._reject(path, f"the tag `{tag}` is not supported", help="remove the tag", span=node.span)

    def _reject(self, path: Path, message: str, *, help: str = "", span: Span | None = None) -> Any:
        """Report, and give None: what stands in the data for a value that was refused."""
        self.diagnostics.append(replace(UNSUPPORTED_YAML.at(path, message, help=help), span=span))


def _meaning(node: Node) -> str:
    """The last part of the YAML tag of a scalar, such as `int`; empty for a tag that is not of YAML."""
    if node.tag not in ("", "!"):
        return node.tag.removeprefix(_YAML_TAG) if node.tag.startswith(_YAML_TAG) else ""
    if not node.plain:
        return "str"
    found = _MEANING.fullmatch(node.value)
    return "str" if found is None else str(found.lastgroup)
