"""Reductions and changes of shape."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fac.step.ir import Op, Value
from fac.step.ops.base import Attributes, OpDef, unbroadcast
from fac.step.types import DType, Shape, Type, TypeRuleError, broadcast, flat

if TYPE_CHECKING:
    from fac.step.builder import Builder


def axes_of(attributes: Attributes) -> tuple[int, ...]:
    """The axes of a reduction."""
    axes = attributes["axes"]
    assert isinstance(axes, tuple)
    return tuple(axis for axis in axes if isinstance(axis, int))


def shape_of(attributes: Attributes) -> Shape:
    """The target shape of a reshape or broadcast."""
    shape = attributes["shape"]
    assert isinstance(shape, tuple)
    return shape


def reduction(operands: tuple[Type, ...], attributes: Attributes) -> Type:
    """The operand without the reduced axes, or with 1 in their place if `keep`."""
    x, axes = operands[0], axes_of(attributes)
    if any(axis >= len(x.shape) or axis < 0 for axis in axes):
        raise TypeRuleError(f"axes {axes} are not all in {x}")
    kept = [(1 if i in axes else dim) for i, dim in enumerate(x.shape)]
    if not attributes.get("keep"):
        kept = [dim for i, dim in enumerate(kept) if i not in axes]
    return Type(tuple(kept), x.dtype)


def stretched(b: Builder, op: Op, g: Value) -> Value:
    """G, with the reduced axes put back."""
    x = op.operands[0].type
    if g.type.shape == ():
        return b.broadcast_to(g, x.shape)
    kept = tuple(1 if i in axes_of(dict(op.attributes)) else dim for i, dim in enumerate(x.shape))
    return b.broadcast_to(b.reshape(g, kept), x.shape)


def mean_input(b: Builder, op: Op, g: Value) -> Value:
    """g / (number of averaged elements), put back on the reduced axes."""
    shape = op.operands[0].type.shape
    return stretched(b, op, b.div(g, b.count(tuple(shape[i] for i in axes_of(dict(op.attributes))))))


def batch_size(operands: tuple[Type, ...], attributes: Attributes) -> Type:
    """N as a FLOAT scalar."""
    return Type(())


def reshape(operands: tuple[Type, ...], attributes: Attributes) -> Type:
    """The given shape; the number of elements must not change."""
    shape = shape_of(attributes)
    if flat(shape) != flat(operands[0].shape):
        raise TypeRuleError(f"{operands[0]} does not reshape to {shape}")
    return Type(shape, operands[0].dtype)


def broadcast_to(operands: tuple[Type, ...], attributes: Attributes) -> Type:
    """The given shape, to which the operand must broadcast."""
    shape = shape_of(attributes)
    if broadcast(operands[0].shape, shape) != shape:
        raise TypeRuleError(f"{operands[0]} does not broadcast to {shape}")
    return Type(shape, operands[0].dtype)


def argmax(operands: tuple[Type, ...], attributes: Attributes) -> Type:
    """INT, without the last axis."""
    return Type(operands[0].shape[:-1], DType.INT)


SHAPES = (
    OpDef("sum", reduction, (stretched,)),
    OpDef("mean", reduction, (mean_input,)),
    OpDef("max", reduction),
    OpDef("batch_size", batch_size),
    OpDef("reshape", reshape, (lambda b, op, g: b.reshape(g, op.operands[0].type.shape),)),
    OpDef("broadcast_to", broadcast_to, (lambda b, op, g: unbroadcast(b, g, op.operands[0]),)),
    OpDef("argmax", argmax),
)
