"""Random choices read from bytes, so that hypothesis can make a failing input smaller: zero is the plainest choice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Choices:
    """Takes its decisions from bytes, one or two for each; behind the last byte all are the plainest."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def pick(self, n: int) -> int:
        """One of 0, ..., n - 1."""
        if n < 2:
            return 0
        value = self._byte()
        if n > 256:
            value = value * 256 + self._byte()
        return value % n

    def one(self, items: Sequence[T]) -> T:
        """One of the items; the first is the plainest."""
        return items[self.pick(len(items))]

    def rarely(self, n: int) -> bool:
        """True once in `n` times."""
        return self.pick(n) == n - 1

    def _byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1] if self.at <= len(self.data) else 0
