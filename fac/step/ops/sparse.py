"""Products with a matrix of few entries in each row, kept as the entries and their columns: gathers, no dense product.

One form, sum over r, i, k of g[r, i] v[i, k] x[r, c[i, k]], linear in each of g, v and x, as a convolution is: each op
makes one of the three from the other two, and has these two for its derivatives.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fac.step.ir import Op, Value
from fac.step.ops.base import DISCRETE, Attributes, OpDef
from fac.step.types import DType, Type, TypeRuleError, numel

if TYPE_CHECKING:
    from fac.step.builder import Builder


def product(operands: tuple[Type, ...], attributes: Attributes) -> Type:
    """[R, C], entries [n, s] and INT [n, s] below C make [R, n]: sum over k of v[i, k] x[r, c[i, k]].

    Raises:
        TypeRuleError: no rows, or not a column for each entry.
    """
    x, values, columns = operands
    if values.shape != columns.shape or not _floats(x, values) or columns.dtype != DType.INT:
        raise TypeRuleError(
            f"a sparse product takes rows, entries and a column for each, not {_all(operands)}"
        )
    return Type((x.shape[0], values.shape[0]))


def of_input(operands: tuple[Type, ...], attributes: Attributes) -> Type:
    """[R, n], entries [n, s] and INT [n, s] below `columns` make [R, columns].

    Raises:
        TypeRuleError: another number of rows of entries; see also `product`.
    """
    g, values, columns = operands
    count = attributes["columns"]
    assert isinstance(count, int)
    fits = values.shape == columns.shape and g.shape[1:] == values.shape[:1]
    if not fits or not _floats(g, values) or columns.dtype != DType.INT:
        raise TypeRuleError(f"the errors of a sparse product do not go with {_all(operands)}")
    return Type((g.shape[0], count))


def of_values(operands: tuple[Type, ...], attributes: Attributes) -> Type:
    """[R, n], [R, C] and INT [n, s] below C make [n, s]: sum over r of g[r, i] x[r, c[i, k]].

    Raises:
        TypeRuleError: other rows, or another number of them; see also `product`.
    """
    g, x, columns = operands
    fits = g.shape[:1] == x.shape[:1] and g.shape[1:] == columns.shape[:1] and len(columns.shape) == 2
    if not fits or not _floats(g, x) or columns.dtype != DType.INT:
        raise TypeRuleError(f"the entries of a sparse product are not made of {_all(operands)}")
    return Type(columns.shape)


def _floats(*matrices: Type) -> bool:
    return all(len(matrix.shape) == 2 and matrix.dtype == DType.FLOAT for matrix in matrices)


def _all(operands: tuple[Type, ...]) -> str:
    return ", ".join(map(str, operands))


def macs(op: Op, n: int) -> int:
    """One for each row and entry."""
    columns = next(operand for operand in op.operands if operand.type.dtype == DType.INT)
    return numel(op.operands[0].type.shape[:1], n) * numel(columns.type.shape, n)


def finer_product(b: Builder, op: Op) -> Value:
    """The columns that are asked for, as rows of x transposed, times their entries, added up."""
    x, values, columns = op.operands
    parts = b.mul(b.emit("gather", b.transpose(x, (1, 0)), columns), _beside(b, values, 2))
    return b.transpose(b.sum(parts, (1,)), (1, 0))


def finer_input(b: Builder, op: Op) -> Value:
    """Each error times its entries, added up by their columns."""
    g, values, columns = op.operands
    parts = b.mul(_beside(b, b.transpose(g, (1, 0)), 1), _beside(b, values, 2))
    return b.transpose(b.emit("scatter", parts, columns, rows=op["columns"]), (1, 0))


def finer_values(b: Builder, op: Op) -> Value:
    """The columns that are asked for times the errors, added up over the rows."""
    g, x, columns = op.operands
    parts = b.emit("gather", b.transpose(x, (1, 0)), columns)
    return b.sum(b.mul(parts, _beside(b, b.transpose(g, (1, 0)), 1)), (2,))


def _beside(b: Builder, matrix: Value, axis: int) -> Value:
    """A matrix with an axis of 1 put in."""
    shape = list(matrix.type.shape)
    return b.reshape(matrix, (*shape[:axis], 1, *shape[axis:]))


def _columns(x: Value) -> int:
    count = x.type.shape[1]
    assert isinstance(count, int)
    return count


SPARSE = (
    OpDef(
        "sparse_matmul",
        product,
        (
            lambda b, op, g: b.emit(
                "sparse_matmul_input", g, *op.operands[1:], columns=_columns(op.operands[0])
            ),
            lambda b, op, g: b.emit("sparse_matmul_values", g, op.operands[0], op.operands[2]),
            DISCRETE,
        ),
        macs=macs,
        finer=finer_product,
    ),
    OpDef(
        "sparse_matmul_input",
        of_input,
        (
            lambda b, op, h: b.emit("sparse_matmul", h, *op.operands[1:]),
            lambda b, op, h: b.emit("sparse_matmul_values", op.operands[0], h, op.operands[2]),
            DISCRETE,
        ),
        frozenset({"columns"}),
        macs=macs,
        finer=finer_input,
    ),
    OpDef(
        "sparse_matmul_values",
        of_values,
        (
            lambda b, op, u: b.emit("sparse_matmul", op.operands[1], u, op.operands[2]),
            lambda b, op, u: b.emit(
                "sparse_matmul_input", op.operands[0], u, op.operands[2], columns=_columns(op.operands[1])
            ),
            DISCRETE,
        ),
        macs=macs,
        finer=finer_values,
    ),
)
