"""A part of what stands along an axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from fac.layers.inputs import counted, only
from fac.program.kinds import Facts, LayerKind, Mode, ShapeError, State
from fac.program.program import Shape
from fac.program.traits import Traits
from fac.spec.layers import Layer
from fac.step.builder import Builder
from fac.step.ir import Value


class Slice(Layer):
    """Those from `start` to `stop` of what stands along an axis, such as all tokens but the first."""

    kind: Literal["slice"] = "slice"
    other_kinds: ClassVar = {"narrow": "", "crop": "write `kind: slice`, one for each axis"}
    other_keys: ClassVar = {
        "dim": "write `axis`, which is counted without the batch",
        "end": "stop",
        "length": "write `stop`, the first one behind",
    }
    axis: int = Field(0, description="Axis of a sample, from 0, or from -1 backwards.")
    start: int = Field(0, description="The first one, from 0, or from -1 backwards.")
    stop: int | None = Field(
        None, description="The first one behind, counted as `start` is. Default: none, so up to the end."
    )


def ends(layer: Slice, name: str, shape: Shape) -> tuple[int, int, int]:
    """The axis, the first one and the first one behind, all counted from 0.

    Raises:
        ShapeError: there is no such axis, or nothing lies between the two.
    """
    axis = counted(layer.axis, len(shape))
    if axis is None:
        raise ShapeError(
            f"`{name}` cuts along axis {layer.axis} of {list(shape)}",
            f"use an axis from {-len(shape)} to {len(shape) - 1}",
            "axis",
        )
    size = shape[axis]
    start, stop = (at + size * (at < 0) for at in (layer.start, size if layer.stop is None else layer.stop))
    if not 0 <= start < stop <= size:
        upto = "the end" if layer.stop is None else layer.stop
        raise ShapeError(
            f"`{name}` takes what stands from {layer.start} to {upto} along axis {axis}, of {size}",
            f"let `start` be less than `stop`, and both numbers from {-size} to {size}",
            "start" if layer.stop is None or not 0 <= start < size else "stop",
        )
    return axis, start, stop


def infer(layer: Slice, name: str, inputs: Sequence[Shape]) -> Facts:
    """As many along the axis as are taken."""
    shape = only(name, inputs)
    axis, start, stop = ends(layer, name, shape)
    return Facts((*shape[:axis], stop - start, *shape[axis + 1 :]))


def forward(b: Builder, layer: Slice, inputs: Sequence[Value], state: State, mode: Mode) -> Value:
    """The op `crop`."""
    (x,) = inputs
    sample = tuple(dim for dim in x.type.shape[1:] if isinstance(dim, int))
    axis, start, stop = ends(layer, mode.node, sample)
    if (start, stop) == (0, sample[axis]):
        return x
    before = tuple(start if i == axis else 0 for i in range(len(sample)))
    after = tuple(sample[axis] - stop if i == axis else 0 for i in range(len(sample)))
    return b.emit("crop", x, before=(0, *before), after=(0, *after))


SLICE = LayerKind(
    "slice", Slice, infer, forward, traits=lambda *_: Traits(zero=True, homogeneous=True, sign=True)
)
