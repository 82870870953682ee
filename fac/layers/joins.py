"""Layers that read several others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from fac.layers.inputs import branches, counted
from fac.program.kinds import Facts, LayerKind, Mode, ShapeError, Sight, State
from fac.program.program import Shape
from fac.program.traits import Traits
from fac.spec.layers import Layer
from fac.step.builder import Builder
from fac.step.ir import Value

BESIDE = "name all layers that it reads: `from: [a, b]`"


class Add(Layer):
    """The sum of the layers named in `from`."""

    kind: Literal["add"] = "add"
    other_kinds: ClassVar = {"sum": "", "plus": ""}
    other_keys: ClassVar = {"with": BESIDE, "other": BESIDE}


class Concat(Layer):
    """The layers named in `from` one behind the other, such as the channels of two maps."""

    kind: Literal["concat"] = "concat"
    other_kinds: ClassVar = {"cat": ""}
    other_keys: ClassVar = {"dim": "write `axis`, which is counted without the batch"}
    axis: int = Field(0, description="Axis of a sample, from 0, the channels of a map, or from -1 backwards.")


class Stack(Layer):
    """The layers named in `from`, all of one shape [...], as one sequence [number of them, ...]."""

    kind: Literal["stack"] = "stack"


class Multiply(Layer):
    """The product of the layers named in `from`, number by number.

    Shapes are compared from their first axis on. Axes that one of them lacks at its end, and axes of size 1, are
    stretched: [C] and [C, 1, 1] beside [C, H, W] are one factor for each channel, [1, H, W] is one for each place.
    """

    kind: Literal["multiply"] = "multiply"
    other_kinds: ClassVar = {"mul": "", "product": ""}
    other_keys: ClassVar = {"with": BESIDE, "other": BESIDE}


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


def joined(shapes: Sequence[Shape], how: str) -> str:
    """The help for shapes that cannot be added: where they differ along one axis only, they can stand side by side."""
    axes = {
        axis
        for shape in shapes
        for axis, (one, other) in enumerate(zip(shape, shapes[0], strict=False))
        if one != other
    }
    if len(axes) != 1 or len({len(shape) for shape in shapes}) != 1:
        return "make the shapes equal"
    (axis,) = axes
    return f"make the shapes equal, or {how} with `concat`" + (f" and `axis: {axis}`" if axis else "")


def infer_add(layer: Add, name: str, inputs: Sequence[Shape]) -> Facts:
    """Equal shapes."""
    several(layer, name, "adds", inputs)
    for words, shape in zip(branches(layer, inputs), inputs, strict=True):
        if shape != inputs[0]:
            first = branches(layer, inputs)[0]
            raise ShapeError(
                f"`{name}` adds tensors of different shapes: {first} and {words}",
                joined(inputs, "join them"),
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
    words = branches(layer, inputs)
    axis = counted(layer.axis, len(inputs[0]))
    if axis is None:
        raise ShapeError(
            f"`{name}` goes along axis {layer.axis}, which {words[0]} does not have",
            f"use an axis from {-len(inputs[0])} to {len(inputs[0]) - 1}",
            "axis",
        )
    for one, shape in zip(words, inputs, strict=True):
        if len(shape) != len(inputs[0]) or _others(shape, axis) != _others(inputs[0], axis):
            raise ShapeError(
                f"`{name}` joins tensors of different shapes: {words[0]} and {one}",
                f"make them equal but for axis {axis}",
                "from",
            )
    made = list(inputs[0])
    made[axis] = sum(shape[axis] for shape in inputs)
    return Facts(tuple(made))


def _others(shape: Shape, axis: int) -> Shape:
    """The sizes along all axes but that one."""
    return (*shape[:axis], *shape[axis + 1 :])


def concat(b: Builder, layer: Concat, inputs: Sequence[Value], state: State, mode: Mode) -> Value:
    """The op of that name; the batch is one more axis."""
    return b.emit("concat", *inputs, axis=layer.axis % (len(inputs[0].type.shape) - 1) + 1)


def infer_stack(layer: Stack, name: str, inputs: Sequence[Shape]) -> Facts:
    """[...] -> [number of inputs, ...]."""
    words = branches(layer, inputs)
    for one, shape in zip(words, inputs, strict=True):
        if shape != inputs[0]:
            raise ShapeError(
                f"`{name}` stacks tensors of different shapes: {words[0]} and {one}",
                "make the shapes equal",
                "from",
            )
    sights = tuple(Sight(place=place) for place in range(len(inputs)))
    return Facts((len(inputs), *inputs[0]), axes=(None, *range(len(inputs[0]))), sights=sights)


def stack(b: Builder, layer: Stack, inputs: Sequence[Value], state: State, mode: Mode) -> Value:
    """Each with one more axis behind that of the batch, along which they stand side by side."""
    given = [b.reshape(x, (x.type.shape[0], 1, *x.type.shape[1:])) for x in inputs]
    return b.emit("concat", *given, axis=1) if len(given) > 1 else given[0]


def infer_multiply(layer: Multiply, name: str, inputs: Sequence[Shape]) -> Facts:
    """Shapes that are equal where both have an axis that is not 1."""
    several(layer, name, "multiplies", inputs)
    words, shapes = branches(layer, inputs), _widened(inputs)
    made = tuple(map(max, *shapes))
    for axis, size in enumerate(made):
        wide = next(i for i, shape in enumerate(shapes) if shape[axis] == size)
        for i, shape in enumerate(shapes):
            if shape[axis] not in (1, size):
                one, two = (words[k] for k in sorted((i, wide)))
                raise ShapeError(
                    f"`{name}` multiplies tensors of different shapes: {one} and {two} differ along axis {axis}",
                    "make them equal along it, or one of them 1; axes are counted from the first one on",
                    "from",
                )
    return Facts(made, axes=tuple(range(len(made))))


def _widened(shapes: Sequence[Shape]) -> list[Shape]:
    """All of one rank, by axes of size 1 at their ends."""
    rank = max(map(len, shapes))
    return [shape + (1,) * (rank - len(shape)) for shape in shapes]


def multiply(b: Builder, layer: Multiply, inputs: Sequence[Value], state: State, mode: Mode) -> Value:
    """The product, broadcast."""
    rank = max(len(x.type.shape) for x in inputs)
    first, *others = (b.reshape(x, x.type.shape + (1,) * (rank - len(x.type.shape))) for x in inputs)
    for value in others:
        first = b.mul(first, value)
    return first


def side_by_side(layer: Concat | Stack, facts: Facts | None) -> Traits:
    """Each of several inputs of one size has an equal part."""
    alike = facts is not None and len(set(facts.reads)) == 1
    part = 1 / len(facts.reads) if facts is not None and alike else None
    return Traits(zero=True, homogeneous=True, sign=True, value=part, error=part)


SUM = Traits(zero=True, homogeneous=True, sign=True, value=1.0, error=1.0)
PRODUCT = Traits(zero=True, sign=True)
ADD = LayerKind("add", Add, infer_add, add, traits=lambda *_: SUM)
CONCAT = LayerKind("concat", Concat, infer_concat, concat, traits=side_by_side)
MULTIPLY = LayerKind("multiply", Multiply, infer_multiply, multiply, traits=lambda *_: PRODUCT)
STACK = LayerKind("stack", Stack, infer_stack, stack, traits=side_by_side)
JOINS = (ADD, MULTIPLY, CONCAT, STACK)
