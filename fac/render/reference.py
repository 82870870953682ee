"""The reference page of the spec, made from the models: every section, every kind, every field."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from fac import plugins
from fac.render import reference_texts as texts
from fac.spec import constraints, feedback, init, layers, ranks, train, updates
from fac.spec.base import written
from fac.spec.core_schema import DISCRIMINATORS
from fac.spec.model import Input, ModelSpec

FAMILIES = (
    ("Layers", ("layers: [{}]",), "fac.layers", "layer"),
    ("Losses", ("loss: {}",), "fac.losses", "loss"),
    ("Feedback rules", ("feedback: {}",), "fac.rules", "feedback rule"),
    ("Feedback operators", ("matrix: {}",), "fac.feedback", "feedback operator"),
    (
        "How feedback learns",
        ("read: {}", "write: {}", "learn: {}", "basis: {}"),
        "fac.learning",
        "learning rule",
    ),
    ("Update rules", ("update: {}",), "fac.updates", "update rule"),
    ("Schedules", ("schedule: {}",), "fac.schedules", "schedule"),
    ("Solve rules", ("solve: {}",), "fac.solve", "solve rule"),
    ("Data", ("data: {}",), "fac.data", "data source"),
    ("Probes", ("probes: [{}]",), "fac.probes", "probe"),
    ("Loggers", ("loggers: [{}]",), "fac.loggers", "logger"),
)
"""Heading, how a spec writes one, entry-point group, and what one kind is called."""
SECTIONS: tuple[tuple[str, type[BaseModel]], ...] = (
    ("The whole spec", ModelSpec),
    ("`input:`", Input),
    ("An item of `losses:`, beside the settings of its kind", layers.Head),
    ("`feedback:` written out", feedback.Routing),
    ("A subspace", feedback.Subspace),
    ("A `through` route", feedback.ThroughRoute),
    ("A `to` route", feedback.ToRoute),
    ("A rank that is measured", ranks.AutoRank),
    ("Shared by all update rules", updates.Shared),
    ("`clip:`", updates.Clip),
    ("`feedback:` inside `update:`", updates.Setting),
    ("An item of `groups:`", updates.Group),
    ("`train:`", train.Train),
    ("`keep:`", train.Best),
    ("`stop:`", train.Stop),
    ("`constraints:`", constraints.Constraints),
    ("A bound", constraints.Bound),
    ("A bound on memory", constraints.MemoryBound),
)
LAWS: tuple[tuple[str, type[BaseModel]], ...] = (("normal", init.Normal), ("uniform", init.Uniform))


def page() -> str:
    """The page as Markdown."""
    parts = [texts.INTRODUCTION.format(example=texts.EXAMPLE)]
    for title, model in SECTIONS:
        shown = f"`{texts.WRITTEN[title]}`\n\n" if title in texts.WRITTEN else ""
        parts.append(f"## {title}\n\n{_summary(model)}\n{shown}{_table(model, own=False)}{_note(title)}")
        if model is ModelSpec:
            parts.append(f"## One or several `feedback:` sections\n\n{texts.SEVERAL}")
        if model is feedback.ToRoute:
            parts.append(f"## What a site is\n\n{texts.SITE}")
    parts.append(f"## Initial laws\n\n{texts.INITIAL}\n{_laws()}")
    parts += [
        f"### `init: {{kind: {name}}}`\n\n{_summary(model)}\n{_table(model, own=True)}"
        for name, model in LAWS
    ]
    for title, places, group, _ in FAMILIES:
        kinds = plugins.kinds(group)
        forms = [f"`{place.format(_form(kinds[0].spec, '…'))}`" for place in places]
        parts.append(
            f"## {title}\n\nWritten {' or '.join(filter(None, (', '.join(forms[:-1]), forms[-1])))}\n{_note(title)}"
        )
        parts += [
            f"### `{_heading(places, kind)}`\n\n{_summary(kind.spec)}\n{_table(kind.spec, own=True)}{_note(kind.name)}"
            for kind in kinds
        ]
    return "\n".join(parts)


def _heading(places: Sequence[str], kind: Any) -> str:
    """How a spec chooses a kind: `loss: {kind: mse}`; without the key where several take it."""
    form = _form(kind.spec, kind.name)
    return places[0].format(form) if len(places) == 1 else form


def _form(model: type[BaseModel], name: str) -> str:
    tag = next(tag for tag in DISCRIMINATORS if tag in model.model_fields)
    return f"{{{tag}: {name}}}"


def anchor(title: str) -> str:
    """The fragment by which a heading is linked to."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def _note(of: str) -> str:
    return f"\n{texts.NOTES[of]}" if of in texts.NOTES else ""


def _laws() -> str:
    return "| name | law |\n|---|---|\n" + "".join(
        f"| `{name}` | {law} |\n" for name, law in texts.INITIAL_LAWS
    )


def _summary(model: type[BaseModel]) -> str:
    return " ".join((model.__doc__ or "").split()) + "\n"


def _table(model: type[BaseModel], own: bool) -> str:
    rows = list(_rows(model, own))
    head = "| key | values | default | meaning |\n|---|---|---|---|\n"
    return head + "".join(rows) if rows else ""


def _rows(model: type[BaseModel], own: bool) -> Iterator[str]:
    schema = model.model_json_schema(by_alias=True)
    models = schema.get("$defs", {})
    properties = (schema if "properties" in schema else models[schema["$ref"].rpartition("/")[2]])[
        "properties"
    ]
    for name, field in model.model_fields.items():
        if not (own and name in DISCRIMINATORS):
            key = field.alias or name
            mark = "*" if field.is_required() else ""
            cells = (
                f"`{key}`{mark}",
                _values(properties[key], models),
                _default(field),
                field.description or "",
            )
            yield "".join(f"| {cell.replace('|', '/')} " for cell in cells) + "|\n"


def _default(field: FieldInfo) -> str:
    default: Any = field.default
    if default is PydanticUndefined or default is None or field.default_factory is not None:
        return ""
    if isinstance(default, BaseModel):
        tag = next((getattr(default, t) for t in DISCRIMINATORS if hasattr(default, t)), "")
        said = _item(default)
        return f"`{said if ',' in said else tag}`" if tag else ""
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, tuple):
        return f"`[{', '.join(map(_item, default))}]`" if default else ""
    return f"`{default}`"


def _item(value: Any) -> str:
    """An item of a list as a spec writes it: a kind with what it says beyond its defaults."""
    if not isinstance(value, BaseModel):
        return str(value)
    return f"{{{', '.join(f'{key}: {said}' for key, said in written(value).items())}}}"


def _values(schema: Mapping[str, Any], models: Mapping[str, Any]) -> str:
    """What a place of the JSON Schema takes."""
    forms = list(_forms(schema))
    plain = [_plain(form, models, many=False) for form in forms if form.get("type") != "array"]
    found = list(dict.fromkeys(plain))
    for form in forms:
        if form.get("type") == "array" and "prefixItems" in form:
            found.append(_fixed(form["prefixItems"], models))
        elif form.get("type") == "array":
            items = list(_forms(form["items"]))
            same = found and {_plain(item, models, many=False) for item in items} == set(found)
            them = " or ".join(dict.fromkeys(_plain(item, models, many=True) for item in items))
            found.append("a list of such" if same and len(found) > 1 else f"list of {them}")
    return (
        ", or ".join(filter(None, (" or ".join(found[:-1]), found[-1])))
        if _long(found)
        else " or ".join(found)
    )


def _fixed(items: Sequence[Mapping[str, Any]], models: Mapping[str, Any], several: bool = False) -> str:
    """A list of so many items as the schema has: `pair of whole numbers`."""
    each = [" or ".join(_plain(form, models, many=True) for form in _forms(item)) for item in items]
    word = ("pair" if len(each) == 2 else "list") + "s" * several
    if len(set(each)) > 1:
        return f"{word}: {', '.join(each)}"
    return f"{word} of {each[0] if len(each) == 2 else f'{len(each)} {each[0]}'}"


def _long(found: list[str]) -> bool:
    return found[-1] == "a list of them"


def _forms(schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The members of a union and of the unions in it, without null. What goes by a discriminator is one member."""
    members = None if "discriminator" in schema else schema.get("anyOf") or schema.get("oneOf")
    if members:
        for member in members:
            yield from _forms(member)
    elif schema.get("type") != "null":
        yield schema


def _plain(schema: Mapping[str, Any], models: Mapping[str, Any], many: bool) -> str:
    """What is neither a union nor a list; `many` puts it in the plural."""
    if "$ref" in schema:
        return _model(models[schema["$ref"].rpartition("/")[2]], many)
    if "discriminator" in schema:
        return _family(set(schema["discriminator"]["mapping"]), many)
    if schema.get("type") == "array" and "prefixItems" in schema:
        return _fixed(schema["prefixItems"], models, several=True)
    if schema.get("type") == "array":
        return f"lists of {' or '.join(_plain(item, models, many=True) for item in _forms(schema['items']))}"
    if isinstance(values := schema.get("additionalProperties"), Mapping):
        them = " or ".join(_plain(value, models, many=True) for value in _forms(values))
        return f"{'mappings' if many else 'mapping'} of names to {them}"
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        laws = set(schema["enum"]) == set(get_args(init.Named))
        return _link("initial law", "Initial laws") if laws else ", ".join(f"`{v}`" for v in schema["enum"])
    if schema["type"] == "boolean":
        return "`true`, `false`"
    words = {"integer": "whole number", "number": "number", "string": "text"}
    return words[schema["type"]] + "s" * many + _bounds(schema)


def _bounds(schema: Mapping[str, Any]) -> str:
    """` > 0`, or `, 0 ≤ x < 1` with bounds on both sides."""
    low = next(
        ((sign, schema[k]) for k, sign in (("exclusiveMinimum", ">"), ("minimum", "≥")) if k in schema), None
    )
    high = next(
        ((sign, schema[k]) for k, sign in (("exclusiveMaximum", "<"), ("maximum", "≤")) if k in schema), None
    )
    if low and high:
        return f", {low[1]} {'<' if low[0] == '>' else '≤'} x {high[0]} {high[1]}"
    one = low or high
    return f" {one[0]} {one[1]}" if one else ""


def _model(schema: Mapping[str, Any], many: bool) -> str:
    """A section by its heading, a small mapping by its keys; what has no keys of its own is whatever a file can say."""
    if "title" not in schema:
        return "any value" + "s" * many
    title = next((title for title, model in SECTIONS if model.__name__ == schema["title"]), None)
    if title is None and (family := _family_of(schema, many)):
        return family
    if title is None:
        return f"`{{{', '.join(f'{key}: …' for key in schema['properties'])}}}`"
    text = title.removeprefix("A ").removeprefix("An ")
    return _link(text if text.endswith("`") else text + "s" * many, title)


def _family(kinds: set[str], many: bool) -> str:
    """All kinds of a family by its heading; others one by one."""
    if kinds == {name for name, _ in LAWS}:
        return _link("initial law", "Initial laws")
    for title, _, group, word in FAMILIES:
        if kinds == {kind.name for kind in plugins.kinds(group)}:
            return _link(word + ("es" if word.endswith("s") else "s") * many, title)
    return ", ".join(f"`{name}`" for name in sorted(kinds))


def _family_of(schema: Mapping[str, Any], many: bool) -> str | None:
    """The heading of the family of a kind that stands by itself, as where names of kinds stand beside it."""
    for title, _, group, word in FAMILIES:
        if any(kind.spec.__name__ == schema["title"] for kind in plugins.kinds(group)):
            return _link(word + ("es" if word.endswith("s") else "s") * many, title)
    return None


def _link(text: str, title: str) -> str:
    return f"[{text}](#{anchor(title)})"
