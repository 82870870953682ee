"""Plain data as YAML that people like to read: block style outside, one line per list item inside."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeGuard

_PLAIN = re.compile(r"[A-Za-z_][\w./*+-]*(?: [\w./*+-]+)*", re.ASCII)
_TAKEN = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})
"""Words that one version of YAML or another reads as something else than text."""


def dump(data: Mapping[str, object]) -> str:
    """YAML 1.2 of a mapping of plain data, whose keys are text; reads back as the same data.

    A mapping that holds a list of mappings is written as a block; any other stands on one line.
    """
    return "".join(f"{line}\n" for line in _block(data, ""))


def _block(data: Mapping[str, object], indent: str) -> Iterator[str]:
    for key, value in data.items():
        if _is_list_of_mappings(value):
            yield f"{indent}{_text(key)}:"
            for item in value:
                yield from _item(item, f"{indent}  ")
        elif _is_block(value):
            yield f"{indent}{_text(key)}:"
            yield from _block(value, f"{indent}  ")
        else:
            yield f"{indent}{_text(key)}: {_flow(value)}"


def _item(item: object, indent: str) -> Iterator[str]:
    if not _is_block(item):
        yield f"{indent}- {_flow(item)}"
        return
    for number, line in enumerate(_block(item, f"{indent}  ")):
        yield line if number else f"{indent}- {line.lstrip()}"


def _is_block(value: object) -> TypeGuard[Mapping[str, object]]:
    return isinstance(value, Mapping) and any(map(_is_list_of_mappings, value.values()))


def _is_list_of_mappings(value: object) -> TypeGuard[Sequence[object]]:
    return isinstance(value, list | tuple) and any(isinstance(item, Mapping) for item in value)


def _flow(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return _number(value)
        case str():
            return _text(value)
        case list() | tuple():
            return f"[{', '.join(map(_flow, value))}]"
        case Mapping():
            return "{" + ", ".join(f"{_text(k)}: {_flow(v)}" for k, v in value.items()) + "}"
    raise TypeError(f"{type(value).__name__} is not plain data")


def _number(value: float) -> str:
    """The shortest text that reads back as the same number. Older readers want a point before an exponent."""
    text = repr(value)
    mantissa, e, exponent = text.partition("e")
    return f"{mantissa}.0e{exponent}" if e and "." not in mantissa else text


def _text(value: str) -> str:
    if _PLAIN.fullmatch(value) and value.lower() not in _TAKEN:
        return value
    return json.dumps(value, ensure_ascii=not value.isprintable())
