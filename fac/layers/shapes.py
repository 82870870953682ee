"""The same numbers in another shape, or in another order."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from fac.layers.inputs import counted, only
from fac.program.kinds import Back, Facts, Inverse, LayerKind, Mode, ShapeError, State
from fac.program.program import Shape
from fac.program.traits import Traits
from fac.spec.layers import Layer
from fac.step.builder import Builder
from fac.step.ir import Value


class Flatten(Layer):
    """All numbers of a sample in one row."""

    kind: Literal["flatten"] = "flatten"
    other_keys: ClassVar = dict.fromkeys(
        ("start_dim", "end_dim"), "leave it out: it flattens all but the batch; for some axes use `reshape`"
    )


class Reshape(Layer):
    """The numbers of a sample, in their order, in another shape."""

    kind: Literal["reshape"] = "reshape"
    other_kinds: ClassVar = {"unflatten": "", "view": ""}
    other_keys: ClassVar = {"unflattened_size": "write the whole `shape`, without the batch"}
    shape: Annotated[tuple[Annotated[int, Field(ge=-1)], ...], Field(min_length=1)] = Field(
        description="Of a sample; one size may be -1, for as many as are left."
    )


class Permute(Layer):
    """The axes of a sample in another order."""

    kind: Literal["permute"] = "permute"
    axes: tuple[int, ...] = Field(
        description="Which axis of the input each axis is, from 0, or from -1 backwards; `[1, 2, 0]` puts the channels "
        "of a map last."
    )


def infer_flatten(layer: Flatten, name: str, inputs: Sequence[Shape]) -> Facts:
    """[a, b, ...] -> [a * b * ...]."""
    return Facts((prod(only(name, inputs)),))


def flatten(b: Builder, layer: Flatten, inputs: Sequence[Value], state: State, mode: Mode) -> Value:
    """[N, a, b, ...] -> [N, a * b * ...]."""
    return b.rows(inputs[0])


def unflattened(b: Builder, targets: Value, seen: Back) -> Value:
    """[N, a * b * ...] -> [N, a, b, ...]."""
    return b.reshape(targets, seen.input.type.shape)


def infer_reshape(layer: Reshape, name: str, inputs: Sequence[Shape]) -> Facts:
    """As many numbers in the shape that is asked for."""
    shape, given = layer.shape, only(name, inputs)
    if 0 in shape or shape.count(-1) > 1:
        raise ShapeError(
            f"`{name}` makes {list(shape)}, which is no shape",
            "write sizes of at least 1, one of which may be -1, for as many as are left",
            "shape",
        )
    left, rest = divmod(prod(given), abs(prod(shape)))
    if rest or (left > 1 and -1 not in shape):
        raise ShapeError(
            f"`{name}` makes {list(shape)} of {list(given)}, which has {prod(given)} numbers",
            "write sizes that multiply to as many",
            "shape",
        )
    made = tuple(left if size < 0 else size for size in shape)
    return Facts(made, axes=_same(given, made))


def _same(given: Shape, made: Shape) -> tuple[int | None, ...]:
    """Which axes stay what they are: those with as many numbers before them, or behind them, and of one size."""
    before = {(prod(given[:i]), size): i for i, size in enumerate(given)}
    return tuple(before.get((prod(made[:i]), size)) for i, size in enumerate(made))


def reshape(b: Builder, layer: Reshape, inputs: Sequence[Value], state: State, mode: Mode) -> Value:
    """[N, ...] -> [N, *shape]."""
    n, *sizes = inputs[0].type.shape
    given = tuple(size for size in sizes if isinstance(size, int))
    return b.reshape(inputs[0], (n, *infer_reshape(layer, mode.node, [given]).shape))


def infer_permute(layer: Permute, name: str, inputs: Sequence[Shape]) -> Facts:
    """The sizes in the order that is asked for."""
    axes, shape = layer.axes, only(name, inputs)
    if len(axes) != len(shape) or {counted(axis, len(shape)) for axis in axes} != set(range(len(shape))):
        raise ShapeError(
            f"`{name}` orders the axes {list(axes)}, and {list(shape)} has {list(range(len(shape)))}",
            "write each of them once",
            "axes",
        )
    return Facts(tuple(shape[axis] for axis in axes), axes=tuple(axis % len(shape) for axis in axes))


def permute(b: Builder, layer: Permute, inputs: Sequence[Value], state: State, mode: Mode) -> Value:
    """The axes of a sample, behind that of the batch."""
    return b.transpose(inputs[0], (0, *(axis % len(layer.axes) + 1 for axis in layer.axes)))


TRAITS = Traits(zero=True, homogeneous=True, sign=True, value=1.0, error=1.0)
FLATTEN = LayerKind(
    "flatten",
    Flatten,
    infer_flatten,
    flatten,
    traits=lambda *_: TRAITS,
    inverse=lambda *_: Inverse(unflattened, moves=True),
)
RESHAPE = LayerKind("reshape", Reshape, infer_reshape, reshape, traits=lambda *_: TRAITS)
PERMUTE = LayerKind("permute", Permute, infer_permute, permute, traits=lambda *_: TRAITS)
SHAPES = (FLATTEN, RESHAPE, PERMUTE)
