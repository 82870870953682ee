"""Least squares over blocks of rows, in memory that does not grow with their number."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fac.solve.triangle import PANEL, Matrix, absorb


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

    def __init__(self, features: int, outputs: int, *, constant: bool = False, rows: int = 512) -> None:
        """Of no rows yet.

        Args:
            features: columns of A that arrive.
            outputs: columns of T.
            constant: whether a column of ones stands behind those features, and so a bias in the last row of Theta.
            rows: how many are taken into the triangle at a time; PANEL at least, below which that is slow.
        """
        self.features, self.outputs, self.rows = features + constant, outputs, 0
        self._arriving = features
        whole = self.features + outputs
        self._triangle: Matrix = np.zeros((whole, whole))
        self._waiting: Matrix = np.zeros((max(rows, PANEL), whole))
        self._filled = 0

    def add(self, block: Matrix) -> None:
        """Take in rows of [A, T] without the column of ones, [rows, columns]."""
        self.rows += len(block)
        while len(block):
            room = len(self._waiting) - self._filled
            taken, block = block[:room], block[room:]
            own = self._waiting[self._filled : self._filled + len(taken)]
            own[:, : self._arriving] = taken[:, : self._arriving]
            own[:, self._arriving : self.features] = 1.0
            own[:, self.features :] = taken[:, self._arriving :]
            self._filled += len(taken)
            if self._filled == len(self._waiting):
                self._take()

    def solution(self, rcond: float) -> Solution:
        """Of all rows so far.

        Args:
            rcond: singular values of A up to this multiple of the largest are taken for zero.

        Raises:
            LinAlgError: a number is not finite.
        """
        self._take()
        n = self.features
        a, t, rest = self._triangle[:n, :n], self._triangle[:n, n:], self._triangle[n:, n:]
        u, s, vt = np.linalg.svd(a)
        kept = s > rcond * s[0]
        u, s, vt = u[:, kept], s[kept], vt[kept]
        theta = vt.T @ ((u.T @ t) / s[:, None])
        left = np.sum((t - a @ theta) ** 2) + np.sum(rest**2)
        return Solution(theta, int(kept.sum()), float(left) / (self.rows * self.outputs))

    def _take(self) -> None:
        """The triangle of all rows so far; none waits then."""
        absorb(self._triangle, self._waiting[: self._filled])
        self._filled = 0
