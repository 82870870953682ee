"""Pools of maps, maps at other sizes, and errors on their way back."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from fac.step.ops.resampling import weights

if TYPE_CHECKING:
    from fac_reference.kernels import Array, Run


def max_pool2d_index(r: Run, x: Array) -> Array:
    """Tap by tap of the window: a number inside of the map wins over none, a larger one, and NaN over numbers."""
    height, width = x.shape[2:]
    steps = [
        np.arange(size) * s - p for size, s, p in zip(r.shape[2:], r["stride"], r["padding"], strict=True)
    ]
    best, found = np.full(r.shape, -np.inf, x.dtype), np.full(r.shape, -1)
    for u, v in product(*map(range, r["kernel"])):
        row, column = (steps[0] + u)[:, None], (steps[1] + v)[None, :]
        inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        here = x[:, :, row.clip(0, height - 1), column.clip(0, width - 1)]
        wins = inside & ((found < 0) | (here > best) | (np.isnan(here) & ~np.isnan(best)))
        best, found = np.where(wins, here, best), np.where(wins, row * width + column, found)
    return found


def pick(r: Run, x: Array, at: Array) -> Array:
    """The numbers of a map to which an index points."""
    n, c, *_ = x.shape
    return np.take_along_axis(x.reshape(n, c, -1), at.reshape(n, c, -1), 2).reshape(r.shape)


def unpick(r: Run, g: Array, at: Array) -> Array:
    """A map of zeros, to which each number of g is added where its index points."""
    n, c, h, w = r.shape
    made = np.zeros((n * c, h * w), g.dtype)
    np.add.at(made, (np.arange(n * c)[:, None], at.reshape(n * c, -1)), g.reshape(n * c, -1))
    return made.reshape(r.shape)


def max_pool2d(r: Run, x: Array) -> Array:
    """The numbers that win."""
    return pick(r, x, max_pool2d_index(r, x))


def resampled(r: Run, x: Array) -> Array:
    """Each row of the result from the rows that it is a mean of, then each column."""
    for axis, matrix in zip((2, 3), weights(r.op.kind, r.op, x.shape[2:]), strict=True):
        rows = [sum(w * x.take(j, axis) for j, w in row.items()) for row in matrix]
        x = np.stack(rows, axis)
    return x


def spread(r: Run, g: Array) -> Array:
    """The transpose of `resampled`: each row of g goes to the rows that it is a mean of."""
    for axis, matrix in zip((2, 3), weights(r.op.kind, r.op, r.shape[2:]), strict=True):
        rows = np.moveaxis(g, axis, 0)
        made = np.zeros((r.shape[axis], *rows.shape[1:]), g.dtype)
        for row, given in zip(matrix, rows, strict=True):
            for j, w in row.items():
                made[j] += w * given
        g = np.moveaxis(made, 0, axis)
    return g
