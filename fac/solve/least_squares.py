"""Least squares over blocks of rows, in memory that does not grow with their number."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Solution:
    """The smallest Theta of all that come nearest to A Theta = T."""

    theta: Matrix
    """[features, outputs]."""
    rank: int
    """How many singular values of A were not cut off."""
    error: float
    """Mean of (A Theta - T)^2 over rows and outputs."""


class LeastSquares:
    """A Theta = T, of which rows arrive one block after the other.

    What is kept of them is the triangle R of [A, T] = Q R (Golub 1965; block by block, Demmel et al. 2012, SIAM J. Sci.
    Comput. 34:A206): A and the first columns of R have the same singular values, and A^+ T is that of R.
    """

    def __init__(self, features: int, outputs: int) -> None:
        self.features, self.outputs, self.rows = features, outputs, 0
        whole = features + outputs
        # The triangle, and below it rows that wait: at least as many, so that most of the work is on new rows.
        self._stacked: Matrix = np.zeros((2 * whole, whole))
        self._filled = 0

    def add(self, block: Matrix) -> None:
        """Take in rows of [A, T], [rows, features + outputs]."""
        self.rows += len(block)
        while len(block):
            if self._filled == len(self._stacked):
                self._take()
            room = len(self._stacked) - self._filled
            taken, block = block[:room], block[room:]
            self._stacked[self._filled : self._filled + len(taken)] = taken
            self._filled += len(taken)

    def solution(self, rcond: float) -> Solution:
        """Of all rows so far.

        Args:
            rcond: singular values of A up to this multiple of the largest are taken for zero.

        Raises:
            LinAlgError: a number is not finite.
        """
        self._take()
        n, whole = self.features, self.features + self.outputs
        a, t, rest = self._stacked[:n, :n], self._stacked[:n, n:], self._stacked[n:whole, n:]
        u, s, vt = np.linalg.svd(a)
        kept = s > rcond * s[0]
        u, s, vt = u[:, kept], s[kept], vt[kept]
        theta = vt.T @ ((u.T @ t) / s[:, None])
        left = np.sum((t - a @ theta) ** 2) + np.sum(rest**2)
        return Solution(theta, int(kept.sum()), float(left) / (self.rows * self.outputs))

    def _take(self) -> None:
        """The triangle of all rows so far; what lies below it counts no more."""
        triangle = np.asarray(np.linalg.qr(self._stacked[: self._filled], mode="r"))
        self._stacked[: len(triangle)] = triangle
        self._filled = len(triangle)
        self._stacked[self._filled : self._stacked.shape[1]] = 0
