"""What stands beside a layer with an adapter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fac.layers.joins import Add
from fac.layers.rescaling import Rescaling
from fac.program.adapters import Branch
from fac.spec.adapters import Lora
from fac.spec.init import Named
from fac.spec.layers import Layer


def lora(
    down: Callable[[Any, int], Layer],
    up: Callable[[Any], Layer],
    where: Callable[[Any], bool] = lambda _: True,
) -> Callable[[Any, Lora], Branch | None]:
    """How a kind of layer has adapters of low rank.

    Args:
        down: (layer, rank) -> the layer that reads what it reads and makes `rank` channels, of a weight alone.
        up: layer -> the one that makes of those what it makes, with a weight of zeros.
        where: whether a layer can have one.
    """

    def branch(layer: Any, adapter: Lora) -> Branch | None:
        if not where(layer):
            return None
        return Branch(down(layer, adapter.rank), Rescaling(scale=adapter.scale), up(layer), Add())

    return branch


START: Named = "crafton"
"""How A starts: U(-b, b), b = 1/sqrt(fan_in), which is what PyTorch calls Kaiming's with a slope of sqrt(5)."""
