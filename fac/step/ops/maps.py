"""What ops on maps [N, C, H, W] share."""

from __future__ import annotations

from fac.step.ir import Op
from fac.step.ops.base import Attributes
from fac.step.types import Dim, DType, Type, TypeRuleError


def whole(attributes: Attributes | Op, name: str) -> tuple[int, ...]:
    """A setting of several whole numbers."""
    value = attributes[name]
    assert isinstance(value, tuple)
    return tuple(number for number in value if isinstance(number, int))


def map_of(type: Type) -> tuple[Dim, int, tuple[int, int]]:
    """(N, C, (H, W)).

    Raises:
        TypeRuleError: no map of FLOAT.
    """
    n, *sizes = type.shape or (0,)
    c, h, w = sizes if len(sizes) == 3 else (None, None, None)
    if not (isinstance(c, int) and isinstance(h, int) and isinstance(w, int)) or type.dtype != DType.FLOAT:
        raise TypeRuleError(f"a map [N, C, H, W] of FLOAT is needed, not {type}")
    return n, c, (h, w)
