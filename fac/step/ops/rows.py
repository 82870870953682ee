"""Rows of a table by their numbers, and sums of rows by their numbers: each the derivative of the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fac.step.ir import Op, Value
from fac.step.ops.base import DISCRETE, Attributes, OpDef
from fac.step.types import DType, Type, TypeRuleError, flat, numel

if TYPE_CHECKING:
    from fac.step.builder import Builder


def gather(operands: tuple[Type, ...], attributes: Attributes) -> Type:
    """[V, d] and INT [...] below V make [..., d]: the row of each number.

    Raises:
        TypeRuleError: no matrix of FLOAT, or no whole numbers.
    """
    table, index = operands
    matrix = len(table.shape) == 2 and table.dtype == DType.FLOAT and isinstance(table.shape[0], int)
    if not matrix or not index.shape or index.dtype != DType.INT:
        raise TypeRuleError(f"gather takes a matrix of FLOAT and whole numbers, not {table} and {index}")
    return Type((*index.shape, table.shape[1]))


def scatter(operands: tuple[Type, ...], attributes: Attributes) -> Type:
    """[..., d] and INT [...] below `rows` make [rows, d]: in each row the sum of those that have its number.

    Raises:
        TypeRuleError: not one number for each row.
    """
    g, index, rows = *operands, attributes["rows"]
    assert isinstance(rows, int)
    if g.shape[:-1] != index.shape or not index.shape or (g.dtype, index.dtype) != (DType.FLOAT, DType.INT):
        raise TypeRuleError(f"scatter takes rows of FLOAT and a whole number for each, not {g} and {index}")
    return Type((rows, g.shape[-1]))


def finer_gather(b: Builder, op: Op) -> Value:
    """The product of rows that have a 1 at their number with the table."""
    table, index = op.operands
    return b.reshape(b.matmul(_ones(b, index, table.type.shape[0]), table), op.result.type.shape)


def finer_scatter(b: Builder, op: Op) -> Value:
    """The transposed product."""
    g, index = op.operands
    ones = _ones(b, index, op.result.type.shape[0])
    return b.matmul(ones, b.reshape(g, (ones.type.shape[0], g.type.shape[-1])), ta=True)


def _ones(b: Builder, index: Value, rows: object) -> Value:
    """[places, rows]: 1 at the number of each place, else 0."""
    assert isinstance(rows, int)
    places = b.reshape(index, (flat(index.type.shape), 1))
    return b.cast(b.equal(places, b.iota((rows,))), DType.FLOAT)


def table_of(b: Builder, op: Op, g: Value) -> Value:
    """Each row of the table has made all that have its number."""
    table, index = op.operands
    rows = table.type.shape[0]
    assert isinstance(rows, int)
    return b.emit("scatter", g, index, rows=rows)


def chosen(op: Op, place: int, n: int) -> int:
    """Of the table the rows that are asked for; all numbers."""
    return numel((op.result if place == 0 else op.operands[place]).type.shape, n)


ROWS = (
    OpDef("gather", gather, (table_of, DISCRETE), looks=chosen, finer=finer_gather),
    OpDef(
        "scatter",
        scatter,
        (lambda b, op, g: b.emit("gather", g, op.operands[1]), DISCRETE),
        frozenset({"rows"}),
        finer=finer_scatter,
    ),
)
