"""Integer ops for counter-based random numbers (`fac.step.random`). INT is 64 bit; nothing here overflows it."""

from __future__ import annotations

from fac.step.ops.base import DISCRETE, Attributes, OpDef
from fac.step.ops.elementwise import binary
from fac.step.ops.shapes import shape_of
from fac.step.types import DType, Type, TypeRuleError


def iota(operands: tuple[Type, ...], attributes: Attributes) -> Type:
    """INT of the given shape."""
    return Type(shape_of(attributes), DType.INT)


def integral(operands: tuple[Type, ...], attributes: Attributes) -> Type:
    """As `binary`, of INT.

    Raises:
        TypeRuleError: another element type; see also `binary`.
    """
    if operands[0].dtype != DType.INT:
        raise TypeRuleError(f"INT is needed, not {operands[0]}")
    return binary(operands, attributes)


BOTH = (DISCRETE, DISCRETE)

INTEGERS = (
    OpDef("iota", iota, attributes=frozenset({"shape"})),
    OpDef("bit_xor", integral, BOTH),
    OpDef("bit_and", integral, BOTH),
    OpDef("shift_right", integral, BOTH),
)
