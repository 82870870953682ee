"""Masks that are drawn, and what is multiplied with them: dropout, and paths that are dropped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from fac.backend import Call
from fac.importing.layout import Value
from fac.importing.network import Network
from fac.importing.reader import Reader
from fac.layers import Dropout, DropPath
from fac.program.kinds import NoCounterpartError

Args = dict[str, Any]
DIGITS = 12
"""To which a probability is rounded that is said as one minus another."""


@dataclass(frozen=True, slots=True)
class Noise:
    """Numbers that are drawn in training: 1 with probability `keep`, else 0."""

    shape: tuple[int, ...]
    keep: float | None = None
    """None before anything is drawn."""
    scaled: bool = False
    """Whether they are divided by that."""


def empty(network: Network, call: Call, args: Args) -> Noise:
    """Memory in which nothing stands yet."""
    assert call.shape is not None
    return Noise(call.shape)


def drawn(network: Network, call: Call, args: Args) -> Noise:
    """A coin for each number."""
    noise, p = args["self"], args.get("p")
    if not isinstance(noise, Noise) or not isinstance(p, float):
        raise NoCounterpartError("a mask that is drawn with a probability which is a number")
    return replace(noise, keep=p)


def divided(noise: Noise, by: float | None) -> Noise:
    """A mask divided by its mean.

    Raises:
        NoCounterpartError: it is another number.
    """
    if noise.keep is None or by != noise.keep:
        raise NoCounterpartError("a mask that is divided by its mean")
    return replace(noise, scaled=True)


def masked(network: Network, call: Call, x: Value, noise: Noise) -> Value:
    """What a mask leaves of a tensor.

    Raises:
        NoCounterpartError: no layer drops like that.
    """
    if noise.keep is None or not noise.scaled or len(noise.shape) != len(x.axes) or not x.alone:
        raise NoCounterpartError("a mask that is divided by its mean, over samples or over all numbers")
    rate = round(1 - noise.keep, DIGITS)
    by_sample = tuple(size if axis == x.batch else 1 for axis, size in enumerate(x.shape))
    if noise.shape not in (by_sample, x.shape):
        raise NoCounterpartError("a mask of whole samples, or of all numbers")
    layer = Dropout(rate=rate) if noise.shape == x.shape else DropPath(rate=rate)
    return Value(network.add(layer, (x.node,), call).name, x.own, x.axes)


READERS: Mapping[str, Reader] = {
    **dict.fromkeys(("aten.empty", "aten.new_empty", "aten.empty_like"), empty),
    "aten.bernoulli": drawn,
}
