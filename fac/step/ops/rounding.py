"""Numbers of fewer digits, for mixed precision: a value stays FLOAT, and holds what the narrower type could."""

from __future__ import annotations

from fac.step.ops.base import DISCRETE, Attributes, OpDef, floating
from fac.step.types import Type, TypeRuleError

NARROW = ("bfloat16",)
"""8 binary digits, and the exponents of float32, so that what is small stays a number without a scale of its own."""


def round_to(operands: tuple[Type, ...], attributes: Attributes) -> Type:
    """The same type: each number becomes the nearest of `to`, of two that are as near the even one.

    What float64 holds may be rounded to float32 first, as hardware and libraries do.

    Raises:
        TypeRuleError: not FLOAT, or `to` is no such type.
    """
    if attributes["to"] not in NARROW:
        raise TypeRuleError(f"numbers are rounded to {' or '.join(NARROW)}, not to {attributes['to']}")
    return floating(operands, attributes)


ROUNDING = (OpDef("round_to", round_to, (DISCRETE,), frozenset({"to"}), selects=True),)
