"""How far the numbers of a backend may be from those that are expected: one table for all cases.

Distances are between arrays of one name, as the largest difference over the largest entry, or over 1 if all are
smaller. What a right backend shows stands beside each bound, so that a bound is neither luck nor licence.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from fac.backend import Precision

Family = Literal["op", "layer", "rule", "step", "law"]

TOLERANCE: Mapping[Family, Mapping[Precision, float]] = {
    "op": {"float64": 1e-12, "float32": 2e-6},  # found: 1e-15, 5e-7
    "layer": {"float64": 1e-12, "float32": 1e-5},  # 1e-15, 7e-7
    "rule": {"float64": 1e-10, "float32": 1e-5},  # 6e-15 after 50 steps, 6e-7 after one
    "step": {"float64": 1e-12, "float32": 1e-5},  # 3e-15, 1e-6
    "law": {"float64": 1e-12, "float32": 1e-5},  # 4e-16, 1e-7
}
