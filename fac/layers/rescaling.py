"""Factors and sums that stay: of every number alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from fac.layers.elementwise import infer
from fac.program.kinds import LayerKind, Mode, State
from fac.program.traits import Curve
from fac.spec.layers import Layer
from fac.step.builder import Builder
from fac.step.ir import Value

LARGEST = 1e30
"""Of what is multiplied with or added: products of any two numbers of a network are then numbers in float64."""
Number = Annotated[float, Field(ge=-LARGEST, le=LARGEST)]


class Rescaling(Layer):
    """scale x + offset, with numbers that stay: `scale: 0.5` halves, `scale: -1, offset: 1` is 1 - x."""

    kind: Literal["rescaling"] = "rescaling"
    other_kinds: ClassVar = {
        "rescale": "",
        "normalize": "write `kind: rescaling`, with a `scale` and an `offset`",
    }
    other_keys: ClassVar = {"factor": "scale", "shift": "offset"}
    scale: Number = Field(1.0, description="By which every number is multiplied.")
    offset: Number = Field(0.0, description="What is added behind that.")


def forward(b: Builder, layer: Rescaling, inputs: Sequence[Value], state: State, mode: Mode) -> Value:
    """The product, then the sum; what changes nothing is left out."""
    (x,) = inputs
    y = x if layer.scale == 1 else b.mul(x, layer.scale)
    return b.add(y, layer.offset) if layer.offset else y


def curve(layer: Rescaling) -> Curve:
    """A straight line."""
    return Curve(lambda x: layer.scale * x + layer.offset)


RESCALING = LayerKind("rescaling", Rescaling, infer, forward, curve=curve)
