"""How far a computation is from the same one in float64."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fac.backend.compiled import STEP

Arrays = Mapping[str, Any]
STILL = 1e-5
"""Of float32."""


def deviation(found: Arrays, expected: Arrays, before: Arrays, still: float = STILL) -> float:
    """Of all tensors that both have the largest difference, relative to how far they moved, in the Euclidean norm.

    Infinite if one of them is no number, moved where the oracle stands still, or if they have none in common. What
    moves by less than `still` of its own norm has moved by rounding, and counts as if it had moved by so much.
    """
    far = [
        _far(name, found, expected, before, still) for name in sorted(found.keys() & expected.keys() - {STEP})
    ]
    return max((distance if np.isfinite(distance) else np.inf for distance in far), default=np.inf)


def _far(name: str, found: Arrays, expected: Arrays, before: Mapping[str, Any], still: float) -> float:
    way = np.linalg.norm(expected[name] - before[name]) + still * np.linalg.norm(before[name])
    apart = np.linalg.norm(np.float64(found[name]) - expected[name])
    if way == 0:
        return 0.0 if apart == 0 else np.inf
    return float(apart / way)
