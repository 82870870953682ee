"""Models of the spec as plain data, and what two of them differ in."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from pydantic.fields import FieldInfo

from fac.program.lower import kind_of
from fac.program.program import Program
from fac.program.tensors import Columns, Constant, SvdFactor, Tensor
from fac.render.diff.difference import Change, Plain
from fac.spec.base import Model
from fac.spec.core_schema import DISCRIMINATORS
from fac.spec.feedback import Learning, Matrix
from fac.spec.layers import Layer, Loss, ParametricLayer
from fac.spec.schedules import Schedule
from fac.spec.solve import Solve
from fac.spec.train import Probe
from fac.spec.updates import Rule

FAMILIES: tuple[tuple[type[Model], str], ...] = (
    (Layer, "fac.layers"),
    (Loss, "fac.losses"),
    (Matrix, "fac.feedback"),
    (Learning, "fac.learning"),
    (Rule, "fac.updates"),
    (Schedule, "fac.schedules"),
    (Solve, "fac.solve"),
    (Probe, "fac.probes"),
)
"""Whose kinds say which of their settings have no effect."""

LAW = "init"
"""How fields begin that say how state is drawn. What they come to is read off the state: a default may depend on
what the layer is like, and be written out with the same meaning."""


def tag(model: Model) -> str:
    """The field that says which kind a model is; empty if it has none."""
    return next((key for key in DISCRIMINATORS if key in type(model).model_fields), "")


def plain(value: Any) -> Plain:
    """A value of the spec with all fields of the models in it, by their keys."""
    match value:
        case Model():
            return {
                field.alias or name: plain(getattr(value, name))
                for name, field in type(value).model_fields.items()
            }
        case tuple() | list():
            return tuple(map(plain, value))
        case Mapping():
            return {str(key): plain(item) for key, item in value.items()}
        case bool() | int() | float() | str() | None:
            return value
    return str(value)


def described(model: Model, without: Collection[str] = ()) -> dict[str, Plain]:
    """What kind it is, its learning rules, and what else is not as by default."""
    found: dict[str, Plain] = {}
    fields = type(model).model_fields
    for name in sorted(fields, key=lambda name: name not in DISCRIMINATORS):
        field, value = fields[name], getattr(model, name)
        shown = field.is_required() or isinstance(value, Learning) or value != _default(field)
        if name not in without and (shown or name in DISCRIMINATORS):
            key = field.alias or name
            found[key] = described(value) if isinstance(value, Model) else plain(value)
    return found


def differing(
    old: Model,
    new: Model,
    programs: tuple[Program, Program],
    without: Collection[str] = (),
    whole: str = "",
    prefix: str = "",
) -> Iterator[Change]:
    """The settings that two models differ in, but for initial laws.

    Args:
        old: the model before.
        new: the model after.
        programs: that the models belong to.
        without: names of fields that are compared elsewhere.
        whole: what to call the whole model if it is of another kind now; the key that says so by default.
        prefix: what stands before the names of its fields.
    """
    key = tag(new)
    if type(old).model_fields.keys() != type(new).model_fields.keys() or (
        key and getattr(old, key) != getattr(new, key)
    ):
        yield Change(whole or key, described(old, without), described(new, without))
        return
    idle = tuple(_unused(model, program) for model, program in zip((old, new), programs, strict=True))
    for name, field in type(new).model_fields.items():
        if name in without or name.startswith(LAW):
            continue
        before, after = (
            _default(field) if name in names else getattr(model, name)
            for model, names in zip(map(_spelled, (old, new)), idle, strict=True)
        )
        path = field.alias or name
        if isinstance(before, Model) and isinstance(after, Model):
            yield from differing(before, after, programs, whole=prefix + path, prefix=f"{prefix}{path}.")
        elif plain(before) != plain(after):
            shown = (described(v) if isinstance(v, Model) else plain(v) for v in (before, after))
            yield Change(prefix + path, *shown)


def _spelled(model: Model) -> Model:
    """With what follows from being frozen or not said outright, as a long form has it."""
    return model.frozen() if isinstance(model, ParametricLayer) else model


def laws(old: Model, new: Model, before: Sequence[Tensor], after: Sequence[Tensor]) -> Iterator[Change]:
    """How the initial laws of two models' state differ, if the models say anything different of it.

    If they do not, it follows from shapes, which are reported where they change.
    """
    fields = type(new).model_fields
    if type(old).model_fields.keys() != fields.keys() or all(
        getattr(old, name) == getattr(new, name) for name in fields if name.startswith(LAW)
    ):
        return
    known = {tensor.part: law(tensor) for tensor in before}
    for tensor in after:
        if tensor.part in known and known[tensor.part] != law(tensor):
            yield Change(f"{tensor.part}.{LAW}", known[tensor.part], law(tensor))


def law(tensor: Tensor) -> Plain:
    """The initial law of a tensor: a name, or a mapping with a `kind`."""
    found = tensor.law
    if isinstance(found, SvdFactor):
        return "svd"
    if isinstance(found, Constant):
        return found.value
    if isinstance(found, Columns):
        return "chosen" if found.sets is None else {"kind": "chosen", "sets": found.sets}
    return described(found) if isinstance(found, Model) else found


def _default(field: FieldInfo) -> Any:
    """What a field is if nobody writes it; None if it has to be written."""
    return None if field.is_required() else field.get_default(call_default_factory=True)


def _unused(model: Model, program: Program) -> frozenset[str]:
    group = next((group for base, group in FAMILIES if isinstance(model, base)), None)
    if group is None:
        return frozenset()
    return frozenset(
        found.field for found in kind_of(group, model).unused(model, program) if found.item is None
    )
