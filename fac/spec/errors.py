"""pydantic's errors in the words of the spec, each at a path of the data.

The descent goes through pydantic's core schema and the data side by side, because a location such as
`("layers", 0, "linear", "out")` mixes places of the data with names of union members, and because only the
schema knows what would have been right: the fields of a model, the tags of a union.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import pydantic

from fac.diagnostics import Diagnostic, Edit, Fix, Path, Rule, dotted, first
from fac.spec import mending, words
from fac.spec.core_schema import DISCRIMINATORS, Schema
from fac.spec.remedies import empty_remedy, length_remedy, names_layers, remedy

INVALID_VALUE = Rule("FAC102", "invalid-value")
UNKNOWN_KEY = Rule("FAC103", "unknown-key")
MISSING_KEY = Rule("FAC104", "missing-key")
UNKNOWN_KIND = Rule("FAC105", "unknown-kind")

RULES = (INVALID_VALUE, UNKNOWN_KEY, MISSING_KEY, UNKNOWN_KIND)

# Error types that say: the value is of another form than this member of the union.
_OTHER_FORM = frozenset(
    {
        "bool_type",
        "dict_type",
        "float_type",
        "int_from_float",
        "int_type",
        "list_type",
        "literal_error",
        "model_attributes_type",
        "model_type",
        "none_required",
        "string_type",
        "tuple_type",
    }
)

_TAGS = (*DISCRIMINATORS, "type")
"""Keys that people write to say which member of a union they mean."""

_LIMITS = {
    "greater_than": ("greater than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
    "multiple_of": ("a multiple of", "multiple_of"),
}


class _Error(NamedTuple):
    """One error of pydantic, with what is left of its location below the place that was reached."""

    type: str
    loc: tuple[str | int, ...]
    message: str
    context: Mapping[str, Any]


def translate(
    error: pydantic.ValidationError, data: object, model: type[pydantic.BaseModel]
) -> tuple[Diagnostic, ...]:
    """All findings of `model.model_validate(data)` that ended in `error`.

    Union members that the value was never meant for are left out, and a misspelt key beside the key that is
    missing for it is one finding.
    """
    return first(_descend(_errors(error), Schema.of(model), data, ()))


def _errors(error: pydantic.ValidationError) -> list[_Error]:
    return [
        _Error(e["type"], e["loc"], e["msg"], e.get("ctx", {}))
        for e in error.errors(include_url=False, include_input=False)
    ]


def _descend(
    errors: list[_Error], schema: Schema, data: Any, path: Path, outer: Schema | None = None
) -> Iterator[Diagnostic]:
    """The findings of `errors`, whose locations begin at `path`.

    `outer` is the outermost union at that place if `schema` is a member of one: it knows all that is allowed.
    """
    outer = outer or schema
    here = [e for e in errors if not e.loc]
    below: dict[str | int, list[_Error]] = {}
    for e in errors:
        if e.loc:
            below.setdefault(e.loc[0], []).append(_Error(e.type, e.loc[1:], e.message, e.context))
    if schema.type == "tagged-union":
        for e in here:
            yield _tag_error(e, schema, data, path, outer)
        for tag, group in below.items():
            yield from _descend(group, schema.choice(tag), data, path, outer)
    elif schema.type == "union" and below:
        yield from _union(list(below.values()), schema, data, path, outer)
    elif schema.type == "model-fields":
        for e in here:
            yield _value_error(e, schema, data, path, outer)
        yield from _model(below, schema, data, path, outer)
    elif isinstance(data, tuple) and (length := schema.length()) not in (None, len(data)):
        takes = f"{words.name(path)} {words.count('takes', length, 'item')}"
        yield INVALID_VALUE.at(
            path, f"{takes}, has {len(data)}", help=length_remedy(outer, length, data, path)
        )
    else:
        for e in here:
            # Counted after validation: the items that failed are missing, and reported already.
            if e.type != "too_short" or len(data) < e.context["min_length"]:
                yield _value_error(e, schema, data, path, outer)
        for part, group in below.items():
            if _has(data, part):
                yield from _descend(group, schema.child(part), data[part], (*path, part))
            else:
                yield from _descend(group, schema.unknown(), data, path)


def _union(
    groups: list[list[_Error]], schema: Schema, data: Any, path: Path, outer: Schema
) -> Iterator[Diagnostic]:
    """A union without tags has an error for each member: report for the member that was meant.

    pydantic names the members in the locations, by names that only it knows, but in the order of the schema.
    """
    choices = schema.choices()
    members = list(zip(groups, choices, strict=True)) if len(groups) == len(choices) else []
    if not members:
        members = [(group, schema.unknown()) for group in groups]
    meant = [m for m in members if not any(not e.loc and e.type in _OTHER_FORM for e in m[0])]
    if meant:
        group, choice = min(meant, key=lambda m: len(m[0]))
        yield from _descend(group, choice, data, path, outer)
    else:
        yield _wrong_form(outer, data, path)


def _model(
    below: dict[str | int, list[_Error]], schema: Schema, data: Any, path: Path, outer: Schema
) -> Iterator[Diagnostic]:
    owner = _owner(schema, data, path)
    known = schema.field_names()
    missing = [str(part) for part, group in below.items() if any(_is(e, "missing") for e in group)]
    extra = [part for part, group in below.items() if any(_is(e, "extra_forbidden") for e in group)]
    if two := _two_in_one(extra, schema, outer):
        one, other, theirs = two
        message = f"{owner} has `{one}` and `{other}`, and takes one of the two"
        yield UNKNOWN_KEY.at((*path, other), message, help="remove one, or write an item for each", key=True)
        below = {part: group for part, group in below.items() if part not in theirs}
    for part, group in below.items():
        if any(_is(e, "extra_forbidden") for e in group):
            if meant := _other_tag(str(part), data, outer.named()):
                yield _wrong_tag(str(part), data[part], *meant, path)
                continue
            unused = [k for k in known if k not in data]
            close, help, fix = _meant_field((*path, part), schema, data, missing, unused)
            if close in missing:
                missing.remove(close)
            help = help or words.one_of("its fields are", known)
            message = f"`{part}` is not a field of {owner}"
            yield UNKNOWN_KEY.at((*path, part), message, help=help, key=True, fix=fix)
    for name in missing:
        child = schema.child(name)
        help = f"`{name}` takes {child.describe()}" if child.type else ""
        yield MISSING_KEY.at(path, f"{owner} needs `{name}`", help=help)
    for part, group in below.items():
        rest = [e for e in group if not _is(e, "missing") and not _is(e, "extra_forbidden")]
        if rest and _has(data, part):
            yield from _descend(rest, schema.child(part), data[part], (*path, part))
        elif rest:
            yield from _descend(rest, schema.child(part), None, path)


def _meant_field(
    path: Path, schema: Schema, data: Any, missing: list[str], unused: list[str]
) -> tuple[str, str, Fix | None]:
    """(field, help, fix) of a key that is none of a model; the field is the one that was most likely meant."""
    word = str(path[-1])
    other = schema.other_keys().get(word.lower(), "")
    known = schema.field_names()
    if other and other not in known:
        return "", other, None
    if twin := next((k for k in (other, words.plain(word)) if k in known and k in data), ""):
        return "", f"`{word}` is `{twin}`, which stands here already", None
    close = other if other in unused else words.field(word, missing, unused)
    if not close:
        return "", "", None
    if close == other:
        fix: Fix | None = mending.renamed(path, word, close, key=True)
    else:
        fix = mending.respelt(path, word, close, unused, key=True)
    if fix and not _takes(schema, data, path, close):
        fix = None
    return close, f"did you mean `{close}`?", fix


def _takes(schema: Schema, data: Mapping[str, Any], path: Path, key: str) -> bool:
    """Whether the value of a key would do at another one, if need be mended. A section may have mistakes of its own."""
    word = str(path[-1])
    value, forms = data[word], schema.child(key).forms()
    if isinstance(value, Mapping):
        return bool(forms & {"dict", "model-fields", "tagged-union"})
    if isinstance(value, tuple | list) and any(isinstance(item, Mapping) for item in value):
        return bool(forms & {"list", "tuple"})
    if schema.model is None:
        return True
    try:
        schema.model.model_validate({key if k == word else k: v for k, v in data.items()})
    except pydantic.ValidationError as error:
        wrong = [e for e in _errors(error) if e.loc[:1] == (key,)]
        inside = [_Error(e.type, e.loc[1:], e.message, e.context) for e in wrong]
        return all(found.fix for found in _descend(inside, schema.child(key), value, path))
    return True


def _tag_error(e: _Error, schema: Schema, data: Any, path: Path, outer: Schema) -> Diagnostic:
    """The finding of a tagged union that could not tell which member is meant."""
    if not isinstance(data, Mapping):
        return _wrong_form(outer, data, path)
    if e.type not in ("union_tag_invalid", "union_tag_not_found"):
        return _value_error(e, schema, data, path, outer)
    key, tags = schema.kinds()
    if not key:
        leading = schema.leading_fields()
        close = next((c for k in data if (c := words.close(k, leading))), "")
        help = f"did you mean `{close}`?" if close else ""
        return MISSING_KEY.at(path, f"expected a mapping with {words.either(leading)}", help=help)
    if key in data:
        return _unknown_kind(
            data[key], tags, key, (*path, key), schema.other_kinds(), schema.kind_wanted(), schema.extended
        )
    wrong = next((k for k in data if _other_tag(k, data, [(key, tags)])), None)
    if wrong is not None:
        return _wrong_tag(wrong, data[wrong], key, tags, path)
    misspelt = next((k for k in data if words.close(k, [key])), None)
    if misspelt is not None:
        message = f"`{misspelt}` is not a field here"
        fix = mending.respelt((*path, misspelt), misspelt, key, [key], key=True)
        return UNKNOWN_KEY.at((*path, misspelt), message, help=f"did you mean `{key}`?", key=True, fix=fix)
    help = _meant_kind(data, schema) or schema.kind_wanted() or words.one_of(f"`{key}` is one of", tags)
    return MISSING_KEY.at(path, f"`{key}` is missing", help=help)


def _meant_kind(data: Mapping[str, Any], schema: Schema) -> str:
    """The help where a kind stands in the place of its key, as in `{normal: 0.1}`, or alone has the keys that do."""
    key, tags = schema.kinds()
    if len(data) == 1 and (tag := next(iter(data))) in tags:
        needed = "".join(f", {name}: ..." for name in schema.choice(tag).required() if name != key)
        return f"write `{{{key}: {tag}{needed}}}`"
    able = [tag for tag in tags if data and data.keys() <= set(schema.choice(tag).field_names())]
    return f"did you mean `{key}: {able[0]}`?" if len(able) == 1 else ""


def _two_in_one(
    extra: Sequence[str | int], schema: Schema, outer: Schema
) -> tuple[str, str, Collection[str]] | None:
    """(the key by which a member of a union is known, that of another one, all keys of that) where both are there."""
    if outer.type != "tagged-union" or outer.kinds()[0]:
        return None
    leading = outer.leading_fields()
    other = next((str(part) for part in extra if part in leading), None)
    one = next((key for key in schema.required() if key in leading), None)
    if one is None or other is None:
        return None
    return one, other, next(c for c in outer.choices() if other in c.required()).field_names()


def _other_tag(
    word: str, data: Mapping[str, Any], named: list[tuple[str, list[str]]]
) -> tuple[str, list[str]] | None:
    """(key, tags) of the union for which `word` is such a key, but of other unions. None if it is no such key."""
    if word not in _TAGS or not isinstance(data[word], str):
        return None
    return next(((key, tags) for key, tags in named if key and key != word and key not in data), None)


def _wrong_tag(word: str, value: str, key: str, tags: list[str], path: Path) -> Diagnostic:
    tag = value if value in tags else words.close(value, tags)
    help = f"write `{key}: {tag}`" if tag else words.one_of(f"write `{key}`, which is one of", tags)
    place = (*path, word)
    fix = Fix(f"write `{key}: {tag}`", (Edit(place, key, key=True),)) if value in tags else None
    return UNKNOWN_KEY.at(place, f"`{word}` is not a field here", help=help, key=True, fix=fix)


def _unknown_kind(
    value: object,
    tags: list[str],
    key: str,
    path: Path,
    others: Mapping[str, tuple[str, str]] = MappingProxyType({}),
    wanted: str = "",
    extended: bool = False,
) -> Diagnostic:
    """A kind that there is not. For the last three see `Schema`: `other_kinds`, `kind_wanted`, `extended`."""
    other, instead = others.get(words.plain(value), ("", "")) if isinstance(value, str) else ("", "")
    close = other or (words.close(value, tags) if isinstance(value, str) else "")
    among = f"`{key}` is one of" if key in _TAGS else "there are"
    known = words.one_of(among, tags)
    if extended and isinstance(value, str):
        known += "; one of your own comes with `--plugin FILE.py`"
    help = instead or (f"did you mean `{close}`?" if close else wanted or known)
    message = (
        f"no {key} is called `{value}`" if isinstance(value, str) else words.found(f"expected a {key}", value)
    )
    fix = None
    if isinstance(value, str) and not instead:
        fix = mending.renamed(path, value, other) if other else mending.respelt(path, value, close, tags)
    return UNKNOWN_KIND.at(path, message, help=help, fix=fix)


def _value_error(e: _Error, schema: Schema, data: Any, path: Path, outer: Schema) -> Diagnostic:
    """The finding of a value that is wrong in itself."""
    name = words.name(path)
    if e.type in _OTHER_FORM:
        return _wrong_form(outer, data, path)
    if e.type in _LIMITS:
        relation, key = _LIMITS[e.type]
        limit = e.context[key]
        limit = int(limit) if isinstance(limit, float) and limit.is_integer() else limit
        help = f"write at least {limit + 1}" if key == "gt" and schema.type == "int" else ""
        if data == limit == 0 and (schema.absent or outer.absent):
            help = "leave it out for none"
        return INVALID_VALUE.at(path, f"{name} must be {relation} {limit}, is {data}", help=help)
    match e.type:
        case "too_short" | "string_too_short":
            unit = "character" if e.type.startswith("string") else "item"
            needs = words.count("at least", e.context["min_length"], unit)
            message = f"{name} needs {needs}, has {len(data)}"
            if not data and names_layers(path):
                message = f"{name} names no layer"
            return INVALID_VALUE.at(path, message, help="" if data else empty_remedy(outer, path))
        case "too_long" | "string_too_long":
            unit = "character" if e.type.startswith("string") else "item"
            return INVALID_VALUE.at(
                path, f"{name} takes {words.count('at most', e.context['max_length'], unit)}, has {len(data)}"
            )
        case "string_pattern_mismatch":
            pattern = e.context["pattern"]
            return INVALID_VALUE.at(path, f"{name} is `{data}`, which does not match `{pattern}`")
        case "value_error" | "assertion_error":
            return INVALID_VALUE.at(path, str(e.context["error"]))
        case "unknown_name":
            return _unknown_kind(data, e.context["names"], e.context["what"], path)
    return INVALID_VALUE.at(path, f"{name}: {e.message[:1].lower()}{e.message[1:]}")


def _wrong_form(schema: Schema, data: Any, path: Path) -> Diagnostic:
    """Expected this, found that; with the remedy where the mistake is a common one."""
    literals = schema.literals()
    key = path[-1] if path else None
    if schema.type == "literal" and key in DISCRIMINATORS and all(isinstance(v, str) for v in literals):
        return _unknown_kind(data, [str(v) for v in literals], str(key), path)
    place = f" for {words.name(path)}" if path else ""
    message = words.found(f"expected {schema.describe()}{place}", data)
    help, fix = remedy(schema, data, path)
    return INVALID_VALUE.at(path, message, help=help, fix=fix)


def _owner(schema: Schema, data: Any, path: Path) -> str:
    """What a model is called: by its kind, else by its place."""
    for key in DISCRIMINATORS:
        literals = schema.child(key).literals()
        if isinstance(data, Mapping) and isinstance(data.get(key), str) and data[key] in literals:
            return f"`{data[key]}`"
        if len(literals) == 1:
            return f"`{literals[0]}`"
    return f"`{dotted(path)}`" if path else str(getattr(schema.model, "whole", "the spec"))


def _has(data: Any, part: str | int) -> bool:
    if isinstance(data, Mapping):
        return part in data
    return isinstance(data, tuple | list) and isinstance(part, int) and 0 <= part < len(data)


def _is(e: _Error, type: str) -> bool:
    return e.type == type and not e.loc
