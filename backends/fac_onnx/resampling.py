"""Maps at other sizes. For most of it there is no operator of ONNX, or no kernel in double precision: two products."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fac.step.ir import Op
from fac.step.ops.maps import map_of, whole
from fac.step.ops.resampling import SUFFIX, Weights, weights
from fac_onnx.graph import FLOAT

if TYPE_CHECKING:
    from fac_onnx.emit import Emitter


def avg_pool2d(e: Emitter, op: Op) -> str:
    """`AveragePool`, which onnxruntime has in single precision."""
    if e.float != FLOAT:
        return resampled(e, op)
    window = {
        "kernel_shape": whole(op, "kernel"),
        "strides": whole(op, "stride"),
        "pads": whole(op, "padding") * 2,
    }
    return e.node("AveragePool", e.operands(op), op, count_include_pad=1, **window)


def upsample2d(e: Emitter, op: Op) -> str:
    """`Resize`, which onnxruntime has in single precision."""
    if e.float != FLOAT:
        return resampled(e, op)
    scales = e.graph.constant((1, 1, *whole(op, "factor")), FLOAT)
    how = NEAREST if op["mode"] == "nearest" else LINEAR
    return e.node("Resize", [*e.operands(op), "", scales], op, **how)


NEAREST = {"mode": "nearest", "nearest_mode": "floor", "coordinate_transformation_mode": "asymmetric"}
LINEAR = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}


def resampled(e: Emitter, op: Op) -> str:
    """A x B^T for each channel x, or A^T g B on the way back.

    The zeros of A and B are multiplied as well, so that what is not finite leaves NaN in all of its row and column.
    """
    returns = op.kind.endswith(SUFFIX)
    n, c, size = map_of(op.operands[0].type)
    _, _, made = map_of(op.result.type)
    a, b = (
        dense(matrix, width)
        for matrix, width in zip(
            weights(op.kind, op, made if returns else size), made if returns else size, strict=True
        )
    )
    left, right = (a.T, b) if returns else (a, b.T)
    rows = e.part(
        "MatMul",
        [e.graph.constant(left, e.float), *e.operands(op)],
        op,
        "rows",
        e.float,
        (n, c, made[0], size[1]),
    )
    return e.node("MatMul", [rows, e.graph.constant(right, e.float)], op)


def dense(matrix: Weights, width: int) -> np.ndarray:
    """With its zeros."""
    found = np.zeros((len(matrix), width))
    for row, given in zip(found, matrix, strict=True):
        row[list(given)] = list(given.values())
    return found
