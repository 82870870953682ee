"""Positions as numbers: sines of many wavelengths, and rotations by them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from fac.layers.inputs import divided, tokens
from fac.program.kinds import LAST, Facts, LayerKind, Mode, ShapeError, State
from fac.program.program import Shape
from fac.program.traits import Traits
from fac.spec.layers import Layer
from fac.spec.train import Positive
from fac.step.builder import Builder
from fac.step.ir import Value
from fac.step.types import DType

BASE = 10000.0
Base = Annotated[float, Field(gt=1)]


class Rotary(Layer):
    """Each token's channels turned by angles that grow with its place (Su et al. 2021, arXiv 2104.09864).

    For queries and keys, whose products then depend on the distance of two tokens alone. Of each head, channel i and
    channel i + d / 2 are turned by t / base^(2 i / d) at place t, as in GPT-NeoX and Llama.
    """

    kind: Literal["rotary"] = "rotary"
    heads: Positive = Field(
        1, description="How many heads lie side by side in the channels; each has all the angles."
    )
    base: Base = Field(
        BASE, description="The longest wavelength, as a multiple of 2 pi tokens, is nearly this."
    )


def angles(b: Builder, places: int, pairs: int, base: float) -> Value:
    """[places, pairs]: t / base^(i / pairs) at place t of pair i."""
    index = b.cast(b.iota((pairs,)), DType.FLOAT)
    speed = b.emit("exp", b.mul(index, -math.log(base) / pairs))
    return b.mul(b.reshape(b.cast(b.iota((places,)), DType.FLOAT), (places, 1)), speed)


def turned(b: Builder, x: Value, heads: int, base: float) -> Value:
    """[N, T, heads d] with the pairs of each head turned by `angles`."""
    n, t, width = x.type.shape
    assert isinstance(t, int)
    assert isinstance(width, int)
    half = width // heads // 2
    at = b.reshape(angles(b, t, half, base), (t, 1, half))
    cos, sin = b.emit("cos", at), b.emit("sin", at)
    apart = b.reshape(x, (n, t, heads, 2 * half))
    first, last = (
        b.emit("crop", apart, before=(0, 0, 0, before), after=(0, 0, 0, half - before))
        for before in (0, half)
    )
    there = b.sub(b.mul(first, cos), b.mul(last, sin))
    here = b.add(b.mul(last, cos), b.mul(first, sin))
    return b.reshape(b.emit("concat", there, here, axis=3), x.type.shape)


def paired(name: str, width: int, field: str) -> None:
    """Refuse heads whose channels make no pairs.

    Raises:
        ShapeError: there is one left over.
    """
    if width % 2:
        raise ShapeError(
            f"`{name}` turns pairs of channels, and a head has {width}",
            "choose a width of which each head has an even part",
            field,
        )


def infer(layer: Rotary, name: str, inputs: Sequence[Shape]) -> Facts:
    """[T, heads d] -> [T, heads d]."""
    t, width = tokens(name, inputs)
    paired(name, divided(name, width, layer.heads, "heads"), "heads")
    return Facts((t, width), channels=LAST)


def forward(b: Builder, layer: Rotary, inputs: Sequence[Value], state: State, mode: Mode) -> Value:
    """See `turned`."""
    return turned(b, inputs[0], layer.heads, layer.base)


TRAITS = Traits(zero=True, homogeneous=True, value=1.0, error=1.0)
ROTARY = LayerKind("rotary", Rotary, infer, forward, traits=lambda *_: TRAITS)
