"""Integer ops for counter-based random numbers (`fac.step.random`). INT is 64 bit; nothing here overflows it."""

from __future__ import annotations

from fac.step.ops.base import Attributes, OpDef
from fac.step.ops.elementwise import binary
from fac.step.ops.shapes import shape_of
from fac.step.types import DType, Type


def iota(operands: tuple[Type, ...], attributes: Attributes) -> Type:
    """INT of the given shape."""
    return Type(shape_of(attributes), DType.INT)


INTEGERS = (
    OpDef("iota", iota),
    OpDef("bit_xor", binary),
    OpDef("bit_and", binary),
    OpDef("shift_right", binary),
)
