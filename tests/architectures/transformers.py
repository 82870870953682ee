"""Transformers as modules of PyTorch, written by hand around its own attention. See `modules`."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Look(nn.Module):
    """Self-attention of PyTorch."""

    def __init__(self, width: int, heads: int, causal: bool = False) -> None:
        super().__init__()
        self.attention, self.causal = nn.MultiheadAttention(width, heads, batch_first=True), causal

    def forward(self, x: Tensor) -> Tensor:
        """[N, T, d]; of a causal one each token looks at itself and those before it."""
        t = x.shape[1]
        later = torch.ones(t, t, dtype=torch.bool).triu(1) if self.causal else None
        found: Tensor = self.attention(x, x, x, attn_mask=later, need_weights=False)[0]
        return found


class Block(nn.Module):
    """Pre-norm: x + attention of its norm, then that + two layers of its norm."""

    def __init__(self, width: int, heads: int, ratio: int, causal: bool = False) -> None:
        super().__init__()
        self.mix = nn.Sequential(nn.LayerNorm(width), Look(width, heads, causal))
        wide = ratio * width
        self.feed = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, wide), nn.GELU(), nn.Linear(wide, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        """[N, T, d]."""
        x = x + self.mix(x)
        total: Tensor = x + self.feed(x)
        return total


class Places(nn.Module):
    """A learned number for each place and channel, added."""

    def __init__(self, length: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(length, width))

    def forward(self, x: Tensor) -> Tensor:
        """[N, T, d]."""
        return x + self.weight


class ViT(nn.Module):
    """Dosovitskiy et al. 2021, eight blocks of which the mean is classified; for 28×28."""

    def __init__(self, by: int) -> None:
        super().__init__()
        width = 384 // by
        self.patches = nn.Conv2d(1, width, 4, 4)
        self.places = Places(49, width)
        self.blocks = nn.Sequential(*(Block(width, 8, 2) for _ in range(8)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        """[N, 1, 28, 28] -> [N, 10]."""
        tokens = self.places(self.patches(x).flatten(2).transpose(1, 2))
        found: Tensor = self.head(self.norm(self.blocks(tokens)).mean(1))
        return found
