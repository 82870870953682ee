"""Axes: how numbers lie along one, and which of them are written beside it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import count
from math import ceil, floor, isfinite, log10

LARGEST, SMALLEST = 1e150, 1e-300
"""What is drawn lies within: beyond, the distance of two numbers may not be one; below, numbers are 0."""
WIDE = 100.0
"""How many times the smallest of positive numbers the largest is where an axis goes by their logarithm."""
FLAT = 1e-6
"""Numbers that differ by less, relative to their size, are drawn as one: rounding, of float32 too, is no course of
anything."""
MARGIN = 0.06
ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Axis:
    """From `low` to `high`, of the numbers or of their logarithms."""

    low: float
    high: float
    log: bool = False

    def place(self, value: float) -> float:
        """Where it lies, 0 at the lower end and 1 at the upper; a number of the axis."""
        return ((log10(value) if self.log else value) - self.low) / (self.high - self.low)

    def ticks(self, most: int = 6) -> list[tuple[float, str]]:
        """Some round numbers in it, as they are written."""
        if self.log:
            return _decades(self.low, self.high, most)
        for step in _round_steps((self.high - self.low) / (2 * most)):
            first, last = ceil(self.low / step - ROUNDING), floor(self.high / step + ROUNDING)
            if last - first < most:
                return [(i * step, _written(i * step, step)) for i in range(first, last + 1)]
        raise AssertionError("steps grow without end")


def drawable(value: float) -> bool:
    """Whether it has a place in a plot."""
    return isfinite(value) and abs(value) <= LARGEST


def axis(values: Iterable[float], within: tuple[float, float] | None = None) -> Axis:
    """The axis of one or more drawable numbers, by their logarithms where they are positive and differ much.

    It does not go beyond the ends of `within` where some number is within. What may be negative, as a cosine, has no
    logarithm, even where no number is.
    """
    numbers = list(values)
    least, most = (None, None) if within is None else within
    found = _around(min(numbers), max(numbers), log=least is None or least >= 0)
    if least is None or most is None:
        return found
    if max(numbers) < least or min(numbers) > most:
        return found  # all lie beyond, and are drawn where they are
    if found.log:
        return replace(found, high=min(found.high, log10(most)))
    return replace(found, low=max(found.low, least), high=min(found.high, most))


def _around(low: float, high: float, *, log: bool = True) -> Axis:
    """The axis with room on either side of the least and of the largest number."""
    if log and low > SMALLEST and high / low >= WIDE:
        room = MARGIN * (log10(high) - log10(low))
        return Axis(log10(low) - room, log10(high) + room, log=True)
    size = max(abs(low), abs(high))
    if high - low <= max(FLAT * size, SMALLEST):
        room = 0.5 * size if size > SMALLEST else 1.0
        return Axis(low - room, high + room)
    room = MARGIN * (high - low)
    return Axis(low - room, high + room)


def _round_steps(least: float) -> Iterator[float]:
    """1, 2, 5 times powers of ten, from about that on."""
    for power in count(floor(log10(least))):
        yield from (float(f"{factor}e{power}") for factor in (1, 2, 5))


def _written(value: float, step: float) -> str:
    if value == 0 or abs(value) < step / 2:
        return "0"
    if 1e-4 <= abs(value) < 1e7 and step >= 1e-6:
        return f"{value:,.{max(0, -floor(log10(step) + ROUNDING))}f}"
    mantissa, exponent = (
        f"{value:.{max(0, floor(log10(abs(value))) - floor(log10(step) + ROUNDING))}e}".split("e")
    )
    return f"{mantissa}e{int(exponent)}"


def _decades(low: float, high: float, most: int) -> list[tuple[float, str]]:
    every = max(1, ceil((high - low) / most))
    powers = range(every * ceil(low / every), floor(high) + 1, every)
    if len(powers) < 2:  # a decade and a bit: thirds of it are round enough
        marks = [(factor, power) for power in range(floor(low), ceil(high) + 1) for factor in (1, 2, 5)]
        found = [(float(f"{factor}e{power}"), factor, power) for factor, power in marks]
        return [
            (v, f"{f}e{p}" if not -3 <= p <= 3 else f"{v:g}")
            for v, f, p in found
            if low <= log10(v or 1) <= high
        ]
    return [(float(f"1e{p}"), f"1e{p}" if not -3 <= p <= 3 else f"{10.0**p:g}") for p in powers]
