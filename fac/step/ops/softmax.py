"""Softmax along one axis."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fac.step.ir import Op, Value
from fac.step.ops.base import Attributes, OpDef, floating
from fac.step.types import Type, TypeRuleError

if TYPE_CHECKING:
    from fac.step.builder import Builder


def softmax(operands: tuple[Type, ...], attributes: Attributes) -> Type:
    """The same type.

    Raises:
        TypeRuleError: it has no such axis, or is not FLOAT.
    """
    if attributes["axis"] not in range(len(operands[0].shape)):
        raise TypeRuleError(f"{operands[0]} has no axis {attributes['axis']}")
    return floating(operands, attributes)


def softmax_input(b: Builder, op: Op, g: Value) -> Value:
    """y (g - sum of g y), along the axis."""
    gy = b.mul(g, op.result)
    return b.sub(gy, b.mul(op.result, b.sum(gy, _axes(op), keep=True)))


def finer(b: Builder, op: Op) -> Value:
    """Shifted by the maximum, so that nothing overflows."""
    (z,) = op.operands
    e = b.emit("exp", b.sub(z, b.emit("max", z, axes=_axes(op), keep=True)))
    return b.div(e, b.sum(e, _axes(op), keep=True))


def _axes(op: Op) -> tuple[int, ...]:
    axis = op["axis"]
    assert isinstance(axis, int)
    return (axis,)


def logits_of(b: Builder, shares: Value, near: Value, axis: int, least: float) -> Value:
    """log(max(T, least)) + log sum exp(x): of all logits that make the shares T those that lie where x does.

    Shares do not tell where logits lie, so that is kept: of the shares that x makes this gives x back. A share of 0 is
    out of reach of finite logits, and becomes `least`.
    """
    top = b.emit("max", near, axes=(axis,), keep=True)
    total = b.sum(b.emit("exp", b.sub(near, top)), (axis,), keep=True)
    return b.add(b.emit("log", b.mul(b.maximum(shares, least), total)), top)


SOFTMAX = (OpDef("softmax", softmax, (softmax_input,), frozenset({"axis"}), finer=finer),)
