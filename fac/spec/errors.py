"""pydantic's errors in the words of the spec, each at a path of the data.

The descent goes through pydantic's core schema and the data side by side, because a location such as
`("layers", 0, "linear", "out")` mixes places of the data with names of union members, and because only the
schema knows what would have been right: the fields of a model, the tags of a union.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import pydantic

from fac.diagnostics import Diagnostic, Path, Rule, dotted
from fac.spec.core_schema import DISCRIMINATORS, Schema

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

_OTHER_WORDS = {"optimizer": "update", "optimiser": "update", "learning_rate": "lr", "step_size": "lr"}
"""What other tools call a field."""

_TAGS = (*DISCRIMINATORS, "type")
"""Keys that people write to say which member of a union they mean."""

_LIMITS = {
    "greater_than": ("greater than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
    "multiple_of": ("a multiple of", "multiple_of"),
}


@dataclass(frozen=True)
class _Error:
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
    errors = [
        _Error(e["type"], e["loc"], e["msg"], e.get("ctx", {}))
        for e in error.errors(include_url=False, include_input=False)
    ]
    return tuple(_descend(errors, Schema.of(model), data, ()))


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
    for part, group in below.items():
        if any(_is(e, "extra_forbidden") for e in group):
            if meant := _other_tag(str(part), data, outer.named()):
                yield _wrong_tag(str(part), data[part], *meant, path)
                continue
            close = _meant(str(part), missing, [k for k in known if k not in data])
            if close in missing:
                missing.remove(close)
            help = f"did you mean `{close}`?" if close else _one_of("its fields are", known)
            yield UNKNOWN_KEY.at((*path, part), f"`{part}` is not a field of {owner}", help=help, key=True)
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


def _tag_error(e: _Error, schema: Schema, data: Any, path: Path, outer: Schema) -> Diagnostic:
    """The finding of a tagged union that could not tell which member is meant."""
    if not isinstance(data, Mapping):
        return _wrong_form(outer, data, path)
    if e.type not in ("union_tag_invalid", "union_tag_not_found"):
        return _value_error(e, schema, data, path, outer)
    key, tags = schema.kinds()
    if not key:
        leading = schema.leading_fields()
        close = next((c for k in data if (c := _close(k, leading))), "")
        help = f"did you mean `{close}`?" if close else ""
        return MISSING_KEY.at(path, f"expected a mapping with {_or(leading)}", help=help)
    if key in data:
        return _unknown_kind(data[key], tags, key, (*path, key))
    wrong = next((k for k in data if _other_tag(k, data, [(key, tags)])), None)
    if wrong is not None:
        return _wrong_tag(wrong, data[wrong], key, tags, path)
    misspelt = next((k for k in data if _close(k, [key])), None)
    if misspelt is not None:
        message = f"`{misspelt}` is not a field here"
        return UNKNOWN_KEY.at((*path, misspelt), message, help=f"did you mean `{key}`?", key=True)
    return MISSING_KEY.at(path, f"`{key}` is missing", help=_one_of(f"`{key}` is one of", tags))


def _other_tag(
    word: str, data: Mapping[str, Any], named: list[tuple[str, list[str]]]
) -> tuple[str, list[str]] | None:
    """(key, tags) of the union for which `word` is such a key, but of other unions. None if it is no such key."""
    if word not in _TAGS or not isinstance(data[word], str):
        return None
    return next(((key, tags) for key, tags in named if key and key != word and key not in data), None)


def _wrong_tag(word: str, value: str, key: str, tags: list[str], path: Path) -> Diagnostic:
    tag = value if value in tags else _close(value, tags)
    help = f"write `{key}: {tag}`" if tag else _one_of(f"write `{key}`, which is one of", tags)
    return UNKNOWN_KEY.at((*path, word), f"`{word}` is not a field here", help=help, key=True)


def _unknown_kind(value: object, tags: list[str], key: str, path: Path) -> Diagnostic:
    close = _close(value, tags) if isinstance(value, str) else ""
    help = f"did you mean `{close}`?" if close else _one_of(f"`{key}` is one of", tags)
    message = (
        f"no {key} is called `{value}`" if isinstance(value, str) else _found(f"expected a {key}", value)
    )
    return UNKNOWN_KIND.at(path, message, help=help)


def _value_error(e: _Error, schema: Schema, data: Any, path: Path, outer: Schema) -> Diagnostic:
    """The finding of a value that is wrong in itself."""
    name = _name(path)
    if e.type in _OTHER_FORM:
        return _wrong_form(outer, data, path)
    if e.type in _LIMITS:
        words, key = _LIMITS[e.type]
        limit = e.context[key]
        limit = int(limit) if isinstance(limit, float) and limit.is_integer() else limit
        return INVALID_VALUE.at(path, f"{name} must be {words} {limit}, is {data}")
    match e.type:
        case "too_short" | "string_too_short":
            unit = "character" if e.type.startswith("string") else "item"
            return INVALID_VALUE.at(
                path, f"{name} needs {_count('at least', e, 'min_length', unit)}, has {len(data)}"
            )
        case "too_long" | "string_too_long":
            unit = "character" if e.type.startswith("string") else "item"
            return INVALID_VALUE.at(
                path, f"{name} takes {_count('at most', e, 'max_length', unit)}, has {len(data)}"
            )
        case "string_pattern_mismatch":
            pattern = e.context["pattern"]
            return INVALID_VALUE.at(path, f"{name} is `{data}`, which does not match `{pattern}`")
        case "value_error" | "assertion_error":
            return INVALID_VALUE.at(path, str(e.context["error"]))
    return INVALID_VALUE.at(path, f"{name}: {e.message[:1].lower()}{e.message[1:]}")


def _wrong_form(schema: Schema, data: Any, path: Path) -> Diagnostic:
    """Expected this, found that; with the remedy where the mistake is a common one."""
    literals = schema.literals()
    key = path[-1] if path else None
    if schema.type == "literal" and key in DISCRIMINATORS and all(isinstance(v, str) for v in literals):
        return _unknown_kind(data, [str(v) for v in literals], str(key), path)
    place = f" for {_name(path)}" if path else ""
    message = _found(f"expected {schema.describe()}{place}", data)
    return INVALID_VALUE.at(path, message, help=_remedy(schema, literals, data))


def _remedy(schema: Schema, literals: list[Any], data: Any) -> str:
    forms = schema.forms()
    if isinstance(data, str):
        lowered = data.lower()
        if "bool" in forms and lowered in ("yes", "on", "y", "true", "no", "off", "n", "false"):
            return f"write `{'true' if lowered in ('yes', 'on', 'y', 'true') else 'false'}`"
        if forms & {"int", "float"} and _is_number(data, whole="float" not in forms):
            return f"write `{data}` without quotes"
        if close := _close(data, [v for v in literals if isinstance(v, str)]):
            return f"did you mean `{close}`?"
        for kind_key, kinds in schema.named():
            if kind := _close(data, kinds):
                return f"write `{{{kind_key}: {kind}}}`"
    if isinstance(data, float) and data.is_integer() and "int" in forms:
        return f"write `{int(data)}`"
    if isinstance(data, int | float) and "str" in forms:
        return f'write it in quotes: `"{str(data).lower()}"`'
    if forms == {"tuple"}:
        of_kinds = schema.child(0).named()
        if isinstance(data, Mapping) and of_kinds:
            return "write it in brackets: `[{...}]`"
        for kind_key, kinds in of_kinds:
            if isinstance(data, str) and (kind := _close(data, kinds)):
                return f"write `[{{{kind_key}: {kind}}}]`"
    if isinstance(data, int | float | str) and forms == {"tuple"}:
        return f"write a list: `[{str(data).lower() if isinstance(data, bool) else data}]`"
    return ""


def _is_number(text: str, *, whole: bool) -> bool:
    try:
        _ = int(text) if whole else float(text)
    except ValueError:
        return False
    return True


def _found(expected: str, value: object) -> str:
    match value:
        case None:
            return f"{expected}, found nothing"
        case bool():
            return f"{expected}, found `{str(value).lower()}`"
        case str():
            return f"{expected}, found text `{value if len(value) <= 40 else value[:37] + '...'}`"
        case int() | float():
            return f"{expected}, found `{value}`"
        case Mapping():
            return f"{expected}, found a mapping"
    return f"{expected}, found a list"


def _owner(schema: Schema, data: Any, path: Path) -> str:
    """What a model is called: by its kind, else by its place."""
    for key in DISCRIMINATORS:
        literals = schema.child(key).literals()
        if isinstance(data, Mapping) and isinstance(data.get(key), str) and data[key] in literals:
            return f"`{data[key]}`"
        if len(literals) == 1:
            return f"`{literals[0]}`"
    return f"`{dotted(path)}`" if path else "the spec"


def _name(path: Path) -> str:
    """The last key of a path with the indices behind it: `shape[0]`."""
    start = max((i for i, part in enumerate(path) if isinstance(part, str)), default=0)
    return f"`{dotted(path[start:])}`" if path else "the spec"


def _has(data: Any, part: str | int) -> bool:
    if isinstance(data, Mapping):
        return part in data
    return isinstance(data, tuple | list) and isinstance(part, int) and 0 <= part < len(data)


def _is(e: _Error, type: str) -> bool:
    return e.type == type and not e.loc


def _count(words: str, e: _Error, key: str, unit: str) -> str:
    n = e.context[key]
    return f"{words} {n} {unit}{'s' * (n != 1)}"


def _meant(word: str, missing: list[str], unused: list[str]) -> str:
    """The field that was most likely meant, one that is missing before one that may be left out; or nothing."""
    other = _OTHER_WORDS.get(word.lower(), "")
    if other in unused:
        return other
    around = _contained(word, missing) or _contained(word, unused)
    return around or _close(word, missing) or _close(word, unused)


def _close(word: str, known: list[str]) -> str:
    """The known word that was most likely meant, or nothing. Case does not count.

    Whole words within words (`data` and `dataset`) say more than how many letters differ.
    """
    lowered = {k.lower(): k for k in reversed(known)}
    matches = get_close_matches(word.lower(), list(lowered), n=1)
    return _contained(word, known) or next((lowered[m] for m in matches), "")


def _contained(word: str, known: list[str]) -> str:
    """The known word that holds the word or is held by it; of several the one nearest in length. Or nothing."""
    word = word.lower()
    found = [k for k in known if min(len(word), len(k)) > 2 and (word in k.lower() or k.lower() in word)]
    return min(found, key=lambda k: abs(len(k) - len(word)), default="")


def _or(words: list[str]) -> str:
    quoted = [f"`{word}`" for word in words]
    return " or ".join(filter(None, (", ".join(quoted[:-1]), *quoted[-1:])))


def _one_of(words: str, known: list[str]) -> str:
    return f"{words} {', '.join(f'`{k}`' for k in known)}" if known else ""
