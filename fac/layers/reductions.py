"""One number for many: means and largest numbers along axes of a sample."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Annotated, Literal

from pydantic import Field

from fac.layers.inputs import counted, only
from fac.program.kinds import Facts, LayerKind, Mode, ShapeError, Sight, State
from fac.program.program import Shape
from fac.program.traits import Traits
from fac.spec.layers import Layer, Named
from fac.step.builder import Builder
from fac.step.ir import Value

Axes = Literal["channels", "spatial"] | Annotated[tuple[int, ...], Field(min_length=1)]


FAR = 1e30
"""Farther from 0 than what networks compute with, and within float32."""


class Reduction(Layer):
    """A layer that makes one number of those along some axes."""

    axes: Axes = Field(
        description="Of a sample: `channels` is the first, `spatial` are those behind it; or numbers, from 0, or from "
        "-1 backwards."
    )
    keep: bool = Field(False, description="Whether they stay, with size 1.")
    mask: Annotated[str | None, Named(mask=True)] = Field(
        None,
        description="An input with `mask: true`, of the shape of these axes: where it is 0, a place does not count. "
        "Where all are 0, the result is 0.",
    )


class Mean(Reduction):
    """The mean along axes."""

    kind: Literal["mean"] = "mean"


class Max(Reduction):
    """The largest number along axes. Where several are equal, each gets an equal share of the error, as in PyTorch."""

    kind: Literal["max"] = "max"


def infer(layer: Reduction, name: str, inputs: Sequence[Shape]) -> Facts:
    """The shape without these axes, or with 1 in their place."""
    read, mask = (inputs[:-1], inputs[-1]) if layer.mask else (inputs, None)
    shape = only(name, read)
    axes = _axes(layer, len(shape))
    if len(set(axes)) < len(axes) or not axes or None in axes:
        said = f"`{layer.axes}`" if isinstance(layer.axes, str) else f"the axes {list(layer.axes)}"
        raise ShapeError(
            f"`{name}` goes along {said} of {list(shape)}",
            f"name some of the axes {list(range(len(shape)))}, each once",
            "axes",
        )
    kept = tuple(i for i in range(len(shape)) if layer.keep or i not in axes)
    if not kept:
        raise ShapeError(f"`{name}` leaves no axis of {list(shape)}", "write `keep: true`", "axes")
    along = tuple(size for i, size in enumerate(shape) if i in axes)
    if mask is not None and mask != along:
        raise ShapeError(
            f"`{name}` goes along axes of {list(along)}, and its mask `{layer.mask}` has shape {list(mask)}",
            f"a mask has one number for each place: declare it with `shape: {list(along)}`",
            "mask",
        )
    # By `spatial` the first axis is taken for channels.
    channels = 0 if layer.axes == "spatial" else None
    leading = sorted(axis for axis in axes if axis is not None) == list(range(len(axes)))
    return Facts(
        tuple(1 if i in axes else shape[i] for i in kept),
        channels=channels,
        axes=kept,
        sights=(Sight(masked=True),) if mask is not None and leading else (),
    )


def _axes(layer: Reduction, rank: int) -> tuple[int | None, ...]:
    """Of a sample; None for one that is not there."""
    if layer.axes == "channels":
        return (0,)
    if layer.axes == "spatial":
        return tuple(range(1, rank))
    return tuple(counted(axis, rank) for axis in layer.axes)


def _batched(layer: Reduction, x: Value) -> tuple[int, ...]:
    """The axes of a tensor that holds samples."""
    return tuple(axis + 1 for axis in _axes(layer, len(x.type.shape) - 1) if axis is not None)


def mean(b: Builder, layer: Mean, inputs: Sequence[Value], state: State, mode: Mode) -> Value:
    """The op of that name; with a mask m of the places the sum of m x, divided by that of m."""
    x, axes = inputs[0], _batched(layer, inputs[0])
    if layer.mask:
        mask = _spread(b, inputs[1], x, axes)
        count = b.maximum(b.sum(mask, axes, keep=layer.keep), 1.0)
        return b.div(b.sum(b.mul(x, mask), axes, keep=layer.keep), count)
    kept = tuple(1 if i in axes else size for i, size in enumerate(x.type.shape))
    return b.reshape(b.mean(x, axes), kept) if layer.keep else b.mean(x, axes)


def largest(b: Builder, layer: Max, inputs: Sequence[Value], state: State, mode: Mode) -> Value:
    """The op `max`; with a mask that of the places where it is 1, below which the others are moved."""
    x, axes = inputs[0], _batched(layer, inputs[0])
    if not layer.mask:
        return b.emit("max", x, axes=axes, keep=layer.keep)
    mask = _spread(b, inputs[1], x, axes)
    shown = b.add(b.mul(x, mask), b.mul(b.sub(mask, 1.0), FAR))
    some = b.stop_gradient(b.emit("max", mask, axes=axes, keep=layer.keep))
    return b.mul(b.emit("max", shown, axes=axes, keep=layer.keep), some)


def _spread(b: Builder, mask: Value, x: Value, axes: Sequence[int]) -> Value:
    """A mask of the places along axes, with an axis of size 1 for each of the others. No error goes back to it."""
    shape = tuple(size if i in (0, *axes) else 1 for i, size in enumerate(x.type.shape))
    return b.stop_gradient(b.reshape(mask, shape))


MASKED = Traits(zero=True, homogeneous=True, sign=True)
"""Of how many numbers, and whether of any, is not known."""


def averaged(layer: Mean, facts: Facts | None) -> Traits:
    """Of so many numbers, which are taken for independent."""
    if layer.mask:
        return MASKED
    part = None if facts is None else prod(facts.shape) / prod(facts.reads[0])
    return Traits(zero=True, homogeneous=True, sign=True, value=part, error=part)


def topped(layer: Max, facts: Facts | None) -> Traits:
    """Whoever is largest gets the error."""
    return MASKED if layer.mask else LARGEST


LARGEST = Traits(zero=True, homogeneous=True, sign=True, error=1.0)
MEAN = LayerKind("mean", Mean, infer, mean, traits=averaged)
MAX = LayerKind("max", Max, infer, largest, traits=topped)
REDUCTIONS = (MEAN, MAX)
