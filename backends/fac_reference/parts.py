"""Tensors side by side, and tensors with more or fewer rows at their ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from fac_reference.kernels import Array, Run


def pad(r: Run, x: Array) -> Array:
    """Zeros around x."""
    return np.pad(x, tuple(zip(r["before"], r["after"], strict=True)))


def crop(r: Run, x: Array) -> Array:
    """X without its ends."""
    ends = zip(x.shape, r["before"], r["after"], strict=True)
    return x[tuple(slice(before, size - after) for size, before, after in ends)]
