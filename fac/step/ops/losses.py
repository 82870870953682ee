"""Softmax cross-entropy, coarse because frameworks have one stable kernel for it.

N rows: samples, or all places of all samples, so that the mean is that over places.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fac.step.ir import Op, Value
from fac.step.ops.base import DISCRETE, Attributes, OpDef, floating
from fac.step.types import DType, N, Type, TypeRuleError

if TYPE_CHECKING:
    from fac.step.builder import Builder


def _logits(operands: tuple[Type, ...]) -> Type:
    z, y = operands[-2:]
    if len(z.shape) != 2 or z.dtype != DType.FLOAT or y != Type(z.shape[:1], DType.INT):
        raise TypeRuleError(f"cross-entropy takes f[N, C] and i[N], not {z} and {y}")
    return z


def loss(operands: tuple[Type, ...], attributes: Attributes) -> Type:
    """A scalar: -(1/N) sum_n log softmax(z_n)[y_n]."""
    _logits(operands)
    return Type(())


def gradient(operands: tuple[Type, ...], attributes: Attributes) -> Type:
    """[N, C]: g * (softmax(z) - onehot(y)) / N: the derivative of the mean."""
    if operands[0] != Type(()):
        raise TypeRuleError(f"the error of the loss is a scalar, not {operands[0]}")
    return _logits(operands)


def many(b: Builder, z: Value) -> Value:
    """How many rows there are: samples, or all places of all samples."""
    rows = z.type.shape[:1]
    return b.emit("batch_size") if rows == (N,) else b.count(rows)


def one_hot(b: Builder, z: Value, y: Value) -> Value:
    """FLOAT [N, C]: 1 at the label, nowhere if it is no class."""
    classes = b.emit("iota", shape=z.type.shape[1:])
    return b.cast(b.emit("equal", b.reshape(y, (*y.type.shape, 1)), classes), DType.FLOAT)


def finer_loss(b: Builder, op: Op) -> Value:
    """-<onehot(y), log softmax(z)> / N."""
    z, y = op.operands
    total = b.sum(b.mul(one_hot(b, z, y), b.emit("log_softmax", z)), (0, 1))
    return b.neg(b.div(total, many(b, z)))


def finer_gradient(b: Builder, op: Op) -> Value:
    """As `gradient` says. The logarithm of the softmax is what the loss needs too."""
    g, z, y = op.operands
    error = b.sub(b.emit("exp", b.emit("log_softmax", z)), one_hot(b, z, y))
    return b.mul(error, b.div(g, many(b, z)))


def finer_log_softmax(b: Builder, op: Op) -> Value:
    """Shifted by the maximum, so that nothing overflows."""
    (z,) = op.operands
    last = len(z.type.shape) - 1
    shifted = b.sub(z, b.emit("max", z, axes=(last,), keep=True))
    return b.sub(shifted, b.emit("log", b.sum(b.emit("exp", shifted), (last,), keep=True)))


def log_softmax(operands: tuple[Type, ...], attributes: Attributes) -> Type:
    """The same type, which has a last axis.

    Raises:
        TypeRuleError: a scalar, or not FLOAT.
    """
    if not operands[0].shape:
        raise TypeRuleError(f"log_softmax needs an axis, which {operands[0]} has not")
    return floating(operands, attributes)


def log_softmax_input(b: Builder, op: Op, g: Value) -> Value:
    """g - softmax(z) * (sum of g), along the last axis."""
    return b.sub(g, b.mul(b.emit("exp", op.result), _row_sum(b, g)))


def error_scale(b: Builder, op: Op, h: Value) -> Value:
    """<h, (softmax(z) - onehot(y)) / N>: the op is linear in g."""
    _, z, y = op.operands
    return b.dot(h, b.emit("cross_entropy_input", b.constant(1.0), z, y))


def curvature(b: Builder, op: Op, h: Value) -> Value:
    """g / N * (p h - p (sum of p h)), p = softmax(z)."""
    g, z, _ = op.operands
    p = b.emit("exp", b.emit("log_softmax", z))
    ph = b.mul(p, h)
    return b.mul(b.sub(ph, b.mul(p, _row_sum(b, ph))), b.div(g, many(b, z)))


def _row_sum(b: Builder, x: Value) -> Value:
    return b.sum(x, (len(x.type.shape) - 1,), keep=True)


LOSSES = (
    OpDef(
        "cross_entropy",
        loss,
        (lambda b, op, g: b.emit("cross_entropy_input", g, *op.operands), DISCRETE),
        finer=finer_loss,
    ),
    OpDef("cross_entropy_input", gradient, (error_scale, curvature, DISCRETE), finer=finer_gradient),
    # log softmax(z) along the last axis
    OpDef("log_softmax", log_softmax, (log_softmax_input,), finer=finer_log_softmax),
)
