"""The reference page of the spec, made from the models: every section, every kind, every field."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from fac import plugins
from fac.spec import feedback, schedules, train, updates
from fac.spec.model import Input, ModelSpec

FAMILIES = (
    ("Layers", "layers:", "fac.layers"),
    ("Losses", "loss:", "fac.losses"),
    ("Feedback rules", "feedback:", "fac.rules"),
    ("Feedback operators", "matrix:", "fac.feedback"),
    ("How feedback learns", "read:, write:, learn:, basis:", "fac.learning"),
    ("Update rules", "update:", "fac.updates"),
    ("Data", "data:", "fac.data"),
    ("Probes", "probes:", "fac.probes"),
)
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
    ("`constraints:`", train.Constraints),
)
TAGS = ("kind", "rule", "source")


def page() -> str:
    """The page as Markdown."""
    parts = [
        "# The spec\n\nMade by `fac schema --markdown` from the models that read a spec. * marks what must be given.\n"
    ]
    for title, model in SECTIONS:
        parts.append(f"## {title}\n\n{_summary(model)}\n{_table(model, own=False)}")
    for title, keys, group in FAMILIES:
        parts.append(f"## {title}\n\nUnder `{keys}`\n")
        parts += [
            f"### `{kind.name}`\n\n{_summary(kind.spec)}\n{_table(kind.spec, own=True)}"
            for kind in plugins.kinds(group)
        ]
    return "\n".join(parts)


def _summary(model: type[BaseModel]) -> str:
    return " ".join((model.__doc__ or "").split()) + "\n"


def _table(model: type[BaseModel], own: bool) -> str:
    rows = list(_rows(model, own))
    return "" if not rows else "| key | default | meaning |\n|---|---|---|\n" + "".join(rows)


def _rows(model: type[BaseModel], own: bool) -> Iterator[str]:
    for name, field in model.model_fields.items():
        if not (own and name in TAGS):
            key = field.alias or name
            mark = "*" if field.is_required() else ""
            yield f"| `{key}`{mark} | {_default(field)} | {(field.description or '').replace('|', '/')} |\n"


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
