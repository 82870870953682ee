"""The block of two linear layers that stands beside attention in each block of a transformer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from fac.layers.blocks import Block, Layers
from fac.layers.elementwise import Gelu
from fac.layers.linear import Linear
from fac.program.kinds import BlockKind, Inside, ShapeError
from fac.program.program import Node
from fac.spec.init import Init
from fac.spec.train import Positive


class Mlp(Block):
    """Two linear layers with an activation between them, on a vector or token by token: `NAME.fc1`, `NAME.fc2`."""

    kind: Literal["mlp"] = "mlp"
    other_kinds: ClassVar = {"feedforward": "", "ffn": ""}
    other_keys: ClassVar = {
        "mlp_ratio": "ratio",
        "hidden_features": "write `ratio`, by what the width grows in between",
        "act_layer": "activation",
        "out_features": "out",
    }
    ratio: Annotated[float, Field(gt=0)] = Field(
        4.0, description="Units of `fc1` as a multiple of what it reads."
    )
    out: Positive | None = Field(None, description="Units of `fc2`. Default: as many as the block reads.")
    activation: Layers = Field((Gelu(),), description="Layers between the two; `input` is what `fc1` makes.")
    bias: bool = Field(True, description="Whether the two have biases.")
    init: Init = Field("kaiming_uniform", description="Initial weights of the two.")


def mlp(layer: Mlp, inside: Inside) -> Iterator[Node]:
    """Wider, activation, back."""
    shape = inside.shape(inside.input)
    width = 1 if shape is None else shape[-1]
    hidden = layer.ratio * width
    if shape is not None and hidden != int(hidden):
        raise ShapeError(
            f"`{inside.name}` reads {width} channels, of which {layer.ratio:g} times as many are no whole number",
            f"write a multiple of 1/{width}",
            "ratio",
        )
    yield (wide := inside.leaf(_part(layer, "fc1", max(1, int(hidden))), (inside.input,)))
    active = yield from inside.chain(layer.activation, wide.name, "activation")
    yield inside.leaf(_part(layer, "fc2", layer.out or width), (active,))


def _part(layer: Mlp, name: str, out: int) -> Linear:
    return Linear(name=name, out=out, bias=layer.bias, init=layer.init)


MLP = BlockKind("mlp", Mlp, mlp, own=lambda _: 2)
