"""Tensors side by side, and tensors with more or fewer rows at their ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fac.step.ir import Op
from fac.step.ops.maps import whole
from fac_onnx.graph import INT64

if TYPE_CHECKING:
    from fac_onnx.emit import Emitter


LAST = 2**62
"""A stop behind any end."""


def concat(e: Emitter, op: Op) -> str:
    """`Concat`."""
    return e.node("Concat", e.operands(op), op, axis=op["axis"])


def pad(e: Emitter, op: Op) -> str:
    """`Pad` with zeros, of which it is told all beginnings, then all ends."""
    ends = e.graph.constant((*whole(op, "before"), *whole(op, "after")), INT64)
    return e.node("Pad", [*e.operands(op), ends, e.scalar(0.0, op)], op)


def crop(e: Emitter, op: Op) -> str:
    """`Slice` along the axes that lose something."""
    before, after = whole(op, "before"), whole(op, "after")
    axes = [axis for axis, ends in enumerate(zip(before, after, strict=True)) if any(ends)]
    stops = [-after[axis] or LAST for axis in axes]
    bounds = [before[axis] for axis in axes], stops, axes
    return e.node("Slice", [*e.operands(op), *(e.graph.constant(v, INT64) for v in bounds)], op)
