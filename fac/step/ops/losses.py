"""Softmax cross-entropy, coarse because frameworks have one stable kernel for it."""

from __future__ import annotations

from fac.step.ops.base import Attributes, OpDef
from fac.step.types import DType, Type, TypeRuleError


def _logits(operands: tuple[Type, ...]) -> Type:
    z, y = operands[-2:]
    if len(z.shape) != 2 or y != Type(z.shape[:1], DType.INT):
        raise TypeRuleError(f"cross-entropy takes f[N, C] and i[N], not {z} and {y}")
    return z


def loss(operands: tuple[Type, ...], attributes: Attributes) -> Type:
    """A scalar: -(1/N) sum_n log softmax(z_n)[y_n]."""
    _logits(operands)
    return Type(())


def gradient(operands: tuple[Type, ...], attributes: Attributes) -> Type:
    """[N, C]: g * (softmax(z) - onehot(y)) / N: the derivative of the mean."""
    return _logits(operands)


LOSSES = (
    OpDef("cross_entropy", loss, (lambda b, op, g: b.emit("cross_entropy_input", g, *op.operands), None)),
    OpDef("cross_entropy_input", gradient),
)
