"""What is carried out on the host, by a function that is no part of the step (`fac.step.hosted`)."""

from __future__ import annotations

from fac.step.ops.base import Attributes, OpDef, Without
from fac.step.types import DType, Type, TypeRuleError


def rows(operands: tuple[Type, ...], attributes: Attributes) -> Type:
    """[n, reads] makes [n, width].

    Raises:
        TypeRuleError: no matrix of FLOAT, no name, or no width.
    """
    (x,), call, width = operands, attributes["call"], attributes["width"]
    if len(x.shape) != 2 or x.dtype != DType.FLOAT:
        raise TypeRuleError(f"rows of FLOAT go to the host, not {x}")
    if not isinstance(call, str) or not call or not isinstance(width, int) or width < 1:
        raise TypeRuleError(f"a name and a width are needed, not {call!r} and {width!r}")
    return Type((x.shape[0], width))


OUTSIDE = Without("it is carried out on the host, and nothing is known of it")

HOST = (OpDef("host", rows, (OUTSIDE,), frozenset({"call", "width"})),)
