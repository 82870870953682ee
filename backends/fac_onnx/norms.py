"""Sizes of tensors: `max_abs` and `norm` in few passes over the numbers.

Reductions only read, while `Abs` or `Mul` write as many numbers as they read and take ten times longer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fac.step.ir import Op
from fac.step.types import Shape
from fac_onnx.graph import BOOL, DOUBLE, INT64

if TYPE_CHECKING:
    from fac_onnx.emit import Emitter


def max_abs(e: Emitter, op: Op) -> str:
    """The largest magnitude over axes: that of the largest number or of the smallest."""
    (x,) = e.operands(op)
    keep = int(bool(op["keep"]))
    return e.node("Max", _ends(e, op, x, op["axes"], op.result.type.shape, keep), op)


def norm(e: Emitter, op: Op) -> str:
    """The Euclidean norm of all numbers of all operands, whatever their squares do; 1 instead of 0 if `nonzero`.

    Squares of float32 have their place in float64: that is half as many nodes as to scale first, each of which costs a
    small network as much as its arithmetic.
    """
    if e.dtype(op.result) == DOUBLE:
        return _scaled(e, op)
    wide = [
        (e.part("Cast", [x], op, "wide", DOUBLE, v.type.shape, to=DOUBLE), v.type.shape)
        for x, v in zip(e.operands(op), op.operands, strict=True)
    ]
    size = _size(e, op, wide, DOUBLE)
    if not op["nonzero"]:
        return e.node("Cast", [size], op, to=e.dtype(op.result))
    size = e.part("Cast", [size], op, "cast", e.dtype(op.result), (), to=e.dtype(op.result))
    nothing = e.part("Equal", [size, e.scalar(0.0, op)], op, "nothing", BOOL, ())
    return e.node("Where", [nothing, e.scalar(1.0, op), size], op)


def _scaled(e: Emitter, op: Op) -> str:
    """m |x / m| with m the largest magnitude of all operands."""
    dtype, one = e.dtype(op.result), e.scalar(1.0, op)
    xs = [(x, v.type.shape) for x, v in zip(e.operands(op), op.operands, strict=True)]
    ends = [end for x, shape in xs for end in _ends(e, op, x, range(len(shape)), (), 0)]
    largest = e.part("Max", ends, op, "largest", dtype, ())
    nothing = e.part("Equal", [largest, e.scalar(0.0, op)], op, "nothing", BOOL, ())
    unit = e.part("Where", [nothing, one, largest], op, "unit", dtype, ())
    scaled = [(e.part("Div", [x, unit], op, "scaled", dtype, shape), shape) for x, shape in xs]
    size = _size(e, op, scaled, dtype)
    if op["nonzero"]:
        size = e.part("Where", [nothing, one, size], op, "divisor", dtype, ())
    return e.node("Mul", [size, unit], op)


def _size(e: Emitter, op: Op, xs: list[tuple[str, Shape]], dtype: int) -> str:
    """The root of the sum of all squares."""
    squares = []
    for x, shape in xs:
        axes = e.graph.constant(range(len(shape)), INT64)
        squares.append(e.part("ReduceSumSquare", [x, axes], op, "square", dtype, (), keepdims=0))
    total = squares[0] if len(squares) == 1 else e.part("Sum", squares, op, "squares", dtype, ())
    return e.part("Sqrt", [total], op, "size", dtype, ())


def _ends(e: Emitter, op: Op, x: str, axes: object, shape: Shape, keep: int) -> list[str]:
    """The largest number over axes, and the smallest one negated."""
    dtype, over = e.dtype(op.result), e.graph.constant(axes, INT64)
    how = {"keepdims": keep, "noop_with_empty_axes": 1}
    top = e.part("ReduceMax", [x, over], op, "top", dtype, shape, **how)
    bottom = e.part("ReduceMin", [x, over], op, "bottom", dtype, shape, **how)
    return [top, e.part("Neg", [bottom], op, "depth", dtype, shape)]
