"""What a kind of layer says of its numbers: a curve if it treats every number alike, traits if it does not.

Of a curve nothing but its function is declared. Whatever else the checks ask (bounds, signs, zeros, slopes) is read off
it here, once, at points of either sign from 1e-6 to 1e12, in plain floats: `fac check` imports no NumPy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from math import inf, isclose, isfinite

SIZES = tuple(10.0 ** (power / 8) for power in range(-48, 97))
"""Where a curve is looked at, and at the same points below zero."""
FAR = 1e6
"""A curve that moves by less than `SETTLED` from here to the last point is bounded."""
SETTLED = 1e-3
NEAR = 1e-12
"""Relative: what one rounding may change."""


@dataclass(frozen=True, slots=True)
class Traits:
    """What is known of a layer. What is left out is not known, and the checks keep silent about it."""

    zero: bool = False
    """Whether it makes zeros of zeros; a layer with a weight also of a weight that is zero. Of its other tensors those
    are zero that start so, such as a bias; the rest, such as a gain, is any number."""
    homogeneous: bool = False
    """Whether c x gives c y for every c > 0; for a layer with weights, whether c times all its tensors do, and c x
    where all but the weight that it contracts with are zero; for one that reads whole numbers, whether c times all its
    tensors do."""
    sign: bool = False
    """Whether it leaves numbers that are not negative so."""
    bounds: tuple[float, float] = (-inf, inf)
    """Between which numbers it stays, whatever it reads; infinite where it does not."""
    affine: bool = False
    """Whether it is W x + b of a vector x, or of each of many, with a weight W [out, in]: two such layers in a row are
    one."""
    value: float | None = None
    """Of a layer without weights that is linear in what it reads: its mean square as a multiple of what it reads,
    summed over its inputs."""
    error: float | None = None
    """The squared norm of the error that it passes to one of its inputs, as a multiple of that of its own."""
    centred: int | None = None
    """Of a layer that subtracts means of what it reads: over how many numbers of a sample each of them is."""
    parts: int = 1
    """Of a layer that reads as one, along the channels of tokens, what it can read as several layers of equal width:
    how many. A low rank past the layer that makes them is meant for each."""
    channels: bool = False
    """Whether each of these means is that of one channel, the first axis of a sample, over all samples of a batch."""
    unit: float | None = None
    """Of a normalisation: what it adds to the variance, or the mean square, by whose root it divides what it reads. So
    it starts with numbers of mean square 1, whatever it reads."""
    averages: float | None = None
    """Of a layer that may act by averages in training, too: what these, as they start, multiply each square by, be it
    of a number that it reads or of an error that it passes."""


UNKNOWN = Traits()


@dataclass(frozen=True, eq=False)
class Curve:
    """A layer that makes y = f(x) of every number, whatever stands beside it."""

    f: Callable[[float], float]
    """Defined for every x from -1e12 to 1e12. At a kink the derivative is that from below, as of most ops here."""
    at_zero: float | None = None
    """The derivative at 0, where it is not that from below."""

    @property
    def defined(self) -> bool:
        """Whether f is a finite number wherever it is looked at."""
        try:
            return all(isfinite(y) for y in (self.f(0.0), *self.above, *self.below))
        except Exception:  # whatever a plug-in raises
            return False

    @cached_property
    def above(self) -> tuple[float, ...]:
        """F at `SIZES`."""
        return tuple(self.f(x) for x in SIZES)

    @cached_property
    def below(self) -> tuple[float, ...]:
        """F at minus `SIZES`."""
        return tuple(self.f(-x) for x in SIZES)

    @cached_property
    def bounds(self) -> tuple[float, float]:
        """Between which numbers it stays; infinite where it does not."""
        values = (self.f(0.0), *self.above, *self.below)
        drifts = (self.above[-1] - self.f(FAR), self.below[-1] - self.f(-FAR))
        return (
            -inf if min(drifts) < -SETTLED else min(values),
            inf if max(drifts) > SETTLED else max(values),
        )

    @cached_property
    def keeps_positive(self) -> bool:
        """Whether it changes no number above zero."""
        return all(isclose(y, x, rel_tol=NEAR) for x, y in zip(SIZES, self.above, strict=True))

    @cached_property
    def cuts_negative(self) -> bool:
        """Whether all numbers below zero are one to it."""
        return len(set(self.below)) == 1

    @cached_property
    def odd(self) -> bool:
        """Whether f(-x) is -f(x)."""
        return all(isclose(-a, b, rel_tol=NEAR) for a, b in zip(self.above, self.below, strict=True))

    @cached_property
    def homogeneous(self) -> bool:
        """Whether f(c x) is c f(x) for every c > 0: a straight line on either side of zero."""
        sides = (self.above, self.f(1.0)), (self.below, self.f(-1.0))
        return self.f(0.0) == 0 and all(
            isclose(y, x * one, rel_tol=NEAR) for side, one in sides for x, y in zip(SIZES, side, strict=True)
        )

    @cached_property
    def dead_at_zero(self) -> bool:
        """Whether no error gets back through a unit that reads 0."""
        return self.slope(0.0) == 0

    @cached_property
    def traits(self) -> Traits:
        """What is asked of layers of every kind."""
        return Traits(
            zero=self.f(0.0) == 0,
            homogeneous=self.homogeneous,
            sign=self.keeps_positive,
            bounds=self.bounds,
        )

    def slope(self, x: float) -> float:
        """The derivative, by differences of the fourth order; at 0, where kinks are, from below."""
        h = 1e-3 * max(1.0, abs(x))
        if x == 0 and self.at_zero is not None:
            return self.at_zero
        if x == 0:
            ahead = (-25 / 12, 4, -3, 4 / 3, -1 / 4)
            return 0.0 - sum(c * self.f(-i * h) for i, c in enumerate(ahead)) / h
        near, far = self.f(x + h) - self.f(x - h), self.f(x + 2 * h) - self.f(x - 2 * h)
        return (8 * near - far) / (12 * h)
