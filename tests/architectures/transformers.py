"""Transformers as modules of PyTorch, written by hand around its own attention. See `modules`."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Look(nn.Module):
    """Self-attention of PyTorch."""

    def __init__(self, width: int, heads: int, causal: bool = False) -> None:
        super().__init__()
        self.attention, self.causal = nn.MultiheadAttention(width, heads, batch_first=True), causal

    def forward(self, x: Tensor, hidden: Tensor | None = None) -> Tensor:
        """[N, T, d]; of a causal one each token looks at itself and those before it, and nobody at what is hidden."""
        t = x.shape[1]
        later = torch.ones(t, t, dtype=torch.bool).triu(1) if self.causal else None
        settings = {"attn_mask": later, "key_padding_mask": hidden, "need_weights": False}
        found: Tensor = self.attention(x, x, x, **settings)[0]
        return found


class Block(nn.Module):
    """Pre-norm: x + attention of its norm, then that + two layers of its norm."""

    def __init__(self, width: int, heads: int, ratio: int, causal: bool = False) -> None:
        super().__init__()
        self.norm, self.look = nn.LayerNorm(width), Look(width, heads, causal)
        wide = ratio * width
        self.feed = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, wide), nn.GELU(), nn.Linear(wide, width)
        )

    def forward(self, x: Tensor, hidden: Tensor | None = None) -> Tensor:
        """[N, T, d]."""
        x = x + self.look(self.norm(x), hidden)
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


class Transformer(nn.Module):
    """Characters, four causal blocks, and the embedding once more as the head."""

    def __init__(self, by: int) -> None:
        super().__init__()
        width = 192 // by
        self.characters, self.places = nn.Embedding(256, width), Places(128, width)
        self.blocks = nn.Sequential(*(Block(width, 6, 4, causal=True) for _ in range(4)))
        self.norm = nn.LayerNorm(width)

    def forward(self, text: Tensor) -> Tensor:
        """[N, T] -> [N, T, 256]."""
        tokens = self.places(self.characters(text))
        found: Tensor = self.norm(self.blocks(tokens)) @ self.characters.weight.T
        return found


def waves(length: int, width: int) -> Tensor:
    """Vaswani et al. 2017: sin and cos of t / 10000^(2 i / width) in channels 2 i and 2 i + 1."""
    channel = torch.arange(width, dtype=torch.float64)
    angle = torch.arange(length)[:, None] / 10000 ** (2 * (channel // 2) / width)
    return torch.where(channel % 2 == 0, angle.sin(), angle.cos())


class Encoder(nn.Module):
    """Characters, four blocks in which nobody looks at what is padded, and the mean of the others."""

    def __init__(self, by: int) -> None:
        super().__init__()
        width = 128 // by
        self.characters = nn.Embedding(96, width)
        self.blocks = nn.ModuleList(Block(width, 4, 4) for _ in range(4))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 10)

    def forward(self, text: Tensor, written: Tensor) -> Tensor:
        """[N, T] and [N, T] -> [N, 10]."""
        x = self.characters(text) + waves(text.shape[1], self.norm.normalized_shape[0])
        for block in self.blocks:
            x = block(x, written == 0)
        shown = written[:, :, None]
        found: Tensor = self.head((self.norm(x) * shown).sum(1) / shown.sum(1))
        return found


class Vowels(nn.Module):
    """Frames of 12 numbers, two blocks in which nobody looks at what is padded, and the mean of the others."""

    def __init__(self, by: int) -> None:
        super().__init__()
        width = 64 // by
        self.embed = nn.Linear(12, width)
        self.blocks = nn.ModuleList(Block(width, 4, 4) for _ in range(2))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 9 // by)

    def forward(self, frames: Tensor, voiced: Tensor) -> Tensor:
        """[N, T, 12] and [N, T] -> [N, 9]."""
        x = self.embed(frames) + waves(frames.shape[1], self.norm.normalized_shape[0])
        for block in self.blocks:
            x = block(x, voiced == 0)
        shown = voiced[:, :, None]
        found: Tensor = self.head((self.norm(x) * shown).sum(1) / shown.sum(1))
        return found
