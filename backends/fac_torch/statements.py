"""A statement: what will be one line of torch code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from fac.step.ir import Attribute, Origin, Value
from fac.step.types import DType

SLOTS = {
    "sgd": ("momentum",),
    "adam": ("mean", "square", "largest"),
    "rmsprop": ("square", "mean", "momentum"),
}
"""Optimiser kernels, and the state that each may move beside the parameter, in the order in which it takes them. Each
has another, `_outer`, that takes the factors of a gradient d^T h."""


@dataclass(frozen=True, slots=True, eq=False)
class Statement:
    """One line of the emitted function. `updates` are state inputs that it changes in place."""

    kind: str
    operands: tuple[Value, ...]
    attributes: Mapping[str, Attribute]
    result: Value | None
    origin: Origin
    updates: tuple[Value, ...] = field(default=())
    also: tuple[Value, ...] = field(default=())
    """What a kernel makes beside its result."""

    @property
    def results(self) -> tuple[Value, ...]:
        """All that it makes."""
        return self.also if self.result is None else (self.result, *self.also)


def is_outer(line: Statement) -> bool:
    """Whether it is a product d^T h, as the gradient of a weight."""
    return (
        line.kind in ("matmul", "narrow_matmul") and bool(line.attributes["ta"]) and not line.attributes["tb"]
    )


def uses_of(lines: Iterable[Statement]) -> Counter[Value]:
    """How often statements read each value."""
    return Counter(value for line in lines for value in line.operands)


def drop_dead(lines: list[Statement], keep: set[Value]) -> list[Statement]:
    """The statements without those whose results nobody reads, unless they are to be kept, or they move state."""
    live, kept = set(keep), list[Statement]()
    for line in reversed(lines):
        if line.updates or not live.isdisjoint(line.results):
            live.update(line.operands)
            kept.append(line)
    return kept[::-1]


def is_buffered(value: Value) -> bool:
    """Whether a value gets a place in the workspace: floats that are not scalars."""
    return value.type.dtype == DType.FLOAT and value.type.shape != ()
