"""What to write in the place of a value of the wrong form: in words, and as a fix where it is surely what was meant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fac.diagnostics import Fix, Path
from fac.spec import mending, words
from fac.spec.core_schema import Schema

Remedy = tuple[str, Fix | None]
NONE: Remedy = ("", None)
LENGTH = 40
"""Characters of a text, or items of a list, that a help repeats."""
SIDES = {
    "same": "write a number: half of the kernel, rounded down, keeps the size at a stride of 1",
    "valid": "write 0",
}
"""Of `padding` where it takes numbers alone."""
COLOURS = {"rgb": "colour", "color": "colour", "gray": "grey", "grayscale": "grey", "l": "grey"}
"""What other tools call the channels of images."""
NAMING = ("from", "through", "to", "of", "at", "tie", "steps", "nodes")
"""Keys that name layers."""
VERSION: Path = ("fac",)
"""Where a spec names the version of its format."""


def remedy(schema: Schema, data: Any, path: Path) -> Remedy:
    """What to write instead of `data`, which is of none of the forms that `schema` allows.

    Args:
        schema: of the outermost union at that place, which knows all that is allowed.
        data: what stands there.
        path: of that place.
    """
    if data is None:
        return f"give {words.name(path)} a value{', or remove it' if schema.optional else ''}", None
    forms = schema.forms()
    if isinstance(data, str) and (found := _text(schema, forms, data, path)) != NONE:
        return found
    if isinstance(data, float) and data.is_integer() and "int" in forms:
        return f"write `{int(data)}`", mending.rewritten(path, str(int(data)))
    if path == VERSION:
        return f"this `fac` reads version {schema.literals()[0]} of the format, and no other", None
    if isinstance(data, int | float) and "str" in forms:
        if names_layers(path) and (data < 0 or "from" in path[-2:]):
            return f"write names, not offsets: layers are not counted, and `{data}` is no name", None
        return f'write it in quotes: `"{str(data).lower()}"`', None
    if forms == {"tuple"}:
        return _list(schema, data, path)
    return _within(schema, data, path)


def length_remedy(schema: Schema, length: int, items: Sequence[Any], path: Path) -> str:
    """What to write instead of a list that has to have another length.

    Args:
        schema: see `remedy`.
        length: that a list has to have there.
        items: of the list that stands there.
        path: of that place.
    """
    if len(items) == 1 and _fits(items[0], schema.forms()):
        return f"write `{items[0]}` or `{_repeated(items[0], length)}`"
    if len(items) == 1 and _all_fit(schema, length, items[0]):
        return f"write `{_repeated(items[0], length)}`"
    return f"{words.name(path)} takes {schema.describe()}" if len(schema.forms()) > 1 else ""


def empty_remedy(schema: Schema, path: Path) -> str:
    """What to write instead of nothing at all."""
    if names_layers(path):
        return f"name at least one{', or leave it out, for the layer above' if path[-1] == 'from' else ''}"
    if schema.optional:
        return f"leave {words.name(path)} out"
    kinds = [f"`[{{{key}: {tags[0]}, ...}}]`" for key, tags in schema.child(0).named() if key]
    return f"write at least one: {kinds[0]}" if kinds else ""


def _text(schema: Schema, forms: set[str], text: str, path: Path) -> Remedy:
    """Text where something else belongs, or another text."""
    if "bool" in forms and (truth := words.truth(text)):
        return f"write `{truth}`", mending.rewritten(path, truth)
    if "int" in forms and text in SIDES and path[-1:] == ("padding",):
        return SIDES[text], None
    literals = schema.literals()
    numbers = [str(v) for v in literals if isinstance(v, int)]
    if text in numbers or (forms & {"int", "float"} and words.is_number(text, whole="float" not in forms)):
        return f"write `{text}` without quotes", mending.unquoted(path, text)
    known = [v for v in literals if isinstance(v, str)]
    if (meant := COLOURS.get(text.lower(), "")) in known:
        return f"did you mean `{meant}`?", mending.renamed(path, text, meant)
    named = schema.named()
    exact = any(text in tags for _, tags in named)
    if not exact and (close := words.close(text, known)):
        return f"did you mean `{close}`?", mending.respelt(path, text, close, known)
    for key, tags in named:
        if tag := words.close(text, tags):
            others = [name for name in schema.tagged(key, tag).required() if name != key]
            if others:  # the tag alone would be the next mistake
                return (
                    f"write `{{{', '.join((f'{key}: {tag}', *(f'{name}: ...' for name in others)))}}}`",
                    None,
                )
            fix = mending.written(path, {key: tag}) if mending.sure(text, tag, tags) else None
            return f"write `{{{key}: {tag}}}`", fix
    return NONE


def _list(schema: Schema, data: Any, path: Path) -> Remedy:
    """One item where a list of them belongs, of a fixed length or of any."""
    item, length = schema.child(0), schema.length()
    if length is not None:
        return (f"write a list: `{_repeated(data, length)}`" if _all_fit(schema, length, data) else ""), None
    if isinstance(data, Mapping) and item.named():
        return "write it in brackets: `[{...}]`", None
    if isinstance(data, str) and (instead := item.other_kinds().get(words.plain(data), ("", ""))[1]):
        return instead, None
    for key, tags in item.named():
        if isinstance(data, str) and (tag := words.close(data, tags)):
            fix = mending.written(path, [{key: tag}]) if mending.sure(data, tag, tags) else None
            return f"write `[{{{key}: {tag}}}]`", fix
    if item.named() and not _fits(data, item.forms()):
        key, tags = item.named()[0]
        return f"write a list of mappings: `[{{{key}: {tags[0]}, ...}}]`", None
    if isinstance(data, int | float | str):
        return f"write a list: `{_repeated(data, 1)}`", None
    return NONE


def _all_fit(schema: Schema, length: int, item: Any) -> bool:
    """Whether a list of that one item, over and over, is allowed."""
    return all(_fits(item, schema.child(place).forms()) for place in range(length))


def _repeated(item: Any, length: int) -> str:
    """`[16, 16]`."""
    return f"[{', '.join([str(item).lower() if isinstance(item, bool) else str(item)] * length)}]"


def _within(schema: Schema, data: Any, path: Path) -> Remedy:
    """The value of the one key that a mapping needs, in the place of the mapping: `0.9` for `{at_most: 0.9}`."""
    required = schema.required()
    if len(required) != 1:
        return NONE
    (key,) = required
    child = schema.child(key)
    forms = child.forms()
    if forms == {"tuple"}:
        items = data if isinstance(data, tuple) else (data,)
        value: Any = list(items)
        fits = 0 < len(items) <= LENGTH and all(_fits(item, child.child(0).forms()) for item in items)
    else:
        value, fits = data, _fits(data, forms)
    fix = mending.written(path, {key: value}) if fits else None
    return (fix.message, fix) if fix else NONE


def names_layers(path: Path) -> bool:
    """Whether a layer is named there."""
    return next((part for part in reversed(path) if isinstance(part, str)), "") in NAMING


def _fits(value: Any, forms: set[str]) -> bool:
    """Whether a scalar is of one of the forms."""
    match value:
        case bool():
            return "bool" in forms
        case int():
            return bool(forms & {"int", "float"})
        case float():
            return "float" in forms
        case str():
            return "str" in forms and len(value) <= LENGTH and value.isprintable()
    return False
