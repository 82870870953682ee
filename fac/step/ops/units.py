"""More activations, coarse because frameworks have one tuned kernel for each; all are PyTorch's.

An `*_input(g, x)` op is `g * f'(x)`. It takes the input of f, of which it keeps small derivatives to the last digit:
read off the output they would be rounding errors. At kinks the derivatives are PyTorch's: alpha for `elu` at 0; for
`hardsigmoid` 0 at -3 and 3; for `hardswish` 0 at -3, and 1 at 3.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from fac.step.ir import Op, Value
from fac.step.ops.base import DISCRETE, OpDef, Vjp, floating
from fac.step.types import DType

if TYPE_CHECKING:
    from fac.step.builder import Builder

END = 3.0
"""Where the ramps of `hardsigmoid` and `hardswish` end, on either side."""
ALPHA = frozenset({"alpha"})
CUBIC = 0.044715
"""In sqrt(2 / pi) (x + CUBIC x^3), whose `tanh` stands for 2 Phi(x) - 1 in `gelu_tanh` (arXiv 1606.08415)."""
RISE = 2 * math.sqrt(2 / math.pi)


def above(b: Builder, x: Value, low: float) -> Value:
    """FLOAT 1 where x > low, else 0."""
    return b.cast(b.less(low, x), DType.FLOAT)


def below(b: Builder, x: Value, high: float) -> Value:
    """FLOAT 1 where x < high, else 0."""
    return b.cast(b.less(x, high), DType.FLOAT)


def alpha(op: Op) -> float:
    """What an `elu` comes to far below zero, with its sign turned."""
    value = op["alpha"]
    assert isinstance(value, float)
    return value


def silu_input(b: Builder, op: Op) -> Value:
    """g s (1 + x (1 - s)), s = sigmoid(x)."""
    g, x = op.operands
    s = b.emit("sigmoid", x)
    return b.mul(g, b.mul(s, b.add(b.mul(x, b.sub(1.0, s)), 1.0)))


def silu_curvature(b: Builder, op: Op, h: Value) -> Value:
    """h g s (1 - s) (2 + x (1 - 2 s))."""
    g, x = op.operands
    s = b.emit("sigmoid", x)
    bend = b.add(b.mul(x, b.sub(1.0, b.mul(s, 2.0))), 2.0)
    return b.mul(b.mul(h, g), b.mul(b.mul(s, b.sub(1.0, s)), bend))


def gelu_tanh_share(b: Builder, x: Value) -> Value:
    """(1 + tanh(u)) / 2 as sigmoid(2 u), u = sqrt(2 / pi) (x + CUBIC x^3)."""
    return b.emit("sigmoid", b.mul(b.mul(x, b.add(b.mul(b.mul(x, x), CUBIC), 1.0)), RISE))


def gelu_tanh_rise(b: Builder, x: Value) -> Value:
    """2 u' = RISE (1 + 3 CUBIC x^2)."""
    return b.mul(b.add(b.mul(b.mul(x, x), 3 * CUBIC), 1.0), RISE)


def gelu_tanh_input(b: Builder, op: Op) -> Value:
    """g s (1 + x (1 - s) v'), s = sigmoid(v), v = 2 u."""
    g, x = op.operands
    s = gelu_tanh_share(b, x)
    steep = b.mul(b.mul(x, b.sub(1.0, s)), gelu_tanh_rise(b, x))
    return b.mul(g, b.mul(s, b.add(steep, 1.0)))


def gelu_tanh_curvature(b: Builder, op: Op, h: Value) -> Value:
    """h g s (1 - s) (2 v' + x (v'' + (1 - 2 s) v'^2)), v'' = 6 CUBIC RISE x."""
    g, x = op.operands
    s, rise = gelu_tanh_share(b, x), gelu_tanh_rise(b, x)
    bend = b.add(b.mul(x, 6 * CUBIC * RISE), b.mul(b.sub(1.0, b.mul(s, 2.0)), b.mul(rise, rise)))
    whole = b.add(b.mul(rise, 2.0), b.mul(x, bend))
    return b.mul(b.mul(h, g), b.mul(b.mul(s, b.sub(1.0, s)), whole))


def finer_elu(b: Builder, op: Op) -> Value:
    """max(x, 0) + alpha (exp(n) - 1), n = min(x, 0).

    With t = tanh(n / 2) the latter is 2 t / (1 - t), which loses no digit of a small n.
    """
    (x,) = op.operands
    t = b.emit("tanh", b.mul(b.minimum(x, 0.0), 0.5))
    return b.add(b.maximum(x, 0.0), b.mul(b.div(t, b.sub(1.0, t)), 2 * alpha(op)))


def decayed(b: Builder, op: Op) -> Value:
    """alpha exp(x) where x <= 0, else 0."""
    x = op.operands[1]
    return b.mul(b.sub(1.0, above(b, x, 0.0)), b.mul(b.emit("exp", b.minimum(x, 0.0)), alpha(op)))


def elu_input(b: Builder, op: Op) -> Value:
    """G where x > 0, else g * alpha * exp(x)."""
    g, x = op.operands
    return b.mul(g, b.add(above(b, x, 0.0), decayed(b, op)))


def finer_softplus(b: Builder, op: Op) -> Value:
    """max(x, 0) + log(1 + e), e = exp(-|x|); what 1 + e rounds off is added again, so that no small e is lost."""
    (x,) = op.operands
    e = b.emit("exp", b.minimum(x, b.neg(x)))
    u = b.add(e, 1.0)
    lost = b.div(b.sub(e, b.sub(u, 1.0)), u)
    return b.add(b.maximum(x, 0.0), b.add(b.emit("log", u), lost))


def ramp(b: Builder, x: Value) -> Value:
    """FLOAT 1 where -3 < x < 3, else 0."""
    return b.mul(above(b, x, -END), below(b, x, END))


def finer_hardsigmoid(b: Builder, op: Op) -> Value:
    """(x + 3) / 6, limited to [0, 1]."""
    return b.div(b.clamp(b.add(op.operands[0], END), 0.0, 2 * END), 2 * END)


def hardswish_input(b: Builder, op: Op) -> Value:
    """g (x / 3 + 1/2) where -3 < x < 3, G from there on."""
    g, x = op.operands
    inside = b.mul(ramp(b, x), b.add(b.div(x, END), 0.5))
    return b.mul(g, b.add(inside, b.sub(1.0, below(b, x, END))))


def again(kind: str) -> Vjp:
    """An `*_input` op is linear in g, and so its own vjp there."""
    return lambda b, op, h: b.emit(kind, h, op.operands[1], **dict(op.attributes))


UNITS = (
    OpDef(
        "silu",
        floating,
        (lambda b, op, g: b.emit("silu_input", g, op.operands[0]),),
        finer=lambda b, op: b.mul(op.operands[0], b.emit("sigmoid", op.operands[0])),
    ),
    OpDef("silu_input", floating, (again("silu_input"), silu_curvature), finer=silu_input),
    OpDef(
        "gelu_tanh",
        floating,
        (lambda b, op, g: b.emit("gelu_tanh_input", g, op.operands[0]),),
        finer=lambda b, op: b.mul(op.operands[0], gelu_tanh_share(b, op.operands[0])),
    ),
    OpDef(
        "gelu_tanh_input", floating, (again("gelu_tanh_input"), gelu_tanh_curvature), finer=gelu_tanh_input
    ),
    OpDef(
        "elu",
        floating,
        (lambda b, op, g: b.emit("elu_input", g, op.operands[0], alpha=op["alpha"]),),
        ALPHA,
        finer=finer_elu,
    ),
    OpDef(
        "elu_input",
        floating,
        (again("elu_input"), lambda b, op, h: b.mul(b.mul(h, op.operands[0]), decayed(b, op))),
        ALPHA,
        finer=elu_input,
    ),
    # log(1 + exp(x))
    OpDef(
        "softplus",
        floating,
        (lambda b, op, g: b.mul(g, b.emit("sigmoid", op.operands[0])),),
        finer=finer_softplus,
    ),
    OpDef(
        "hardsigmoid",
        floating,
        (lambda b, op, g: b.emit("hardsigmoid_input", g, op.operands[0]),),
        finer=finer_hardsigmoid,
    ),
    OpDef(
        "hardsigmoid_input",
        floating,
        (again("hardsigmoid_input"), DISCRETE),
        finer=lambda b, op: b.div(b.mul(op.operands[0], ramp(b, op.operands[1])), 2 * END),
    ),
    # x hardsigmoid(x)
    OpDef(
        "hardswish",
        floating,
        (lambda b, op, g: b.emit("hardswish_input", g, op.operands[0]),),
        finer=lambda b, op: b.mul(op.operands[0], finer_hardsigmoid(b, op)),
    ),
    OpDef(
        "hardswish_input",
        floating,
        (
            again("hardswish_input"),
            lambda b, op, h: b.div(b.mul(b.mul(h, op.operands[0]), ramp(b, op.operands[1])), END),
        ),
        finer=hardswish_input,
    ),
)
