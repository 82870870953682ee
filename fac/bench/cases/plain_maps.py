"""VGG-8: pairs of 3 x 3 convolutions with a max pool behind each."""

from __future__ import annotations

from typing import Any

from torch import nn

from fac.bench.case import CLASSES, Case, rules

RANK = 16
CHANNELS = (64, 64, None, 128, 128, None, 256, 256, None, 512, 512, None)
"""Of convolutions, and None for a max pool."""


def case(
    channels: tuple[int | None, ...] = CHANNELS, side: int = 32, batch: int = 64, rank: int = RANK
) -> Case:
    """Without normalisation, as the layers of `benchmarks/` have it."""
    layers: list[dict[str, Any]] = []
    for i, count in enumerate(channels, 1):
        if count is None:
            layers.append({"kind": "max_pool2d", "kernel": 2})
            continue
        layers.append({"kind": "conv2d", "name": f"c{i}", "out": count, "kernel": 3, "padding": 1})
        layers.append({"kind": "relu"})
    layers.append({"kind": "flatten"})

    def module() -> nn.Module:
        parts: list[nn.Module] = []
        reads, size = 3, side
        for count in channels:
            if count is None:
                parts.append(nn.MaxPool2d(2))
                size //= 2
                continue
            parts += [nn.Conv2d(reads, count, 3, padding=1), nn.ReLU(inplace=True)]
            reads = count
        return nn.Sequential(*parts, nn.Flatten(), nn.Linear(reads * size * size, CLASSES))

    return Case((3, side, side), (*layers,), rules(rank), batch, module, channels_last=True)


def small() -> Case:
    """For the check against NumPy."""
    return case((6, None, 5, 7, None), 8, 5, rank=3)
