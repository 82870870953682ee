"""Whether two compiled steps compute the same: what stands behind the words "the same meaning"."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fac.render.diff.difference import Item, Subject
from fac.render.diff.models import law
from fac.render.diff.side import Side
from fac.step.ir import Function, Value


def step(old: Side, new: Side) -> Iterator[Item]:
    """What the steps make differently, for programs that differ in nothing else.

    A plug-in's kind may do what none of its settings tell. And the order of routes decides in which order errors
    are added up, and which of two matrices at one layer is drawn first.
    """
    known: dict[object, int] = {}
    for name in _differing(_computed(old.step, known), _computed(new.step, known)):
        subject = Subject.of(output=name)
        yield Item(subject, subject, note="computed in another way")
    for name in _differing(_drawn(old), _drawn(new)):
        subject = Subject.of(state=name)
        yield Item(subject, subject, note="drawn in another way")


def renumbered(tensors: Mapping[str, str]) -> Iterator[Item]:
    """State that has another name although its layer has the same: a second matrix that is now the first.

    Args:
        tensors: new names by old names.
    """
    for old, new in tensors.items():
        if old != new and old.partition(".feedback.")[0] == new.partition(".feedback.")[0]:
            yield Item(Subject.of(state=old), Subject.of(state=new), note="drawn in another way")


def _differing(old: dict[str, object], new: dict[str, object]) -> list[str]:
    return [name for name in dict.fromkeys((*old, *new)) if old.get(name) != new.get(name)]


def _computed(function: Function, known: dict[object, int]) -> dict[str, object]:
    """A number for each output: equal for equal expressions of inputs of equal names, in whatever order they stand."""
    number: dict[Value, int] = {}
    for value in function.inputs:
        number[value] = known.setdefault((value.name, value.type), len(known))
    for op in function.ops:
        key = op.kind, op.attributes, op.result.type, tuple(number[v] for v in op.operands)
        number[op.result] = known.setdefault(key, len(known))
    return {name: number[value] for name, value in function.outputs}


def _drawn(side: Side) -> dict[str, object]:
    """Shape, initial law and mask of each tensor."""
    return {t.name: (t.shape, repr(law(t)), t.fan_in, t.fan_out, t.mask) for t in side.tensors}
