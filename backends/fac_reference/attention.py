"""Attention head by head, with the matrix of shares whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from fac_reference.kernels import Run

Array = NDArray[Any]


def apart(x: Array, heads: int, shared: int = 1) -> Array:
    """[N, T, heads d] as [N, heads, T, d], each head `shared` times in a row."""
    n, t, _ = x.shape
    return np.repeat(x.reshape(n, t, heads, -1).swapaxes(1, 2), shared, 1)


def together(x: Array, shared: int = 1) -> Array:
    """What `apart` undoes; of heads that were one, the sum."""
    n, heads, t, d = x.shape
    summed: Array = x.reshape(n, heads // shared, shared, t, d).sum(2)
    return summed.swapaxes(1, 2).reshape(n, t, -1)


def shares_of(r: Run, q: Array, k: Array, seen: Array | None) -> Array:
    """[N, heads, T, S]: the softmax of scaled products over the keys that can be looked at, zeros if there are none."""
    z = q @ k.swapaxes(2, 3) / np.sqrt(q.shape[3])
    open_ = np.ones(z.shape, bool)
    if r["causal"]:
        open_ &= np.tri(z.shape[2], dtype=bool)
    if seen is not None:
        open_ &= seen[:, None, None, :] > 0
    top = np.max(np.where(open_, z, -np.inf), 3, keepdims=True)
    e = np.exp(np.where(open_, z - top, -np.inf))
    total = e.sum(3, keepdims=True)
    return e / np.where(total == 0, 1, total)


def attend(r: Run, q: Array, k: Array, v: Array, seen: Array | None = None) -> Array:
    """Values, averaged by the shares of their keys."""
    q, k, v = _apart(r, q, k, v)
    return together(shares_of(r, q, k, seen) @ v)


def back(place: int) -> Any:
    """The derivative in one of the three."""

    def kernel(r: Run, g: Array, q: Array, k: Array, v: Array, seen: Array | None = None) -> Array:
        q, k, v = _apart(r, q, k, v)
        shared, p, g = r["heads"] // r["kv_heads"], shares_of(r, q, k, seen), apart(g, r["heads"])
        if place == 2:
            return together(p.swapaxes(2, 3) @ g, shared)
        error = g @ v.swapaxes(2, 3)
        z = p * (error - (error * p).sum(3, keepdims=True)) / np.sqrt(q.shape[3])
        return together(z @ k) if place == 0 else together(z.swapaxes(2, 3) @ q, shared)

    return kernel


def _apart(r: Run, q: Array, k: Array, v: Array) -> tuple[Array, Array, Array]:
    heads, kv_heads = r["heads"], r["kv_heads"]
    return apart(q, heads), apart(k, kv_heads, heads // kv_heads), apart(v, kv_heads, heads // kv_heads)


KERNELS: dict[str, Any] = {
    "attend": attend,
    "attend_query": back(0),
    "attend_key": back(1),
    "attend_value": back(2),
}
