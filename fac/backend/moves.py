"""Samples that a device keeps as bytes, and what a training changes in them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]


@dataclass(frozen=True, eq=False, slots=True)
class Moves:
    """Some samples, and what is changed in them if they are images [channels, height, width]."""

    rows: NDArray[np.int64]
    """[N], which samples."""
    changes: NDArray[np.int64] | None = None
    """[3, N]: from where in an image with its border a part of its size is taken, down and right; and 1 if left and
    right of that part change places."""
    border: int = 0
    """How many pixels of byte 0 are around an image."""
