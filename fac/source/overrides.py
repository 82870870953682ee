"""`--set key=value`: plain data edited before it is parsed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from difflib import get_close_matches
from shlex import quote
from typing import Any

from pydantic_core import to_jsonable_python

from fac import asked
from fac.diagnostics import FacError, Path, dotted
from fac.source.document import Document, short
from fac.source.plain import load

SET = "--set "
"""How the place of a value begins that an assignment wrote; the assignment follows."""


Overrides = Iterable[str] | Mapping[str, Any]
"""`["update.lr=0.01"]`, as `--set` takes them, or in Python `{"update.lr": 0.01}`: values by path."""


def assignments_of(overrides: Overrides) -> tuple[str, ...]:
    """Overrides as `--set` takes them: a value of Python as the text that means it.

    Raises:
        FacError: they are neither texts nor values by path, or a value has no form in a file.
    """
    if not isinstance(overrides, Mapping):
        return asked.texts(overrides, "overrides", "update.lr=0.01")
    found = []
    for key, value in overrides.items():
        if not isinstance(key, str):
            raise asked.wrong("overrides", key, 'values by path, such as `{"update.lr": 0.01}`')
        try:
            # JSON is YAML, and no number of it loses a digit
            text = json.dumps(to_jsonable_python(value, by_alias=True), allow_nan=False)
        except (ValueError, TypeError, RecursionError) as error:
            raise asked.wrong(f"overrides[{key!r}]", value, "a value as a file has it") from error
        found.append(f"{key}={text}")
    return tuple(found)


def override(document: Document, assignments: Overrides) -> Document:
    """The document with `key=value` assignments applied, as `--set` takes them.

    `update.lr=0.01`, `layers.fc1.out=128`: items of a list are addressed by their `name` or by their index, a layer
    inside of a block behind the name of the block, `layers.block.fc1.out=128`, in a branch behind its number, too,
    `layers.wide.0.fc1.out=128`.
    The value is read like the value of a key in a file. Mappings on the way are made where missing.

    Raises:
        FacError: an assignment is malformed, or names an item that its list does not have.
    """
    for assignment in assignments_of(assignments):
        key, equals, text = assignment.partition("=")
        parts = re.sub(r"\[(\d+)\]", r".\1", key.strip()).split(".")
        if not equals or not all(parts):
            raise FacError(f"`--set {assignment}` is not of the form `key=value`, such as `update.lr=0.01`")
        value, walk = load(text)
        if walk.diagnostics:
            hint = _star(key, text, walk.diagnostics[0].message)
            raise FacError(f"`--set {assignment}`: {walk.diagnostics[0].message}{hint}")
        if _lacks_space(value):
            mended = re.sub(r"([{,]\s*\w+):(?=[^\s])", r"\1: ", text)
            shown = quote(f"{key}={mended}")
            raise FacError(
                f"`--set {assignment}`: YAML needs a space after the colon, in a shell `--set {shown}`"
            )
        data, path = _assigned(document.data, tuple(parts), value, (), assignment)
        before = document.overridden.items()
        made = next((path[:i] for i in range(1, len(path)) if not _holds(document.data, path[:i])), path)
        document = replace(
            document,
            data=data,
            values={p: span for p, span in document.values.items() if p[: len(made)] != made},
            keys={p: span for p, span in document.keys.items() if p[: len(made)] != made},
            overridden={p: place for p, place in before if p[: len(made)] != made}
            | {made: f"{SET}{assignment}"},
        )
    return document


def _star(key: str, text: str, message: str) -> str:
    """Help for a glob, which YAML takes for an alias."""
    if text.startswith("*"):
        shown = quote(f'{key}="{text}"')
        return f"; text that starts with `*` needs quotes, in a shell `--set {shown}`"
    return "; text that starts with `*` needs quotes" if message.startswith("no anchor") else ""


def _lacks_space(value: object) -> bool:
    """Whether `{rule:fa}` was written: to YAML that is one key without a value."""
    if isinstance(value, tuple):
        return any(map(_lacks_space, value))
    if not isinstance(value, Mapping):
        return False
    return any((v is None and re.match(r"\w+:", k)) or _lacks_space(v) for k, v in value.items())


def _assigned(node: Any, parts: tuple[str, ...], value: object, at: Path, shown: str) -> tuple[Any, Path]:
    """A copy of `node` with the value at `parts`, and the path that those parts turned out to be."""
    if not parts:
        return value, at
    part, rest = parts[0], parts[1:]
    if isinstance(node, tuple):
        index, taken = _item(node, parts, at, shown)
        child, path = _assigned(node[index], parts[taken:], value, (*at, index), shown)
        return (*node[:index], child, *node[index + 1 :]), path
    if node is not None and not isinstance(node, Mapping):
        raise FacError(f"`--set {shown}`: `{dotted(at)}` is `{short(str(node))}`, which has no `{part}`")
    if at[:1] == ("layers",) and rest and (field := _holder(node or {}, parts)):
        child, path = _assigned((node or {})[field], parts, value, (*at, field), shown)
        return {**(node or {}), field: child}, path
    if at[:1] == ("layers",) and rest and part.isdecimal() and any(map(_lists_layers, (node or {}).values())):
        raise FacError(
            f"`--set {shown}`: all copies in `{dotted(at)}` have one text, in which none has a number: "
            f"leave out `{part}`"
        )
    child, path = _assigned((node or {}).get(part), rest, value, (*at, part), shown)
    return {**(node or {}), part: child}, path


def _holder(layer: Mapping[str, Any], parts: tuple[str, ...]) -> str | None:
    """The field of a block that lists a layer of that name, or lists of layers of which a number means one.

    None if the name is one of a field, or of no layer.
    """
    if parts[0] in layer:
        return None
    for key, items in layer.items():
        if not isinstance(items, tuple):
            continue
        branches = bool(items) and all(isinstance(item, tuple) for item in items)
        if _named(items, parts) or (branches and parts[0].isdecimal()):
            return key
    return None


def _named(items: tuple[Any, ...], parts: tuple[str, ...]) -> tuple[int, int] | None:
    """The item whose name is made of the first parts, and of how many; of several the longest name.

    Names of layers may have dots in them, as in a network that is written out.
    """
    names = [item.get("name") if isinstance(item, Mapping) else None for item in items]
    for taken in range(len(parts), 0, -1):
        if (name := ".".join(parts[:taken])) in names:
            return names.index(name), taken
    return None


def _lists_layers(value: object) -> bool:
    return isinstance(value, tuple) and any(isinstance(item, Mapping) for item in value)


def _item(items: tuple[Any, ...], parts: tuple[str, ...], at: Path, shown: str) -> tuple[int, int]:
    """The item that is meant, and how many of the parts say so."""
    part, found = parts[0], _named(items, parts)
    if found is not None:
        return found
    names = [item.get("name") for item in items if isinstance(item, Mapping)]
    if re.fullmatch(r"\d{1,9}", part):
        if int(part) < len(items):
            return int(part), 1
        raise FacError(f"`--set {shown}`: `{dotted(at)}` has {len(items)} items, the first is item 0")
    close = get_close_matches(part, [name for name in names if isinstance(name, str)], n=1)
    hint = f"; did you mean `{close[0]}`?" if close else ""
    raise FacError(f"`--set {shown}`: no item of `{dotted(at)}` is called `{part}`{hint}")


def _holds(data: Any, path: Path) -> bool:
    """Whether there is a value other than null at the path. The path fits the lists in the data."""
    for part in path:
        data = data[int(part)] if isinstance(data, tuple) else data.get(part)
        if data is None:
            return False
    return True
