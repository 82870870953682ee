"""Fine-tuning of a vision transformer: all of it is frozen but for adapters in its blocks and the last layer."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import nn

from fac.bench.case import CLASSES, Case
from fac.bench.cases.adapted import LORA, Adapted, adapter, routed
from fac.bench.cases.tokens import Mean, Residual, SelfAttention

RANK, BLOCKS, RATIO = 16, 2, 2


def case(
    width: int = 384,
    heads: int = 8,
    tokens: int = 64,
    reads: int = 48,
    batch: int = 64,
    lora: int = LORA,
    rank: int = RANK,
) -> Case:
    """Two blocks, whose feed-forward layer is twice as wide."""
    norm = {"kind": "layer_norm", "name": "norm", "trainable": False}
    mix = [norm, {"kind": "attention", "name": "attn", "heads": heads}]
    feed = [norm, {"kind": "mlp", "name": "mlp", "ratio": RATIO}]
    body = [
        {"kind": "residual", "name": "mix", "body": mix},
        {"kind": "residual", "name": "feed", "body": feed},
    ]
    layers: list[dict[str, Any]] = [
        {"kind": "linear", "name": "embed", "out": width, "trainable": False},
        {"kind": "repeat", "name": "block", "times": BLOCKS, "body": body},
        {"kind": "mean", "axes": [0]},
    ]

    def module() -> nn.Module:
        linear = partial(Adapted, rank=lora)
        parts: list[nn.Module] = [nn.Linear(reads, width).requires_grad_(False)]
        for _ in range(BLOCKS):
            one, two = (nn.LayerNorm(width).requires_grad_(False) for _ in range(2))
            up, down = linear(width, RATIO * width), linear(RATIO * width, width)
            parts.append(Residual(one, SelfAttention(width, heads, linear)))
            parts.append(Residual(two, up, nn.GELU(), down))
        return nn.Sequential(*parts, Mean(), nn.Linear(width, CLASSES))

    adapters = (adapter("block.*", lora),)
    return Case((tokens, reads), (*layers,), routed(rank), batch, module, adapters=adapters)


def small() -> Case:
    """For the check against NumPy."""
    return case(16, 2, 5, 4, 5, lora=3, rank=3)
