"""Pools of maps, and the way back."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING, Any

from fac.step.ir import Op, Value
from fac.step.ops.maps import whole
from fac.step.types import Dim
from fac_onnx.graph import INT64

if TYPE_CHECKING:
    from fac_onnx.emit import Emitter


def max_pool2d(e: Emitter, op: Op) -> str:
    """`MaxPool`; where the function needs the index too, one node makes both.

    Without its second output the kernel of onnxruntime is four times as fast, and in single precision passes over NaN
    that stands beside numbers.
    """
    if any(other.kind == "max_pool2d_index" and _made_of(other) == _made_of(op) for other in e.function.ops):
        return e.alias(op, _both(e, op)[0])
    return e.node("MaxPool", e.operands(op), op, **_window(op))


def max_pool2d_index(e: Emitter, op: Op) -> str:
    """The second output of `MaxPool`, which counts on over channels and samples."""
    size = e.graph.constant(_size(op.operands[0]), INT64)
    return e.node("Mod", [_both(e, op)[1], size], op)


def _both(e: Emitter, op: Op) -> tuple[str, ...]:
    """The largest numbers and where they stand, of one node."""
    if (found := e.twins.get(_made_of(op))) is not None:
        return found
    shape = op.result.type.shape
    at = (e.graph.unique(f"{e.names[op.result]}.at"), INT64, shape)
    largest = e.part("MaxPool", e.operands(op), op, "largest", e.float, shape, also=(at,), **_window(op))
    e.twins[_made_of(op)] = largest, at[0]
    return e.twins[_made_of(op)]


def _made_of(op: Op) -> object:
    """What the results of a pool depend on."""
    return op.operands, op.attributes


def pick(e: Emitter, op: Op) -> str:
    """`GatherElements` of the rows of the map."""
    rows = [_rows(e, op, name, v) for name, v in zip(e.operands(op), op.operands, strict=True)]
    n, c, *_ = shape = op.result.type.shape
    found = e.part("GatherElements", rows, op, "rows", e.float, (n, c, _size(op.result)), axis=2)
    return _map(e, op, found, shape)


def unpick(e: Emitter, op: Op) -> str:
    """`ScatterElements` into rows of zeros."""
    g, at = (_rows(e, op, name, v) for name, v in zip(e.operands(op), op.operands, strict=True))
    n, c, *_ = shape = op.result.type.shape
    rows = (n, c, _size(op.result))
    empty = e.part("Expand", [e.scalar(0.0, op), e.target(op, rows)], op, "empty", e.float, rows)
    full = e.part("ScatterElements", [empty, at, g], op, "rows", e.float, rows, axis=2, reduction="add")
    return _map(e, op, full, shape)


def _window(op: Op) -> dict[str, Any]:
    """The attributes of `MaxPool`."""
    return {
        "kernel_shape": whole(op, "kernel"),
        "strides": whole(op, "stride"),
        "pads": whole(op, "padding") * 2,
    }


def _size(value: Value) -> int:
    """The numbers of one channel of a map."""
    return prod(dim for dim in value.type.shape[2:] if isinstance(dim, int))


def _rows(e: Emitter, op: Op, name: str, value: Value) -> str:
    """A map with each channel in one row."""
    n, c, *_ = value.type.shape
    to = e.graph.constant([-1, c, _size(value)], INT64)
    return e.part("Reshape", [name, to], op, f"{name}.rows", e.dtype(value), (n, c, _size(value)))


def _map(e: Emitter, op: Op, rows: str, shape: Sequence[Dim]) -> str:
    return e.node("Reshape", [rows, e.graph.constant([-1, *shape[1:]], INT64)], op)
