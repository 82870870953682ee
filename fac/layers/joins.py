"""Layers that read several others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from fac.layers.inputs import branches
from fac.program.kinds import Facts, LayerKind, Mode, ShapeError, State
from fac.program.program import Shape
from fac.program.traits import Traits
from fac.spec.layers import Layer
from fac.step.builder import Builder
from fac.step.ir import Value


class Add(Layer):
    """The sum of the layers named in `from`."""

    kind: Literal["add"] = "add"


class Concat(Layer):
    """The layers named in `from` one behind the other, such as the channels of two maps."""

    kind: Literal["concat"] = "concat"
    axis: Annotated[int, Field(ge=0)] = Field(
        0, description="Along which axis of a sample; 0 are the channels of a map."
    )


def several(layer: Layer, name: str, verb: str, inputs: Sequence[Shape]) -> None:
    """Refuse a join of one layer.

    Raises:
        ShapeError: it is one.
    """
    if len(inputs) < 2:
        raise ShapeError(
            f"`{name}` {verb} at least two layers",
            "name them: `from: [a, b]`",
            "from" if layer.reads else None,
        )


def infer_add(layer: Add, name: str, inputs: Sequence[Shape]) -> Facts:
    """Equal shapes."""
    several(layer, name, "adds", inputs)
    for words, shape in zip(branches(layer, inputs), inputs, strict=True):
        if shape != inputs[0]:
            first = branches(layer, inputs)[0]
            raise ShapeError(
                f"`{name}` adds tensors of different shapes: {first} and {words}",
                "make the shapes equal",
                "from",
            )
    return Facts(inputs[0])


def add(b: Builder, layer: Add, inputs: Sequence[Value], state: State, mode: Mode) -> Value:
    """The sum."""
    total = inputs[0]
    for value in inputs[1:]:
        total = b.add(total, value)
    return total


def infer_concat(layer: Concat, name: str, inputs: Sequence[Shape]) -> Facts:
    """Shapes that are equal but for one axis."""
    several(layer, name, "joins", inputs)
    axis, words = layer.axis, branches(layer, inputs)
    for one, shape in zip(words, inputs, strict=True):
        if len(shape) <= axis:
            raise ShapeError(
                f"`{name}` joins along axis {axis}, which {one} does not have",
                f"use an axis below {len(shape)}",
                "axis",
            )
        if [*shape[:axis], *shape[axis + 1 :]] != [*inputs[0][:axis], *inputs[0][axis + 1 :]]:
            raise ShapeError(
                f"`{name}` joins tensors of different shapes: {words[0]} and {one}",
                f"make them equal but for axis {axis}",
                "from",
            )
    first = inputs[0]
    return Facts((*first[:axis], sum(shape[axis] for shape in inputs), *first[axis + 1 :]))


def concat(b: Builder, layer: Concat, inputs: Sequence[Value], state: State, mode: Mode) -> Value:
    """The op of that name; the batch is one more axis."""
    return b.emit("concat", *inputs, axis=layer.axis + 1)


SUM = Traits(zero=True, homogeneous=True, sign=True, value=1.0, error=1.0)
SIDE_BY_SIDE = Traits(zero=True, homogeneous=True, sign=True)
ADD = LayerKind("add", Add, infer_add, add, traits=lambda *_: SUM)
CONCAT = LayerKind("concat", Concat, infer_concat, concat, traits=lambda *_: SIDE_BY_SIDE)
