"""Which training samples are held out for validation: drawn once, by a seed, class by class where there are labels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fac.memory import require_room
from fac.training.dataset import HeldOut, Split


def parted(split: Split, held: HeldOut, labels: NDArray[Any] | None) -> tuple[Split, Split]:
    """What is left of a split, and what is taken from it, both in their order.

    Args:
        split: n samples.
        held: how much is taken.
        labels: (n,) whole numbers, of which each gives its share; None to draw from all alike.
    """
    n = len(split)
    rows = drawn(np.zeros(n, np.int64) if labels is None else labels, held)
    taken = np.zeros(n, bool)
    taken[rows] = True
    return some(split, ~taken), some(split, taken)


def drawn(labels: NDArray[Any], held: HeldOut) -> NDArray[np.int64]:
    """Which of n samples are taken: `held.count(n)` of them.

    Of n_c samples of class c these are n_c count / n, rounded down; what is missing comes from the classes that lost
    most by that, of those that do not give their last sample if possible. Which ones is decided by raw Philox words,
    as the order of an epoch is: no release of NumPy changes it.

    Args:
        labels: (n,) whole numbers.
        held: the share and the seed.
    """
    n = len(labels)
    count = held.count(n)
    words = np.random.Philox(key=np.array([held.seed, n], np.uint64)).random_raw(n)
    _, classes, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    # in whole numbers, so that no rounding decides
    quotas, lost = np.divmod(sizes * count, n)
    while short := count - int(quotas.sum()):
        able = np.flatnonzero(quotas + 1 < sizes)
        if not len(able):
            able = np.flatnonzero(quotas < sizes)
        quotas[able[np.argsort(-lost[able], kind="stable")[:short]]] += 1
    by_class = np.lexsort((words, classes))
    first = np.repeat(np.cumsum(sizes) - sizes, sizes)
    return by_class[np.arange(n) - first < np.repeat(quotas, sizes)]


def some(split: Split, kept: NDArray[np.bool_]) -> Split:
    """Those samples, in memory.

    Raises:
        FacError: they are on the disk, and do not fit.
    """
    for name, array in split.arrays.items():
        if isinstance(array, np.memmap):
            needed = int(kept.sum()) * array.nbytes // len(array)
            remedy = "give each split a folder of its own, from which samples are read as they are needed"
            require_room(f"`{name}` of some samples of one file", needed, remedy)
    return Split(**{name: array[kept] for name, array in split.arrays.items()})
