"""Convolutions in NumPy, all by the numbers under the window at each place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

if TYPE_CHECKING:
    from fac_reference.kernels import Run

Array = NDArray[Any]


def windows(r: Run, x: Array, kernel: tuple[int, int]) -> Array:
    """[N, c, H, W], with its padding, as [N, c, h, w, u, v]: what the window shows at each place. A view."""
    (s, t), (d, e) = r["stride"], r["dilation"]
    spans = tuple(step * (k - 1) + 1 for step, k in zip((d, e), kernel, strict=True))
    return sliding_window_view(x, spans, (2, 3), writeable=True)[:, :, ::s, ::t, ::d, ::e]


def padded(r: Run, x: Array) -> Array:
    """With zeros around it."""
    top, bottom, left, right = r["padding"]
    return np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))


def unfold(r: Run, x: Array, kernel: tuple[int, int]) -> Array:
    """[groups, c / groups u v, N h w]."""
    shown = windows(r, padded(r, x), kernel).transpose(1, 4, 5, 0, 2, 3)
    c, u, v = shown.shape[:3]
    return shown.reshape(r["groups"], c // r["groups"] * u * v, -1)


def fold(r: Run, columns: Array, kernel: tuple[int, int]) -> Array:
    """What `unfold` shows more than once is added up."""
    n, c, height, width = r.shape
    top, bottom, left, right = r["padding"]
    x = np.zeros((n, c, top + height + bottom, left + width + right), columns.dtype)
    into = windows(r, x, kernel)
    h, w = into.shape[2:4]
    given = columns.reshape(c, *kernel, n, h, w).transpose(3, 0, 4, 5, 1, 2)
    for u, v in np.ndindex(*kernel):  # under one number of the window no place is shown twice
        into[..., u, v] += given[..., u, v]
    return x[:, :, top : top + height, left : left + width]


def in_groups(r: Run, y: Array) -> Array:
    """[N, m, h, w] as [groups, m / groups, N h w]."""
    m = y.shape[1]
    return y.transpose(1, 0, 2, 3).reshape(r["groups"], m // r["groups"], -1)


def matrices(r: Run, w: Array) -> Array:
    """[m, c / groups, u, v] as [groups, m / groups, c / groups u v]."""
    return w.reshape(r["groups"], len(w) // r["groups"], -1)


def conv2d(r: Run, x: Array, w: Array) -> Array:
    """In each group the kernel times what the windows show."""
    n, m, height, width = r.shape
    y = matrices(r, w) @ unfold(r, x, w.shape[2:])
    return y.reshape(m, n, height, width).transpose(1, 0, 2, 3)


def conv2d_input(r: Run, y: Array, w: Array) -> Array:
    """Each place hands its share back to what its window showed."""
    return fold(r, matrices(r, w).swapaxes(1, 2) @ in_groups(r, y), w.shape[2:])


def conv2d_weight(r: Run, y: Array, x: Array) -> Array:
    """Errors times what the windows showed."""
    return (in_groups(r, y) @ unfold(r, x, r["kernel"]).swapaxes(1, 2)).reshape(r.shape)
