"""Matrix products: the only ops whose multiply-adds are counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fac.step.ir import Op, Value
from fac.step.ops.base import Attributes, OpDef, Without
from fac.step.types import Dim, DType, Type, TypeRuleError, numel

if TYPE_CHECKING:
    from fac.step.builder import Builder


def ends(a: Type, b: Type, attributes: Attributes) -> tuple[Dim, Dim, Dim]:
    """(rows, contracted, columns) of op(a) @ op(b).

    Raises:
        TypeRuleError: not matrices of FLOAT, or the contracted dimensions differ.
    """
    if len(a.shape) != 2 or len(b.shape) != 2 or a.dtype != DType.FLOAT or b.dtype != DType.FLOAT:
        raise TypeRuleError(f"matmul takes matrices of FLOAT, not {a} and {b}")
    rows, inner = reversed(a.shape) if attributes["ta"] else a.shape
    other, columns = reversed(b.shape) if attributes["tb"] else b.shape
    if inner != other:
        raise TypeRuleError(f"matmul contracts {inner} with {other}")
    return rows, inner, columns


def matmul(operands: tuple[Type, ...], attributes: Attributes) -> Type:
    """[rows, columns]."""
    rows, _, columns = ends(operands[0], operands[1], attributes)
    return Type((rows, columns))


def macs(op: Op, n: int) -> int:
    """rows * contracted * columns."""
    return numel(ends(op.operands[0].type, op.operands[1].type, dict(op.attributes)), n)


def left(b: Builder, op: Op, g: Value) -> Value:
    """Y = op(A) op(B): dA = g op(B)^T, or its transpose where A is read transposed; of many, matrix by matrix."""
    _, other = op.operands
    ta, tb = bool(op["ta"]), bool(op["tb"])
    if ta:
        return b.emit(op.kind, other, g, ta=tb, tb=True)
    return b.emit(op.kind, g, other, ta=False, tb=not tb)


def right(b: Builder, op: Op, g: Value) -> Value:
    """Y = op(A) op(B): dB = op(A)^T g, or its transpose where B is read transposed; of many, matrix by matrix."""
    other, _ = op.operands
    ta, tb = bool(op["ta"]), bool(op["tb"])
    if tb:
        return b.emit(op.kind, g, other, ta=True, tb=ta)
    return b.emit(op.kind, other, g, ta=not ta, tb=False)


def bmm(operands: tuple[Type, ...], attributes: Attributes) -> Type:
    """[..., rows, columns] of as many matrices.

    Raises:
        TypeRuleError: not equally many, or see `ends`.
    """
    a, b = operands
    lead = a.shape[:-2]
    if not lead or b.shape[:-2] != lead:
        raise TypeRuleError(f"bmm takes equally many matrices, not {a} and {b}")
    rows, _, columns = ends(Type(a.shape[-2:], a.dtype), Type(b.shape[-2:], b.dtype), attributes)
    return Type((*lead, rows, columns))


def bmm_macs(op: Op, n: int) -> int:
    """matrices * rows * contracted * columns."""
    inner = op.operands[0].type.shape[-2 if op["ta"] else -1]
    return numel((*op.result.type.shape, inner), n)


def dot(operands: tuple[Type, ...], attributes: Attributes) -> Type:
    """A scalar from two tensors of one shape."""
    if operands[0] != operands[1] or operands[0].dtype != DType.FLOAT:
        raise TypeRuleError(f"dot takes equal types of FLOAT, not {operands[0]} and {operands[1]}")
    return Type(())


def project(operands: tuple[Type, ...], attributes: Attributes) -> Type:
    """The type of d: its rows [N, m], projected on the space that the rows of P [r, m] span."""
    d, p = operands
    ends(d, p, {"ta": False, "tb": True})
    return d


CONTRACTIONS = (
    OpDef("matmul", matmul, (left, right), frozenset({"ta", "tb"}), macs, channels=(1, 0), narrows=True),
    OpDef("bmm", bmm, (left, right), frozenset({"ta", "tb"}), bmm_macs, narrows=True),
    # d P^+ P, for P whose rows may depend on each other; in probes only. P^+ P is symmetric.
    OpDef(
        "project",
        project,
        (
            lambda b, op, g: b.emit("project", g, op.operands[1]),
            Without("that of a pseudo-inverse is not written, because the op is for measurements"),
        ),
    ),
    OpDef(
        "dot",
        dot,
        (lambda b, op, g: b.mul(g, op.operands[1]), lambda b, op, g: b.mul(g, op.operands[0])),
        finer=lambda b, op: b.sum(b.mul(*op.operands), range(len(op.operands[0].type.shape))),
    ),
)
