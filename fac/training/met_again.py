"""Samples of one split that are those of another: what a training says of them, though it goes on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from fac.training.dataset import AT_ONCE, Dataset, Split, called
from fac.training.stored import Stored


def met_again(dataset: Dataset) -> Iterator[str]:
    """Splits that hold the training samples, each in its place.

    Args:
        dataset: fitted. To compare ends with the first samples that differ.
    """
    for part, split in dataset.splits.items():
        if part != "train" and _equal(split, dataset.train):
            yield (
                f"{called(dataset, part)} is the training samples: what is known by heart says nothing "
                "of others"
            )


def _equal(one: Split, other: Split) -> bool:
    raw = [
        {name: array.raw if isinstance(array, Stored) else array for name, array in split.arrays.items()}
        for split in (one, other)
    ]
    pairs = [(array, raw[1][name]) for name, array in raw[0].items()]
    return all(a is b or (a.shape == b.shape and _same_rows(a, b)) for a, b in pairs)


def _same_rows(a: Any, b: Any) -> bool:
    return all(
        np.array_equal(a[start : start + AT_ONCE], b[start : start + AT_ONCE])
        for start in range(0, len(a), AT_ONCE)
    )
