"""Samples that are nothing like those of a training: of another unit, or scaled already."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fac.training.scaling import BYTES, Scaling, measured

FAR = 5.0
"""Deviations of the training samples, by which a mean over all numbers is far from theirs."""
SPREAD = 10.0
"""How many times as large or as small a deviation is another one."""
ENOUGH = 10
"""Numbers of which a deviation is believed."""


def unlike(made: NDArray[Any], by: Scaling, what: str) -> str:
    """What is said of samples that lie far outside what a training saw; empty of all others.

    Of standardised numbers the mean is about 0 and the deviation about 1, if they are as those of the training are.

    Args:
        made: (n, *sample), standardised, all finite.
        by: by what they were.
        what: how messages call them.
    """
    axes = made.ndim - 1
    own = (1,) * (axes - by.mean.ndim) + by.mean.shape
    pooled = [axis for axis in range(axes) if own[axis] == 1]
    found = measured(made, pooled, what)
    counted = len(made) * int(np.prod([made.shape[1 + axis] for axis in pooled], dtype=np.int64))
    varied = found.deviation != 1  # 1 is written for numbers that are all the same, which tell no spread
    spread = _size(found.deviation[varied]) if counted >= ENOUGH and varied.any() else 1.0
    off = abs(float(found.mean.mean())) > FAR
    other = not 1 / SPREAD <= spread <= SPREAD
    if not off and not other:
        return ""
    mean = float((by.mean + by.deviation * found.mean).mean())
    deviation = _size(by.deviation * np.where(varied, found.deviation, 0))
    had_mean, had = float(by.mean.mean()), _size(by.deviation)
    bytes_alone = by.mean.size == 1 and (had_mean, had) == (0, BYTES)  # divided, and never measured
    trained = (
        "bytes, from 0 to 255" if bytes_alone else f"a mean of {had_mean:.3g} and a deviation of {had:.3g}"
    )
    return (
        f"{what} is unlike what the network was trained on: it has a mean of {mean:.3g} and a deviation of "
        f"{deviation:.3g}, the training had {trained}; {_cause(mean, deviation, had, images=axes > 1)}"
    )


def _cause(mean: float, deviation: float, had: float, *, images: bool) -> str:
    """What is likely, and what to do."""
    if abs(mean) < 0.5 and 0.5 < deviation < 2:
        return "it seems to be standardised already: give the numbers as they were before"
    if images and 1 / SPREAD < deviation * BYTES / had < SPREAD and 0 <= mean <= 1:
        return "it seems to be divided by 255 already: give the bytes"
    if images and 1 / SPREAD < deviation / BYTES / had < SPREAD:
        return "it seems to hold bytes, and the training had these divided by 255: divide them"
    return "give numbers in the units of those that it was trained on"


def _size(values: NDArray[np.float64]) -> float:
    """The root of the mean square."""
    return float(np.sqrt(np.square(values).mean()))
