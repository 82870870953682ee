"""Batches for which no data are needed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fac.backend import Array, Feed, Precision


def drawn(feeds: Sequence[Feed], n: int, precision: Precision) -> dict[str, Array]:
    """[n, ...] of each, by its name, always the same.

    Normal numbers, or even ones between those that an array has to lie between; whole ones below `classes`; masks of
    ones.
    """
    rng = np.random.default_rng(0)

    def one(feed: Feed) -> Array:
        shape = (n, *feed.shape)
        if feed.mask:
            return np.ones(shape, precision)
        if feed.classes is not None:
            return rng.integers(feed.classes, size=shape)
        if feed.within is not None:
            return rng.uniform(*feed.within, size=shape).astype(precision)
        return rng.standard_normal(shape).astype(precision)

    return {feed.name: one(feed) for feed in feeds}
