"""What sessions share that keep the data on the host, as NumPy arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fac.backend.boundary import check_feed
from fac.backend.compiled import Array
from fac.backend.session import Session
from fac.step.feed import Feed


class Placed(np.ndarray[Any, np.dtype[Any]]):
    """An array that `place` has checked: nothing but a mark."""


class HostSession(Session):
    """`place`, `is_placed` and `take` for data that stays on the host. State is the business of who inherits."""

    def place(self, array: Array) -> Array:
        """In the session's precision, integers as int64, row by row."""
        array = np.asarray(array)
        dtype = np.int64 if array.dtype.kind in "iub" else self.precision
        return array.astype(dtype, order="C").view(Placed)

    def is_placed(self, value: Any) -> bool:
        """Whether the type says so; indexing keeps it."""
        return isinstance(value, Placed)

    def take(self, placed: Array, rows: NDArray[np.int64]) -> Array:
        """Those rows."""
        taken: Array = placed[rows]
        return taken

    def _batch(self, feeds: Sequence[Feed], x: Any, y: Any) -> dict[str, Any]:
        """Also looks at the numbers that were placed, where a framework would do so, or read beyond its arrays."""
        found = super()._batch(feeds, x, y)
        for feed in feeds:
            if feed.classes is not None or feed.within is not None or feed.mask:
                check_feed(feed, found[feed.name])
        return found
