"""One number for many: means and largest numbers along axes of a sample."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Annotated, Literal

from pydantic import Field

from fac.layers.inputs import counted, only
from fac.program.kinds import Facts, LayerKind, Mode, ShapeError, State
from fac.program.program import Shape
from fac.program.traits import Traits
from fac.spec.layers import Layer
from fac.step.builder import Builder
from fac.step.ir import Value

Axes = Literal["channels", "spatial"] | Annotated[tuple[int, ...], Field(min_length=1)]


class Reduction(Layer):
    """A layer that makes one number of those along some axes."""

    axes: Axes = Field(
        description="Of a sample: `channels` is the first, `spatial` are those behind it; or numbers, from 0, or from "
        "-1 backwards."
    )
    keep: bool = Field(False, description="Whether they stay, with size 1.")


class Mean(Reduction):
    """The mean along axes."""

    kind: Literal["mean"] = "mean"


class Max(Reduction):
    """The largest number along axes. Where several are equal, each gets an equal share of the error, as in PyTorch."""

    kind: Literal["max"] = "max"


def infer(layer: Reduction, name: str, inputs: Sequence[Shape]) -> Facts:
    """The shape without these axes, or with 1 in their place."""
    shape = only(name, inputs)
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
    # By `spatial` the first axis is taken for channels.
    channels = 0 if layer.axes == "spatial" else None
    return Facts(tuple(1 if i in axes else shape[i] for i in kept), channels=channels, axes=kept)


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
    """The op of that name."""
    (x,) = inputs
    axes = _batched(layer, x)
    kept = tuple(1 if i in axes else size for i, size in enumerate(x.type.shape))
    return b.reshape(b.mean(x, axes), kept) if layer.keep else b.mean(x, axes)


def largest(b: Builder, layer: Max, inputs: Sequence[Value], state: State, mode: Mode) -> Value:
    """The op `max`."""
    (x,) = inputs
    return b.emit("max", x, axes=_batched(layer, x), keep=layer.keep)


def averaged(layer: Mean, facts: Facts | None) -> Traits:
    """Of so many numbers, which are taken for independent."""
    part = None if facts is None else prod(facts.shape) / prod(facts.reads[0])
    return Traits(zero=True, homogeneous=True, sign=True, value=part, error=part)


LARGEST = Traits(zero=True, homogeneous=True, sign=True, error=1.0)
MEAN = LayerKind("mean", Mean, infer, mean, traits=averaged)
MAX = LayerKind("max", Max, infer, largest, traits=lambda *_: LARGEST)
REDUCTIONS = (MEAN, MAX)
