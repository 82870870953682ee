"""Reductions and changes of shape."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fac.step.ir import Op, Value
from fac.step.ops.base import DISCRETE, Attributes, OpDef, unbroadcast
from fac.step.types import DType, Shape, Type, TypeRuleError, broadcast, flat

if TYPE_CHECKING:
    from fac.step.builder import Builder

VIEWS = frozenset({"reshape", "transpose"})
"""Ops that lay all numbers of their operand out anew and leave each as it is."""


def axes_of(attributes: Attributes) -> tuple[int, ...]:
    """The axes of a reduction."""
    axes = attributes["axes"]
    assert isinstance(axes, tuple)
    return tuple(axis for axis in axes if isinstance(axis, int))


def shape_of(attributes: Attributes) -> Shape:
    """The target shape of a reshape or broadcast."""
    shape = attributes["shape"]
    assert isinstance(shape, tuple)
    return tuple(dim for dim in shape if not isinstance(dim, float))


def reduction(operands: tuple[Type, ...], attributes: Attributes) -> Type:
    """The operand without the reduced axes, or with 1 in their place if `keep`.

    Raises:
        TypeRuleError: not different axes of the operand, or none, which to some frameworks means all; or BOOL.
    """
    x, axes = operands[0], axes_of(attributes)
    if not axes:
        raise TypeRuleError("a reduction is over at least one axis")
    if any(axis >= len(x.shape) or axis < 0 for axis in axes) or len(set(axes)) < len(axes):
        raise TypeRuleError(f"axes {axes} are not different axes of {x}")
    if x.dtype == DType.BOOL:
        raise TypeRuleError(f"numbers are needed, not {x}")
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


def mean(operands: tuple[Type, ...], attributes: Attributes) -> Type:
    """As `reduction`, of FLOAT.

    Raises:
        TypeRuleError: another element type; see also `reduction`.
    """
    if operands[0].dtype != DType.FLOAT:
        raise TypeRuleError(f"FLOAT is needed, not {operands[0]}")
    return reduction(operands, attributes)


def max_input(b: Builder, op: Op, g: Value) -> Value:
    """g at the largest number; where several are equal, each has an equal share (as torch and jax have it)."""
    (x,) = op.operands
    largest = b.cast(b.equal(x, stretched(b, op, op.result)), DType.FLOAT)
    shared = stretched(b, op, b.sum(largest, axes_of(dict(op.attributes)), keep=bool(op["keep"])))
    return b.mul(stretched(b, op, g), b.div(largest, shared))


def batch_size(operands: tuple[Type, ...], attributes: Attributes) -> Type:
    """N as a FLOAT scalar."""
    return Type(())


def reshape(operands: tuple[Type, ...], attributes: Attributes) -> Type:
    """The given shape; the number of elements must not change."""
    shape = shape_of(attributes)
    if flat(shape) != flat(operands[0].shape):
        raise TypeRuleError(f"{operands[0]} does not reshape to {shape}")
    return Type(shape, operands[0].dtype)


def transpose(operands: tuple[Type, ...], attributes: Attributes) -> Type:
    """The axes in the given order.

    Raises:
        TypeRuleError: some axis of the operand is missing there, or is there twice.
    """
    x, axes = operands[0], axes_of(attributes)
    if sorted(axes) != list(range(len(x.shape))):
        raise TypeRuleError(f"{axes} is no order of the axes of {x}")
    return Type(tuple(x.shape[axis] for axis in axes), x.dtype)


def transpose_input(b: Builder, op: Op, g: Value) -> Value:
    """G, with the axes back where they were."""
    axes = axes_of(dict(op.attributes))
    return b.transpose(g, tuple(axes.index(axis) for axis in range(len(axes))))


def broadcast_to(operands: tuple[Type, ...], attributes: Attributes) -> Type:
    """The given shape, to which the operand must broadcast."""
    shape = shape_of(attributes)
    if broadcast(operands[0].shape, shape) != shape:
        raise TypeRuleError(f"{operands[0]} does not broadcast to {shape}")
    return Type(shape, operands[0].dtype)


def argmax(operands: tuple[Type, ...], attributes: Attributes) -> Type:
    """INT, without the last axis.

    Raises:
        TypeRuleError: a scalar.
    """
    if not operands[0].shape:
        raise TypeRuleError(f"argmax needs an axis, which {operands[0]} has not")
    return Type(operands[0].shape[:-1], DType.INT)


SHAPE = frozenset({"shape"})
REDUCTION = frozenset({"axes", "keep"})

SHAPES = (
    OpDef("sum", reduction, (stretched,), REDUCTION),
    OpDef("mean", mean, (mean_input,), frozenset({"axes"})),
    OpDef("max", reduction, (max_input,), REDUCTION),
    OpDef("batch_size", batch_size),
    OpDef(
        "reshape", reshape, (lambda b, op, g: b.reshape(g, op.operands[0].type.shape),), SHAPE, selects=True
    ),
    OpDef("transpose", transpose, (transpose_input,), frozenset({"axes"}), selects=True),
    OpDef(
        "broadcast_to",
        broadcast_to,
        (lambda b, op, g: unbroadcast(b, g, op.operands[0]),),
        SHAPE,
        selects=True,
    ),
    OpDef("argmax", argmax, (DISCRETE,)),
)
