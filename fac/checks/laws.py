"""What initial laws and activations do to squares: variances, and means over normal numbers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from math import cosh, exp, inf, log, log1p, prod, sinh, sqrt

from fac.program.tensors import Tensor
from fac.program.traits import Curve
from fac.spec.init import entries

HUGE = 1e300
"""Where squares stop growing: what lies above is out of all proportion anyway."""


@dataclass(frozen=True, slots=True)
class Range:
    """Between which bounds the logarithm of a squared norm is expected."""

    low: float
    high: float

    def __add__(self, other: Range) -> Range:
        """One factor after another."""
        return Range(self.low + other.low, self.high + other.high)

    def joined(self, other: Range) -> Range:
        """The sum of two errors that know nothing of each other."""
        return Range(_log_sum(self.low, other.low), _log_sum(self.high, other.high))


def exactly(factor: float) -> Range:
    """A factor on the squared norm."""
    size = log(min(factor, HUGE))
    return Range(size, size)


def wide(units: int) -> float:
    """A number of units as a float, be it as absurd as it may."""
    return float(min(units, 10**300))


def variance(tensor: Tensor) -> float | None:
    """Of the entries of a tensor as it is drawn; None where that is not known beforehand."""
    match tensor.law:
        case "zeros":
            return 0.0
        case "orthogonal":
            return 1 / max(tensor.shape[0], prod(tensor.shape[1:]))
    drawn = entries(tensor.law, tensor.fan_in, tensor.fan_out)
    return None if drawn is None else min(drawn.variance, HUGE)


def rounded(square: float) -> float:
    """Deep networks repeat themselves to three digits, so that few integrals have to be taken."""
    return float(f"{min(square, 1e12):.2e}")


def _log_sum(a: float, b: float) -> float:
    high, low = max(a, b), min(a, b)
    return high if low == -inf or high == inf else high + log1p(exp(low - high))


_FINE = 8.0
"""How much closer points lie near 0, where the derivative of a saturated activation is one narrow peak."""


@cache
def _points() -> tuple[tuple[float, float], ...]:
    """Points over six deviations, and their weights: the trapezoid rule."""
    half, found = 80, []
    for index in range(-half, half + 1):
        t = _FINE * index / half
        z = 6 * sinh(t) / sinh(_FINE)
        found.append((z, exp(-z * z / 2) * cosh(t)))
    whole = sum(weight for _, weight in found)
    return tuple((z, weight / whole) for z, weight in found)


@lru_cache(maxsize=4096)
def mean_square(curve: Curve, derivative: bool, square: float) -> float:
    """The mean of f(a)^2 for normal a of the given mean square, or that of its derivative's."""
    f, width = curve.slope if derivative else curve.f, sqrt(square)
    return max(sum(weight * f(width * z) ** 2 for z, weight in _points()), 1e-300)
