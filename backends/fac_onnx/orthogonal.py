"""`newton_schulz_rows(L, R)`: nodes in double precision, whatever that of the graph, and casts around them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fac.step.ir import Op
from fac.step.types import Dim
from fac_onnx.graph import BOOL, DOUBLE, INT64

if TYPE_CHECKING:
    from fac_onnx.emit import Emitter


def newton_schulz_rows(e: Emitter, op: Op) -> str:
    """S of L^T S; see `fac.step.ops.orthogonal`."""
    a, b, c = (e.graph.constant(factor, DOUBLE) for factor in _numbers(op["coefficients"]))
    zero, one = (e.graph.constant(number, DOUBLE) for number in (0.0, 1.0))
    rows = op.result.type.shape[0]
    matrix: tuple[Dim, ...] = (rows, rows)

    def node(kind: str, inputs: list[str], name: str, shape: tuple[Dim, ...] = matrix, **extra: Any) -> str:
        return e.part(kind, inputs, op, name, DOUBLE, shape, **extra)

    def gram(place: int, name: str) -> tuple[str, str, str, str]:
        """Rows over a size, that, their Gram, and the squares of their norms."""
        value, axes = op.operands[place], e.graph.constant((0, 1), INT64)
        x, unit, shape = e.name(value, DOUBLE), one, value.type.shape
        if e.float == DOUBLE:  # squares of all that is float32 are numbers in double precision
            magnitudes = node("Abs", [x], f"{name}.abs", shape)
            largest = node("ReduceMax", [magnitudes, axes], f"{name}.max", (), keepdims=0)
            none = e.part("Equal", [largest, zero], op, f"{name}.none", BOOL, ())
            unit = node("Where", [none, one, largest], f"{name}.unit", ())
            x = node("Div", [x, unit], name, shape)
        each = e.graph.constant((1,), INT64)
        squares = node("ReduceSumSquare", [x, each], f"{name}.squares", (rows,), keepdims=0)
        return x, unit, node("Gemm", [x, x], f"{name}.gram", transB=1), squares

    _, unit, k, left = gram(0, "left")
    others, _, h, right = gram(1, "right")
    both = node("Mul", [k, h], "both")
    square = node("ReduceSum", [both, e.graph.constant((0, 1), INT64)], "square", (), keepdims=0)
    each = node("Sqrt", [node("Mul", [left, right], "products", (rows,))], "sizes", (rows,))
    whole = node("ReduceSum", [each, e.graph.constant((0,), INT64)], "size", (), keepdims=0)
    least = node(
        "Mul", [e.graph.constant(op["least"], DOUBLE), node("Mul", [whole, whole], "most", ())], "least", ()
    )
    nothing = e.part("LessOrEqual", [square, least], op, "nothing", BOOL, ())
    square = node("Where", [nothing, one, square], "divisor", ())
    d = node("Div", [node("MatMul", [h, k], "grams"), square], "d")
    unity = node("EyeLike", [d], "unity")
    start = node("Mul", [unity, a], "start")

    def polynomial(d: str) -> str:
        # not the factors of a `Gemm`, which are float32
        quartic = node("Mul", [node("MatMul", [d, d], "dd"), c], "quartic")
        quadratic = node("Mul", [d, b], "quadratic")
        return node("Add", [node("Add", [start, quadratic], "sum"), quartic], "f")

    z = f = polynomial(d)
    steps = op["steps"]
    assert isinstance(steps, int)
    for _ in range(steps - 1):
        d = node("MatMul", [f, node("MatMul", [f, d], "fd")], "d")
        f = polynomial(d)
        z = node("MatMul", [f, z], "z")
    size = node("Mul", [node("Sqrt", [square], "norm", ()), unit], "size", ())
    factor = node("Where", [nothing, zero, node("Div", [one, size], "inverse", ())], "factor", ())
    shape = op.result.type.shape
    found = node("MatMul", [node("Mul", [z, factor], "scaled"), others], "found", shape)
    return e.node("Cast", [found], op, to=e.dtype(op.result))


def _numbers(values: object) -> tuple[float, ...]:
    assert isinstance(values, tuple)
    return values
