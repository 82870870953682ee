"""Kernels of attention, and of rows by their numbers.

This file travels with every written artifact, as `kernels.py` does, which gives all of this out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F

Tensor = torch.Tensor
HIDDEN = -1e30
"""Added where nobody looks."""
FUSED = hasattr(torch.ops.aten, "_scaled_dot_product_flash_attention_for_cpu")
"""Whether this torch has the kernel for CPUs that never makes the matrix of shares. Both give equal results; it takes
0.6 to 0.9 of the time."""


def attend(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, heads: int, kv_heads: int, causal: bool
) -> Tensor:
    """Softmax(Q K^T / sqrt(d)) V of heads side by side in the channels of tokens."""
    return attend_with_logsum(q, k, v, mask, heads, kv_heads, causal)[0]


def attend_with_logsum(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, heads: int, kv_heads: int, causal: bool
) -> tuple[Tensor, Tensor]:
    """The same, and the log of the sum of exp over the keys, [N, heads, T], which its derivative reads."""
    look = _Look(q, k, v, mask, heads, kv_heads, causal)
    if look.fused:
        forward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
        with _small_products():
            made, logsum = forward(look.q, look.k, look.v, 0.0, look.by_place, attn_mask=look.bias)
    else:
        z = look.products()
        logsum = z.logsumexp(3)
        made = torch.matmul(look.shares(z, logsum), look.v)
    return _together(look.seeing(made)), logsum


def attend_back(
    g: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None,
    made: Tensor,
    logsum: Tensor,
    heads: int,
    kv_heads: int,
    causal: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """The derivatives in queries, keys and values, of what `attend_with_logsum` made."""
    look = _Look(q, k, v, mask, heads, kv_heads, causal)
    g, made = look.seeing(_apart(g, heads)), _apart(made, heads)
    if look.fused:
        backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward
        given = g, look.q, look.k, look.v, made, logsum
        with _small_products():
            found = backward(*given, 0.0, look.by_place, attn_mask=look.bias)
    else:
        shares = look.shares(look.products(), logsum)
        error = torch.matmul(g, look.v.mT)
        z = shares * (error - (g * made).sum(3, keepdim=True)) / math.sqrt(look.q.shape[3])
        found = torch.matmul(z, look.k), torch.matmul(z.mT, look.q), torch.matmul(shares.mT, g)
    dq, dk, dv = found
    shared = heads // kv_heads
    return _together(dq), _together(_summed(dk, shared)), _together(_summed(dv, shared))


def attend_back_alone(
    place: int,
    g: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None,
    heads: int,
    kv_heads: int,
    causal: bool,
) -> Tensor:
    """One of the three, where nothing is kept of the way there."""
    made = attend_with_logsum(q, k, v, mask, heads, kv_heads, causal)
    return attend_back(g, q, k, v, mask, *made, heads, kv_heads, causal)[place]


def gather(table: Tensor, index: Tensor) -> Tensor:
    """The rows that have these numbers."""
    return F.embedding(index, table)


def scatter(g: Tensor, index: Tensor, rows: int) -> Tensor:
    """[rows, d]: in each row the sum of those of g that have its number, in an order that is always the same."""
    result: Tensor = torch.ops.aten.embedding_dense_backward(g, index, rows, -1, False)
    return result


def sparse_matmul(x: Tensor, values: Tensor, index: Tensor) -> Tensor:
    """[R, n]: of each row the columns that have these numbers, [n, s], times their entries, added up."""
    total = x.index_select(1, index[:, 0]).mul_(values[:, 0])
    for k in range(1, values.shape[1]):
        total.addcmul_(x.index_select(1, index[:, k]), values[:, k])
    return total


def sparse_matmul_values(g: Tensor, x: Tensor, index: Tensor) -> Tensor:
    """[n, s]: the gradient of these entries."""
    columns = [(g * x.index_select(1, index[:, k])).sum(0) for k in range(index.shape[1])]
    return torch.stack(columns, 1)


@contextmanager
def _small_products() -> Iterator[None]:
    """The setting at which the fused kernel multiplies its tiles fast: at `medium` it takes four times as long."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


class _Look:
    """Who looks at whom, head by head."""

    def __init__(
        self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, heads: int, kv_heads: int, causal: bool
    ) -> None:
        shared = heads // kv_heads
        self.q = _apart(q, heads)
        self.k, self.v = (_repeated(_apart(x, kv_heads), shared) for x in (k, v))
        self.fused = FUSED and q.device.type == "cpu" and self.q.shape[3] == self.v.shape[3]
        self.seen: Tensor | None = None
        """Which queries see any key, where some may see none: [N, 1, T or 1, 1]."""
        self.bias: Tensor | None = None
        self.by_place = causal and mask is None
        """Whether queries see the keys up to their own, and no more is to be said."""
        if mask is not None:
            hidden = (mask <= 0)[:, None, None, :]
            if causal:
                hidden = hidden | _later(q)
            self.seen = ~hidden.all(3, keepdim=True)
            self.bias = hidden.to(q.dtype) * HIDDEN
        elif causal and not self.fused:
            self.bias = _later(q).to(q.dtype) * HIDDEN

    def products(self) -> Tensor:
        """Q K^T / sqrt(d), and what is hidden far below all others."""
        z = torch.matmul(self.q, self.k.mT) / math.sqrt(self.q.shape[3])
        return z if self.bias is None else z + self.bias

    def shares(self, z: Tensor, logsum: Tensor) -> Tensor:
        """What sums to one over the keys."""
        return torch.exp(z - logsum[..., None])

    def seeing(self, x: Tensor) -> Tensor:
        """Zeros for those who see nothing."""
        return x if self.seen is None else x * self.seen


def _later(q: Tensor) -> Tensor:
    """[T, T]: True where a key stands behind the query."""
    return torch.ones(q.shape[1], q.shape[1], dtype=torch.bool, device=q.device).triu(1)


def _apart(x: Tensor, heads: int) -> Tensor:
    """[N, T, heads d] as [N, heads, T, d]."""
    n, t, _ = x.shape
    return x.view(n, t, heads, -1).transpose(1, 2)


def _together(x: Tensor) -> Tensor:
    """What `_apart` undoes, row by row in memory."""
    n, heads, t, d = x.shape
    return x.transpose(1, 2).reshape(n, t, heads * d)


def _repeated(x: Tensor, shared: int) -> Tensor:
    """Each head so many times in a row."""
    return x if shared == 1 else x.repeat_interleave(shared, 1)


def _summed(x: Tensor, shared: int) -> Tensor:
    """What went to each of the heads that were one."""
    return x if shared == 1 else x.reshape(len(x), -1, shared, *x.shape[2:]).sum(2)
