"""Sizes of tensors that neither overflow nor vanish: what is squared is divided by the largest magnitude first.

Dividing is exact in its scale: c x / |c x|_max is x / |x|_max to the bit where c is a power of two, as long as both are
normal numbers, so that what is made of it depends on directions and proportions alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fac.step.ops.base import Attributes, OpDef, Vjp
from fac.step.ops.shapes import REDUCTION, axes_of, reduction, stretched
from fac.step.types import DType, Type, TypeRuleError

if TYPE_CHECKING:
    from fac.step.builder import Builder
    from fac.step.ir import Op, Value


def nonzero(b: Builder, x: Value) -> Value:
    """`x`, and 1 where it is 0: what may be divided by."""
    return b.add(x, b.cast(b.equal(x, b.constant(0.0)), DType.FLOAT))


def max_abs_input(b: Builder, op: Op, g: Value) -> Value:
    """g sign(x) where |x| is largest, in equal shares if it is there more than once; 0 where all are 0."""
    (x,), axes = op.operands, axes_of(dict(op.attributes))
    unit = b.div(x, nonzero(b, stretched(b, op, op.result)))
    hit = b.cast(b.equal(b.mul(unit, unit), b.constant(1.0)), DType.FLOAT)
    share = b.div(b.mul(hit, unit), nonzero(b, b.sum(hit, axes, keep=True)))
    return b.mul(stretched(b, op, g), share)


def finer_max_abs(b: Builder, op: Op) -> Value:
    """max(x, -x), reduced."""
    (x,) = op.operands
    return b.emit("max", b.maximum(x, b.neg(x)), axes=op["axes"], keep=op["keep"])


def norm(operands: tuple[Type, ...], attributes: Attributes) -> Type:
    """A scalar from any number of tensors.

    Raises:
        TypeRuleError: there is none, or one is not FLOAT or a scalar.
    """
    if not operands or any(type.dtype != DType.FLOAT or type.shape == () for type in operands):
        raise TypeRuleError(f"norm takes tensors of FLOAT, not {' and '.join(map(str, operands)) or 'none'}")
    return Type(())


def finer_norm(b: Builder, op: Op) -> Value:
    """m |x / m| with m the largest magnitude of all; 1 instead of 0 if `nonzero`."""
    magnitudes = [b.max_abs(x) for x in op.operands]
    largest = magnitudes[0]
    for magnitude in magnitudes[1:]:
        largest = b.maximum(largest, magnitude)
    unit = nonzero(b, largest)
    scaled = [b.div(x, unit) for x in op.operands]
    total = b.dot(scaled[0], scaled[0])
    for x in scaled[1:]:
        total = b.add(total, b.dot(x, x))
    size = b.sqrt(total)
    return b.mul(nonzero(b, size) if op["nonzero"] else size, unit)


def norm_input(place: int) -> Vjp:
    """g x / |x|, and 0 where all are 0, as torch has it."""
    return lambda b, op, g: b.mul(g, b.div(op.operands[place], nonzero(b, op.result)))


NORMS = (
    # the largest absolute value
    OpDef("max_abs", reduction, (max_abs_input,), REDUCTION, finer=finer_max_abs),
    # The Euclidean norm of all numbers of all operands, and if `nonzero` 1 where that is 0: what may be divided by.
    OpDef("norm", norm, norm_input, frozenset({"nonzero"}), finer=finer_norm),
)
