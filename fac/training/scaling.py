"""Standardised samples: means and deviations of the training samples, kept with the state and used wherever it is."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fac.backend import Precision
from fac.diagnostics import FacError
from fac.training.dataset import AT_ONCE


@dataclass(frozen=True, eq=False, slots=True)
class Scaling:
    """(x - mean) / deviation; both float64, of a shape that is stretched to that of a sample."""

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]
    """1 where all training samples are the same, which so become 0."""

    def equals(self, other: Scaling) -> bool:
        """Whether both do the same to numbers."""
        pairs = ((self.mean, other.mean), (self.deviation, other.deviation))
        return all(np.array_equal(one, another) for one, another in pairs)

    def applied(self, array: NDArray[Any], precision: Precision) -> NDArray[Any]:
        """The numbers (n, *sample), computed in float64, in a precision."""
        made = np.empty(array.shape, precision)
        levels = self.levels() if array.dtype == np.uint8 else None
        if levels is not None:
            levels = levels.astype(precision)
            for channel, level in enumerate(levels):
                part = array if len(levels) == 1 else array[:, channel]
                (made if len(levels) == 1 else made[:, channel])[...] = level[part]
            return made
        for start, part in _parts(array):
            made[start : start + len(part)] = (part - self.mean) / self.deviation
        return made

    def levels(self) -> NDArray[np.float64] | None:
        """(channels or 1, 256): what each byte becomes; None if that is another number in each place of a sample."""
        if any(size != 1 for size in self.mean.shape[1:]):
            return None
        mean, deviation = (of.reshape(-1, 1) for of in (self.mean, self.deviation))
        return (np.arange(256) - mean) / deviation


BYTES = 255.0
"""The value of a byte that stands for 1."""


def of_bytes() -> Scaling:
    """Bytes as numbers from 0 to 1."""
    return Scaling(np.zeros(()), np.array(BYTES))


def measured(array: NDArray[Any], pooled: Sequence[int], what: str) -> Scaling:
    """Mean and standard deviation of samples, in float64, some samples at a time.

    Args:
        array: (n, *sample), at least one of them.
        pooled: the axes of a sample over which one mean is taken, besides that over samples.
        what: how messages call the samples.

    Raises:
        FacError: a number is not finite.
    """
    axes = (0, *(1 + axis for axis in pooled))
    count = len(array) * int(np.prod([array.shape[axis] for axis in axes[1:]], dtype=np.int64))
    total: Any = 0.0
    for start, part in _parts(array):
        wrong = ~np.isfinite(part).reshape(len(part), -1).all(1)
        if wrong.any():
            raise FacError(
                f"sample {start + int(wrong.argmax())} of {what} holds a number that is not finite, and no mean is "
                "taken of that: remove or replace it"
            )
        total = total + part.sum(axes, keepdims=True)
    mean = total / count
    square: Any = 0.0
    for _, part in _parts(array):
        square = square + ((part - mean) ** 2).sum(axes, keepdims=True)
    deviation = np.sqrt(square / count)
    # what rounding leaves of numbers that are all the same is no deviation
    same = deviation <= 1e-12 * np.abs(mean)
    return Scaling(mean[0], np.where(same, 1.0, deviation)[0])


def to_text(scalings: Mapping[str, Scaling]) -> str:
    """As the metadata of a checkpoint have it: JSON, which loses no digit."""
    return json.dumps(
        {
            name: {"mean": scaling.mean.tolist(), "deviation": scaling.deviation.tolist()}
            for name, scaling in scalings.items()
        }
    )


def from_text(text: str) -> dict[str, Scaling]:
    """What `to_text` has written.

    Raises:
        ValueError: it did not.
    """
    try:
        found = json.loads(text)
        return {str(name): _scaling(entry) for name, entry in found.items()}
    except (AttributeError, KeyError, TypeError, RecursionError) as error:
        raise ValueError("no means and deviations") from error


def _scaling(entry: Any) -> Scaling:
    mean, deviation = (np.array(entry[key], np.float64) for key in ("mean", "deviation"))
    sound = np.isfinite(mean).all() and np.isfinite(deviation).all() and (deviation > 0).all()
    if mean.shape != deviation.shape or not sound:
        raise ValueError("no means and deviations")
    return Scaling(mean, deviation)


def _parts(array: NDArray[Any]) -> Iterator[tuple[int, NDArray[np.float64]]]:
    for start in range(0, len(array), AT_ONCE):
        yield start, array[start : start + AT_ONCE].astype(np.float64)
