"""Fully connected networks: four layers of one width between 784 numbers and 10 classes."""

from __future__ import annotations

from typing import Any

from torch import nn

from fac.bench.case import CLASSES, Case, rules

READS, DEPTH, RANK = 784, 4, 10
WIDE = 1024
"""From this width on a step is hardly more than its products."""
SHORT = 64
"""Up to this width a step is hardly more than its calls."""


def case(width: int, batch: int, reads: int = READS, rank: int = RANK) -> Case:
    """784-W-W-W-W-10 with relu."""
    layers: list[dict[str, Any]] = []
    for i in range(DEPTH):
        layers += [{"kind": "linear", "name": f"fc{i + 1}", "out": width}, {"kind": "relu"}]

    def module() -> nn.Module:
        parts: list[nn.Module] = []
        for each in (reads, *[width] * (DEPTH - 1)):
            parts += [nn.Linear(each, width), nn.ReLU()]
        return nn.Sequential(*parts, nn.Linear(width, CLASSES))

    narrow = ("bp", "ldfa") if width >= WIDE else ()
    return Case(
        (reads,), (*layers,), rules(rank), batch, module, many=width <= SHORT, dense=True, narrow=narrow
    )


def small(*_: int) -> Case:
    """For the check against NumPy."""
    return case(24, 6, reads=11, rank=3)
