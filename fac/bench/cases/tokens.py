"""Blocks of a vision transformer (Dosovitskiy et al. 2021, arXiv 2010.11929), pre-norm, their mean to the head."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from fac.bench.case import CLASSES, Case, rules

RANK = 16


class SelfAttention(nn.Module):
    """Queries, keys and values by one weight, and torch's fused kernel."""

    def __init__(self, width: int, heads: int, linear: Callable[[int, int], nn.Module] = nn.Linear) -> None:
        """`linear` makes the layers, of how many they read and make."""
        super().__init__()
        self.qkv, self.proj, self.heads = linear(width, 3 * width), linear(width, width), heads

    def forward(self, x: Tensor) -> Tensor:
        """[N, T, d]."""
        n, t, d = x.shape
        q, k, v = self.qkv(x).reshape(n, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        made: Tensor = self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, t, d))
        return made


class Residual(nn.Module):
    """X + body(x)."""

    def __init__(self, *body: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(*body)

    def forward(self, x: Tensor) -> Tensor:
        """[N, T, d]."""
        total: Tensor = x + self.body(x)
        return total


class Mean(nn.Module):
    """Over the tokens."""

    def forward(self, x: Tensor) -> Tensor:
        """[N, T, d] -> [N, d]."""
        return x.mean(1)


def case(
    width: int = 384,
    heads: int = 6,
    ratio: int = 4,
    tokens: int = 64,
    reads: int = 48,
    batch: int = 64,
    rank: int = RANK,
) -> Case:
    """Two blocks, whose feed-forward layer is `ratio` times as wide; without heads it is all of them."""
    norm = {"kind": "layer_norm", "name": "norm"}
    mix = [norm, {"kind": "attention", "name": "attn", "heads": heads}]
    feed = [norm, {"kind": "mlp", "name": "mlp", "ratio": ratio}]
    body = [{"kind": "residual", "name": "mix", "body": mix}] if heads else []
    body.append({"kind": "residual", "name": "feed", "body": feed})
    layers: list[dict[str, Any]] = [
        {"kind": "linear", "name": "embed", "out": width},
        {"kind": "repeat", "name": "block", "times": 2, "body": body},
        {"kind": "layer_norm", "name": "last"},
        {"kind": "mean", "axes": [0]},
    ]

    def module() -> nn.Module:
        parts: list[nn.Module] = []
        for _ in range(2):
            up, down = nn.Linear(width, ratio * width), nn.Linear(ratio * width, width)
            if heads:
                parts.append(Residual(nn.LayerNorm(width), SelfAttention(width, heads)))
            parts.append(Residual(nn.LayerNorm(width), up, nn.GELU(), down))
        ends = nn.LayerNorm(width), Mean(), nn.Linear(width, CLASSES)
        return nn.Sequential(nn.Linear(reads, width), *parts, *ends)

    return Case((tokens, reads), (*layers,), rules(rank), batch, module, onnx=("bp", "dfa", "ldfa"))


def small(_: int = 0, heads: int = 2, ratio: int = 4) -> Case:
    """For the check against NumPy."""
    return case(8, heads, ratio, 5, 4, 5, rank=3)
