"""Activations, each with its input gradient as an op of its own: frameworks have one tuned kernel for either.

An `*_input(g, ...)` op is `g * phi'(.)`. Where phi' can be read off the output, the output is the operand, so the
pre-activation need not be kept. Being linear in g, it is its own vjp there. At its kink `relu` has the derivative 0,
`leaky_relu` its slope.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from fac.step.ir import Op, Value
from fac.step.ops.base import DISCRETE, OpDef, floating
from fac.step.types import DType

if TYPE_CHECKING:
    from fac.step.builder import Builder


def slope(op: Op) -> float:
    """The derivative below zero, in (0, 1)."""
    value = op["slope"]
    assert isinstance(value, float)
    return value


def positive(b: Builder, y: Value) -> Value:
    """FLOAT 1 where y > 0, else 0."""
    return b.cast(b.less(0.0, y), DType.FLOAT)


def normal_cdf(b: Builder, x: Value) -> Value:
    """The distribution function of N(0, 1)."""
    return b.mul(b.add(b.emit("erf", b.mul(x, math.sqrt(0.5))), 1.0), 0.5)


def normal_pdf(b: Builder, x: Value) -> Value:
    """The density of N(0, 1)."""
    return b.mul(b.emit("exp", b.mul(b.mul(x, x), -0.5)), 1 / math.sqrt(2 * math.pi))


def tanh_input(b: Builder, op: Op) -> Value:
    """g * (1 - y^2)."""
    g, y = op.operands
    return b.mul(g, b.sub(1.0, b.mul(y, y)))


def sigmoid_input(b: Builder, op: Op) -> Value:
    """g * y * (1 - y)."""
    g, y = op.operands
    return b.mul(b.mul(g, y), b.sub(1.0, y))


def gelu_input(b: Builder, op: Op) -> Value:
    """g * (Phi(x) + x * phi(x))."""
    g, x = op.operands
    return b.mul(g, b.add(normal_cdf(b, x), b.mul(x, normal_pdf(b, x))))


def gelu_curvature(b: Builder, op: Op, h: Value) -> Value:
    """h * g * gelu''(x) = h * g * phi(x) * (2 - x^2)."""
    g, x = op.operands
    return b.mul(b.mul(h, g), b.mul(normal_pdf(b, x), b.sub(2.0, b.mul(x, x))))


SLOPE = frozenset({"slope"})

ACTIVATIONS = (
    OpDef("relu", floating, (lambda b, op, g: b.emit("relu_input", g, op.result),), selects=True),
    OpDef(
        "relu_input",
        floating,
        (lambda b, op, h: b.emit("relu_input", h, op.operands[1]), DISCRETE),
        selects=True,
        finer=lambda b, op: b.mul(op.operands[0], positive(b, op.operands[1])),
    ),
    OpDef(
        "leaky_relu",
        floating,
        (lambda b, op, g: b.emit("leaky_relu_input", g, op.result, slope=op["slope"]),),
        SLOPE,
        finer=lambda b, op: b.maximum(op.operands[0], b.mul(op.operands[0], slope(op))),
    ),
    OpDef(
        "leaky_relu_input",
        floating,
        (lambda b, op, h: b.emit("leaky_relu_input", h, op.operands[1], slope=op["slope"]), DISCRETE),
        SLOPE,
        finer=lambda b, op: b.mul(op.operands[0], b.maximum(positive(b, op.operands[1]), slope(op))),
    ),
    OpDef("tanh", floating, (lambda b, op, g: b.emit("tanh_input", g, op.result),)),
    OpDef(
        "tanh_input",
        floating,
        (
            lambda b, op, h: b.emit("tanh_input", h, op.operands[1]),
            lambda b, op, h: b.mul(b.mul(h, op.operands[0]), b.mul(op.operands[1], -2.0)),
        ),
        finer=tanh_input,
    ),
    OpDef("sigmoid", floating, (lambda b, op, g: b.emit("sigmoid_input", g, op.result),)),
    OpDef(
        "sigmoid_input",
        floating,
        (
            lambda b, op, h: b.emit("sigmoid_input", h, op.operands[1]),
            lambda b, op, h: b.mul(b.mul(h, op.operands[0]), b.sub(1.0, b.mul(op.operands[1], 2.0))),
        ),
        finer=sigmoid_input,
    ),
    OpDef(
        "gelu",
        floating,
        (lambda b, op, g: b.emit("gelu_input", g, op.operands[0]),),
        finer=lambda b, op: b.mul(op.operands[0], normal_cdf(b, op.operands[0])),
    ),
    OpDef(
        "gelu_input",
        floating,
        (lambda b, op, h: b.emit("gelu_input", h, op.operands[1]), gelu_curvature),
        finer=gelu_input,
    ),
)
