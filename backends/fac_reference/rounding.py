"""Rounding bit by bit: NumPy has no bfloat16."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def bfloat16(x: NDArray[Any]) -> NDArray[Any]:
    """Each number as the nearest bfloat16, of two that are as near the even one, in the type of x.

    A bfloat16 is the upper half of a float32: added to the bits, half of the lower half rounds up what is above the
    middle, and the last bit that stays decides what is in the middle. Infinite numbers, and none, stay what they are.
    """
    with np.errstate(over="ignore"):
        bits = np.asarray(x, np.float32, order="C").view(np.uint32)
    half = ((bits >> np.uint32(16)) & np.uint32(1)) + np.uint32(0x7FFF)
    near = ((bits + half) & np.uint32(0xFFFF0000)).view(np.float32)
    return np.where(np.isfinite(x), near, x).astype(x.dtype)


ROUNDED = {"bfloat16": bfloat16}
