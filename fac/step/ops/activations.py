"""Activations, each with its input gradient as an op of its own: frameworks have one tuned kernel for either.

An `*_input(g, ...)` op is `g * phi'(.)`. Where phi' can be read off the output, the output is the operand, so the
pre-activation need not be kept.
"""

from __future__ import annotations

from fac.step.ops.base import OpDef, alike, same

ACTIVATIONS = (
    OpDef("relu", same, (lambda b, op, g: b.emit("relu_input", g, op.result),)),
    OpDef("relu_input", alike),
    OpDef(
        "leaky_relu",
        same,
        (lambda b, op, g: b.emit("leaky_relu_input", g, op.result, slope=op["slope"]),),
    ),
    OpDef("leaky_relu_input", alike),
    OpDef("tanh", same, (lambda b, op, g: b.emit("tanh_input", g, op.result),)),
    OpDef("tanh_input", alike),
    OpDef("sigmoid", same, (lambda b, op, g: b.emit("sigmoid_input", g, op.result),)),
    OpDef("sigmoid_input", alike),
    OpDef("gelu", same, (lambda b, op, g: b.emit("gelu_input", g, op.operands[0]),)),
    OpDef("gelu_input", alike),
)
