"""3 x 3 convolutions with max pools between them: three, and VGG-8, which has pairs."""

from __future__ import annotations

from typing import Any

from torch import nn

from fac.bench.case import CLASSES, NORMED, ROUNDED, Case, rules

RANK = 16
CHANNELS: dict[str, tuple[int | None, ...]] = {
    "conv3": (64, None, 64, None, 128, None),
    "vgg8": (64, 64, None, 128, 128, None, 256, 256, None, 512, 512, None),
    "small": (6, None, 5, 7, None),
}
"""Of convolutions, and None for a max pool."""


def case(network: str, norm: bool = False, side: int = 32, batch: int = 64, rank: int = RANK) -> Case:
    """Each convolution with a batch norm behind it, or with a bias."""
    channels = CHANNELS[network]
    layers: list[dict[str, Any]] = []
    for i, count in enumerate(channels, 1):
        if count is None:
            layers.append({"kind": "max_pool2d", "kernel": 2})
            continue
        settings = {"kernel": 3, "padding": 1, "bias": not norm}
        layers.append({"kind": "conv2d", "name": f"c{i}", "out": count, **settings})
        layers += [{"kind": "batch_norm", "name": f"n{i}"}] * norm + [{"kind": "relu"}]
    layers.append({"kind": "flatten"})

    def module() -> nn.Module:
        parts: list[nn.Module] = []
        reads, size = 3, side
        for count in channels:
            if count is None:
                parts.append(nn.MaxPool2d(2))
                size //= 2
                continue
            parts.append(nn.Conv2d(reads, count, 3, padding=1, bias=not norm))
            parts += [*([nn.BatchNorm2d(count)] if norm else []), nn.ReLU(inplace=True)]
            reads = count
        return nn.Sequential(*parts, nn.Flatten(), nn.Linear(reads * size * size, CLASSES))

    return Case(
        (3, side, side),
        (*layers,),
        rules(rank),
        batch,
        module,
        channels_last=True,
        rounded=NORMED if norm else ROUNDED,
        onnx=("bp", "dfa", "ldfa"),
    )


def small(_: str, norm: bool = False) -> Case:
    """For the check against NumPy."""
    return case("small", norm, 8, 5, rank=3)
