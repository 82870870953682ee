"""What there is in data: shapes, ranges, means, what is missing, and how many samples each class has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fac.training.dataset import AT_ONCE, Dataset


@dataclass(frozen=True, slots=True)
class Described:
    """One array."""

    shape: tuple[int, ...]
    dtype: str
    least: float
    most: float
    mean: float
    deviation: float
    """Of all numbers that are finite; NaN where there is none, and so of the three before."""
    missing: int
    """Numbers that are not finite."""


def described(array: NDArray[Any]) -> Described:
    """An array of numbers or truth values, some samples at a time, in float64."""
    count, total, missing = 0, 0.0, 0
    least, most = np.inf, -np.inf
    for part in _parts(array):
        missing += part.size
        part = part[np.isfinite(part)]
        missing -= part.size
        if part.size:
            count, total = count + part.size, total + float(part.sum())
            least, most = min(least, float(part.min())), max(most, float(part.max()))
    if not count:
        return Described(array.shape, str(array.dtype), nan, nan, nan, nan, missing)
    mean, square = total / count, 0.0
    for part in _parts(array):
        square += float(((part[np.isfinite(part)] - mean) ** 2).sum())
    return Described(array.shape, str(array.dtype), least, most, mean, (square / count) ** 0.5, missing)


def are_labels(array: NDArray[Any]) -> bool:
    """Whether it has one whole number for each sample."""
    return array.ndim == 1 and array.dtype.kind in "iu"


def _parts(array: NDArray[Any]) -> Iterator[NDArray[np.float64]]:
    for start in range(0, len(array), AT_ONCE):
        yield array[start : start + AT_ONCE].astype(np.float64).ravel()


def all_described(dataset: Dataset) -> dict[str, dict[str, Described]]:
    """Each array of each split."""
    return {
        part: {name: described(array) for name, array in split.arrays.items()}
        for part, split in dataset.splits.items()
    }


def columns_described(dataset: Dataset) -> dict[str, tuple[Described, int]]:
    """Of each column of a table: its training samples, and how many different numbers these have."""
    if not dataset.columns:
        return {}
    x = dataset.train.x
    return {
        name: (described(x[:, place]), len(np.unique(x[:, place])))
        for place, name in enumerate(dataset.columns)
    }


def class_counts(dataset: Dataset) -> dict[str, dict[str, dict[int, int]]]:
    """How often each label is there: of each array that has one for each sample, split by split."""
    found: dict[str, dict[str, dict[int, int]]] = {}
    for part, split in dataset.splits.items():
        for name, array in split.arrays.items():
            if are_labels(array):
                labels, counts = np.unique(array, return_counts=True)
                found.setdefault(name, {})[part] = dict(zip(labels.tolist(), counts.tolist(), strict=True))
    return found
