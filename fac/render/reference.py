"""The reference page of the spec, made from the models: every section, every kind, every field.

What no model says, such as what a site is, stands here as text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from fac import plugins
from fac.spec import constraints, feedback, init, schedules, train, updates
from fac.spec.model import Input, ModelSpec

FAMILIES = (
    ("Layers", "layers:", "fac.layers", "layer"),
    ("Losses", "loss:", "fac.losses", "loss"),
    ("Feedback rules", "feedback:", "fac.rules", "feedback rule"),
    ("Feedback operators", "matrix:", "fac.feedback", "feedback operator"),
    ("How feedback learns", "read:, write:, learn:, basis:", "fac.learning", "learning rule"),
    ("Update rules", "update:", "fac.updates", "update rule"),
    ("Data", "data:", "fac.data", "data source"),
    ("Probes", "probes:", "fac.probes", "probe"),
)
"""Heading, keys, entry-point group, and what one kind is called."""
SECTIONS: tuple[tuple[str, type[BaseModel]], ...] = (
    ("The whole spec", ModelSpec),
    ("`input:`", Input),
    ("`feedback:` written out", feedback.Routing),
    ("A subspace", feedback.Subspace),
    ("A `through` route", feedback.ThroughRoute),
    ("A `to` route", feedback.ToRoute),
    ("Shared by all update rules", updates.Shared),
    ("`clip:`", updates.Clip),
    ("`feedback:` inside `update:`", updates.Setting),
    ("An item of `groups:`", updates.Group),
    ("`schedule: {kind: cosine}`", schedules.Cosine),
    ("`schedule: {kind: step}`", schedules.StepDecay),
    ("`schedule: {kind: constant}`", schedules.Constant),
    ("`train:`", train.Train),
    ("`constraints:`", constraints.Constraints),
    ("A bound", constraints.Bound),
    ("A bound on memory", constraints.MemoryBound),
)
LAWS: tuple[tuple[str, type[BaseModel]], ...] = (("normal", init.Normal), ("uniform", init.Uniform))
TAGS = ("kind", "rule", "source")

INITIAL_LAWS = (
    ("kaiming_uniform", "U(-b, b), b = sqrt(6 / fan_in)"),
    ("xavier_uniform", "U(-b, b), b = sqrt(6 / (fan_in + fan_out))"),
    ("launay", "N(0, 1) / sqrt(fan_in * fan_out)"),
    ("orthogonal", "orthonormal rows, or orthonormal columns if there are more rows than columns"),
    ("zeros", "0"),
)
INITIAL = """\
Under `init:`, `init_P:`, `init_Q:`

A name, or a mapping with a `kind`. Of a linear layer fan_in is the number of its inputs and fan_out that of its units.
Of a feedback matrix B fan_in is the number of values that it writes and fan_out that of those that it reads, as in the
weight that it stands for; of P they are the values read and the rank, of Q the rank and the values written.
"""
SITE = """\
A direct route feeds a layer at its *site*: the output of the last layer that is reached from it while each has a single
reader, which has no weights and no other input. In `linear, relu, dropout, linear` the site of the first layer is
after the dropout, so the derivatives of dropout and relu still apply. The site lies before a join (`add`): what is fed
to a layer does not enter a skip connection. `at:` names another place.

The *error* of a layer is what the backward pass, with its routes, brings to the output of that layer: without routes
the derivative of the loss by that output.
"""
SEVERAL = """\
`feedback:` is one section or a list of sections that apply together:

```yaml
feedback:
  - {rule: fa, nodes: [fc2, fc3]}
  - {rule: ldfa, rank: 4, nodes: logits}
```

A section is a [feedback rule](#feedback-rules) or [routes written out](#feedback-written-out). Two sections that decide
over the same error are a finding (FAC306). Without any section all errors are exact.
"""
LDFA_LEARN = (
    ("fixed", "fixed", "fixed", "random"),
    ("kolen_pollack", "fixed", "kolen_pollack", "random"),
    ("oja_kp", "oja", "kolen_pollack", "random"),
    ("local", "local", "kolen_pollack", "svd"),
    ("normative", "normative", "normative", "svd"),
)
"""`learn:` of `ldfa`, and `read`, `write` and `init` of the `low_rank` operators that it stands for."""
LDFA = f"""\
What `learn` stands for in the [`low_rank`](#low_rank) operator of each route:

| `learn` | `read` (P) | `write` (Q) | `init` |
|---|---|---|---|
{"".join("".join(f"| `{cell}` " for cell in row) + "|" + chr(10) for row in LDFA_LEARN)}
The rules are those of [how feedback learns](#how-feedback-learns). `normative` and `svd` read the forward weight.
"""
LEARNING = """\
Written `{rule: oja}`. d [N, reads] is the error that the operator reads, x [N, writes] the forward value at which its
output arrives, s = d P^T. `oja` moves P by itself, without the learning rate. The others make a gradient, which the
update rule turns into a step as it does for weights; `feedback:` inside `update:` changes that. All read the values
from before the step.
"""
NOTES: Mapping[str, str] = {
    "A bound": "For example `constraints: {backward_macs_vs_backprop: {at_most: 0.7}}`.\n",
    "ldfa": LDFA,
    "direct_ldfa": "`learn` as in [`ldfa`](#ldfa), but P and Q start at `random`: there is no forward weight.\n",
    "How feedback learns": LEARNING,
}
"""What follows the table of a section or kind, or the heading of a family."""


def page() -> str:
    """The page as Markdown."""
    parts = [
        "# The spec\n\nMade by `fac schema --markdown` from the models that read a spec. * marks what must be given.\n"
    ]
    for title, model in SECTIONS:
        parts.append(f"## {title}\n\n{_summary(model)}\n{_table(model, own=False)}{_note(title)}")
        if model is ModelSpec:
            parts.append(f"## One or several `feedback:` sections\n\n{SEVERAL}")
        if model is feedback.ToRoute:
            parts.append(f"## What a site is\n\n{SITE}")
    parts.append(f"## Initial laws\n\n{INITIAL}\n{_laws()}")
    parts += [f"### `{name}`\n\n{_summary(model)}\n{_table(model, own=True)}" for name, model in LAWS]
    for title, keys, group, _ in FAMILIES:
        shown = ", ".join(f"`{key}`" for key in keys.split(", "))
        parts.append(f"## {title}\n\nUnder {shown}\n" + _note(title))
        parts += [
            f"### `{kind.name}`\n\n{_summary(kind.spec)}\n{_table(kind.spec, own=True)}{_note(kind.name)}"
            for kind in plugins.kinds(group)
        ]
    return "\n".join(parts)


def anchor(title: str) -> str:
    """The fragment by which a heading is linked to."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def _note(of: str) -> str:
    return f"\n{NOTES[of]}" if of in NOTES else ""


def _laws() -> str:
    return "| name | law |\n|---|---|\n" + "".join(f"| `{name}` | {law} |\n" for name, law in INITIAL_LAWS)


def _summary(model: type[BaseModel]) -> str:
    return " ".join((model.__doc__ or "").split()) + "\n"


def _table(model: type[BaseModel], own: bool) -> str:
    rows = list(_rows(model, own))
    head = "| key | values | default | meaning |\n|---|---|---|---|\n"
    return head + "".join(rows) if rows else ""


def _rows(model: type[BaseModel], own: bool) -> Iterator[str]:
    schema = model.model_json_schema(by_alias=True)
    for name, field in model.model_fields.items():
        if not (own and name in TAGS):
            key = field.alias or name
            mark = "*" if field.is_required() else ""
            cells = (
                f"`{key}`{mark}",
                _values(schema["properties"][key], schema.get("$defs", {})),
                _default(field),
                field.description or "",
            )
            yield "".join(f"| {cell.replace('|', '/')} " for cell in cells) + "|\n"


def _default(field: FieldInfo) -> str:
    default: Any = field.default
    if default is PydanticUndefined or default is None or field.default_factory is not None:
        return ""
    if isinstance(default, BaseModel):
        tag = next((getattr(default, t) for t in TAGS if hasattr(default, t)), "")
        return f"`{tag}`" if tag else ""
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return "" if default == () else f"`{default}`"


def _values(schema: Mapping[str, Any], models: Mapping[str, Any]) -> str:
    """What a place of the JSON Schema takes."""
    forms = list(_forms(schema))
    plain = [_plain(form, models, many=False) for form in forms if form.get("type") != "array"]
    found = list(dict.fromkeys(plain))
    for form in forms:
        if form.get("type") == "array":
            items = list(_forms(form["items"]))
            same = found and {_plain(item, models, many=False) for item in items} == set(found)
            them = " or ".join(dict.fromkeys(_plain(item, models, many=True) for item in items))
            found.append("a list of such" if same and len(found) > 1 else f"list of {them}")
    return (
        ", or ".join(filter(None, (" or ".join(found[:-1]), found[-1])))
        if _long(found)
        else " or ".join(found)
    )


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
    """A section by its heading, a small mapping by its keys."""
    title = next((title for title, model in SECTIONS if model.__name__ == schema["title"]), None)
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
            return _link(word + "s" * many, title)
    return ", ".join(f"`{name}`" for name in sorted(kinds))


def _link(text: str, title: str) -> str:
    return f"[{text}](#{anchor(title)})"
