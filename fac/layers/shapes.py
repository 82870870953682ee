"""Layers that join or reshape."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Literal

from fac.program.kinds import Facts, LayerKind, Mode, ShapeError, State
from fac.program.program import Shape
from fac.program.traits import Traits
from fac.spec.layers import Layer
from fac.step.builder import Builder
from fac.step.ir import Value


class Flatten(Layer):
    """All numbers of a sample in one row."""

    kind: Literal["flatten"] = "flatten"


class Add(Layer):
    """The sum of the layers named in `from`."""

    kind: Literal["add"] = "add"


def infer_flatten(layer: Flatten, name: str, inputs: Sequence[Shape]) -> Facts:
    """[a, b, ...] -> [a * b * ...]."""
    if len(inputs) != 1:
        raise ShapeError(
            f"`{name}` reads one layer, not {len(inputs)}", "join them with an `add` layer first", "from"
        )
    return Facts((prod(inputs[0]),))


def flatten(b: Builder, layer: Flatten, inputs: Sequence[Value], state: State, mode: Mode) -> Value:
    """[N, a, b, ...] -> [N, a * b * ...]."""
    return b.rows(inputs[0])


def infer_add(layer: Add, name: str, inputs: Sequence[Shape]) -> Facts:
    """Equal shapes."""
    if len(inputs) < 2:
        raise ShapeError(f"`{name}` adds at least two layers", "name them: `from: [a, b]`")
    if len(set(inputs)) > 1:
        shapes = " and ".join(str(list(shape)) for shape in inputs)
        raise ShapeError(
            f"`{name}` adds tensors of different shapes: {shapes}", "make the shapes equal", "from"
        )
    return Facts(inputs[0])


def add(b: Builder, layer: Add, inputs: Sequence[Value], state: State, mode: Mode) -> Value:
    """The sum."""
    total = inputs[0]
    for value in inputs[1:]:
        total = b.add(total, value)
    return total


TRAITS = Traits(zero=True, homogeneous=True, sign=True, value=1.0, error=1.0)
FLATTEN = LayerKind("flatten", Flatten, infer_flatten, flatten, traits=lambda *_: TRAITS)
ADD = LayerKind("add", Add, infer_add, add, traits=lambda *_: TRAITS)
