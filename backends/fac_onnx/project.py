"""`project(d, P)`: no standard op factors a matrix, so the rows of P are made orthonormal one by one in a `Loop`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import GraphProto

from fac.step.ir import Op
from fac_onnx.graph import BOOL, INT64, NUMPY, Graph, info

if TYPE_CHECKING:
    from fac_onnx.emit import Emitter


def project(e: Emitter, op: Op) -> str:
    """D Q^T Q, where the rows of Q are an orthonormal basis of the row space of P [r, m]."""
    d, p = e.operands(op)
    dtype = e.dtype(op.result)
    r, m = op.operands[1].type.shape
    assert isinstance(r, int)
    assert isinstance(m, int)
    empty = e.part(
        "Expand", [e.graph.constant(0, dtype), e.graph.constant([r, m], INT64)], op, "empty", dtype, (r, m)
    )
    loop = e.graph.unique(f"{op.result.name}.basis")
    body = _body(e.graph, loop, p, r, m, dtype)
    basis = e.part("Loop", [e.graph.constant(r, INT64), "", empty], op, "basis", dtype, (r, m), body=body)
    n = op.result.type.shape[0]
    inside = e.part("Gemm", [d, basis], op, "inside", dtype, (n, r), transB=1)
    return e.node("MatMul", [inside, basis], op)


def _body(outer: Graph, loop: str, p: str, r: int, m: int, dtype: int) -> GraphProto:
    """Gram-Schmidt, each row twice, because once leaves errors as large as the condition of P.

    A row that is nothing but rounding once the others are taken out of it adds no direction.
    """
    g = Graph(note="row by row: what of P[i] lies outside of the rows before, to length 1")

    def node(
        kind: str, inputs: list[str], name: str, shape: tuple[int, ...], type: int = dtype, **a: Any
    ) -> str:
        return g.node(kind, inputs, f"{loop}.{name}", type, shape, **a)

    i, going, before = (f"{loop}.{name}" for name in ("i", "going", "before"))
    index = node("Unsqueeze", [i, outer.constant([0], INT64)], "index", (1,), INT64)
    row = node("Gather", [p, index], "row", (1, m), axis=0)
    rest = row
    for turn in ("once", "twice"):
        # a matrix with one row: onnxruntime is 20 times slower at a matrix times a vector
        part = node("Gemm", [rest, before], f"{turn}.part", (1, r), transB=1)
        inside = node("MatMul", [part, before], f"{turn}.inside", (1, m))
        rest = node("Sub", [rest, inside], f"{turn}.rest", (1, m))
    axes = outer.constant([1], INT64)
    least = outer.constant(8 * max(r, m) * float(np.finfo(NUMPY[dtype]).eps), dtype)
    norm = node("ReduceL2", [row, axes], "norm", (1, 1))
    left = node("ReduceL2", [rest, axes], "left", (1, 1))
    new = node("Greater", [left, node("Mul", [norm, least], "least", (1, 1))], "new", (1, 1), BOOL)
    unit = node(
        "Where", [new, node("Div", [rest, left], "unit", (1, m)), outer.constant(0, dtype)], "kept", (1, m)
    )
    rows = node(
        "Unsqueeze", [outer.constant(range(r), INT64), outer.constant([1], INT64)], "rows", (r, 1), INT64
    )
    here = node("Equal", [rows, i], "here", (r, 1), BOOL)
    after = node("Where", [here, unit, before], "after", (r, m))
    still = node("Identity", [going], "still", (), BOOL)
    inputs = [info(i, INT64, ()), info(going, BOOL, ()), info(before, dtype, (r, m))]
    return g.finish(f"{loop}.body", inputs, [still, after])
