"""Elementwise arithmetic with NumPy broadcasting."""

from __future__ import annotations

from fac.step.ops.base import Attributes, OpDef, same, unbroadcast
from fac.step.types import DType, Type, TypeRuleError, broadcast


def binary(operands: tuple[Type, ...], attributes: Attributes) -> Type:
    """Equal element types, shapes broadcast."""
    a, b = operands
    if a.dtype != b.dtype:
        raise TypeRuleError(f"{a} and {b} differ in element type")
    return Type(broadcast(a.shape, b.shape), a.dtype)


def compare(operands: tuple[Type, ...], attributes: Attributes) -> Type:
    """As `binary`, but the result is BOOL."""
    return Type(binary(operands, attributes).shape, DType.BOOL)


def constant(operands: tuple[Type, ...], attributes: Attributes) -> Type:
    """A scalar of the stated element type."""
    return Type((), DType(str(attributes["dtype"])))


def cast(operands: tuple[Type, ...], attributes: Attributes) -> Type:
    """The same shape, another element type."""
    return Type(operands[0].shape, DType(str(attributes["dtype"])))


ELEMENTWISE = (
    OpDef("constant", constant),
    OpDef("cast", cast),
    OpDef(
        "add",
        binary,
        (
            lambda b, op, g: unbroadcast(b, g, op.operands[0]),
            lambda b, op, g: unbroadcast(b, g, op.operands[1]),
        ),
    ),
    OpDef(
        "sub",
        binary,
        (
            lambda b, op, g: unbroadcast(b, g, op.operands[0]),
            lambda b, op, g: unbroadcast(b, b.neg(g), op.operands[1]),
        ),
    ),
    OpDef(
        "mul",
        binary,
        (
            lambda b, op, g: unbroadcast(b, b.mul(g, op.operands[1]), op.operands[0]),
            lambda b, op, g: unbroadcast(b, b.mul(g, op.operands[0]), op.operands[1]),
        ),
    ),
    OpDef(
        "div",
        binary,
        (
            lambda b, op, g: unbroadcast(b, b.div(g, op.operands[1]), op.operands[0]),
            lambda b, op, g: unbroadcast(
                b, b.neg(b.div(b.mul(g, op.result), op.operands[1])), op.operands[1]
            ),
        ),
    ),
    OpDef("pow", binary),
    OpDef("maximum", binary),
    OpDef("minimum", binary),
    OpDef("equal", compare),
    OpDef("less", compare),
    OpDef("neg", same, (lambda b, op, g: b.neg(g),)),
    OpDef("sqrt", same, (lambda b, op, g: b.div(b.mul(g, 0.5), op.result),)),
    OpDef("clamp", same),
    OpDef("exp", same),
    OpDef("log", same),
    OpDef("erf", same),
)
