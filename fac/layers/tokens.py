"""Tokens [T, d]: made of a map, numbered, and with one more in front."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar, Literal

from pydantic import Field

from fac.layers.blocks import Block
from fac.layers.convolution import Conv2d
from fac.layers.inputs import Size, both, by, channels, counted, only, tokens
from fac.layers.rotation import BASE, angles
from fac.layers.shapes import Permute, Reshape
from fac.program.kinds import (
    LAST,
    BlockKind,
    Facts,
    Inside,
    LayerKind,
    Mode,
    ShapeError,
    Sight,
    State,
    Unused,
)
from fac.program.program import Node, Program, Shape
from fac.program.tensors import Tensor
from fac.program.traits import Traits
from fac.spec.base import FOLLOWS
from fac.spec.init import Init, Normal
from fac.spec.layers import Layer, ParametricLayer
from fac.spec.train import Positive
from fac.step.builder import Builder
from fac.step.ir import Value
from fac.step.types import N

SMALL = Normal(std=0.02)
"""Of what is added to tokens at the start."""


class PatchEmbed(Block):
    """Tokens of a map: patches side by side, each times one weight (Dosovitskiy et al. 2021, arXiv 2010.11929).

    The layer inside is the convolution `NAME.proj`. The tokens stand row by row.
    """

    kind: Literal["patch_embed"] = "patch_embed"
    other_keys: ClassVar = {
        "patch_size": "patch",
        "embed_dim": "out",
        "in_chans": FOLLOWS,
        "img_size": FOLLOWS,
        "kernel": "patch",
        "stride": "leave it out: patches stand side by side",
    }
    out: Positive = Field(description="Channels of a token.")
    patch: Size = Field(description="Rows and columns of a patch; one number stands for both.")
    bias: bool = Field(True, description="Whether the convolution has a bias.")
    init: Init = Field("lecun_normal", description="Initial weights of the convolution.")


class PositionalEmbedding(ParametricLayer):
    """x + E, E [T, d] a number for each place and channel: learned, or sines of the place (arXiv 1706.03762)."""

    kind: Literal["positional_embedding"] = "positional_embedding"
    other_kinds: ClassVar = {
        "positionalencoding": "write `kind: positional_embedding`, with `sinusoidal: true` if it is not learned",
        "posembed": "",
        "sinusoid": "there is no sine; `positional_embedding` with `sinusoidal: true` adds those of places",
        "sine": "there is no sine; `positional_embedding` with `sinusoidal: true` adds those of places",
    }
    other_keys: ClassVar = {"max_len": "length", "num_positions": "length", "embedding_dim": FOLLOWS}
    length: Positive | None = Field(
        None,
        description="Rows of the table, of which tokens take the first ones. Default: one for each token.",
    )
    sinusoidal: bool = Field(
        False,
        description="Fixed sines and cosines of the place, of as many wavelengths as pairs of channels.",
    )
    init: Init = Field(SMALL, description="Initial rows of the table.")


class ClassToken(ParametricLayer):
    """One more token in front of all others, which is learned (arXiv 2010.11929): [T, d] -> [T + 1, d]."""

    kind: Literal["class_token"] = "class_token"
    other_kinds: ClassVar = {"clstoken": "", "cls": ""}
    init: Init = Field(SMALL, description="Its initial channels.")


class Select(Layer):
    """One of what stands along an axis, such as the first token: [T, d] -> [d]."""

    kind: Literal["select"] = "select"
    other_keys: ClassVar = {"dim": "write `axis`, which is counted without the batch"}
    axis: int = Field(0, description="Axis of a sample, from 0, the tokens, or from -1 backwards.")
    index: int = Field(0, description="Which one, from 0, or from -1 backwards.")


def patch_embed(layer: PatchEmbed, inside: Inside) -> Iterator[Node]:
    """The convolution, its places in a row, and the channels behind them."""
    shape, patch = inside.shape(inside.input), both(layer.patch)
    if shape is not None:
        _, size = channels(inside.name, [shape])
        if size[0] % patch[0] or size[1] % patch[1]:
            raise ShapeError(
                f"`{inside.name}` cuts {by(size)} into patches of {by(patch)}, and some are left over",
                "choose divisors of the sizes, or `pad` the map",
                "patch",
            )
    convolution = Conv2d(
        name="proj", out=layer.out, kernel=patch, stride=patch, bias=layer.bias, init=layer.init
    )
    yield (node := inside.leaf(convolution, (inside.input,)))
    yield (row := inside.leaf(Reshape(name="row", shape=(layer.out, -1)), (node.name,)))
    yield inside.leaf(Permute(axes=(1, 0)), (row.name,), own=True)


def infer_positional(layer: PositionalEmbedding, name: str, inputs: Sequence[Shape]) -> Facts:
    """[T, d] -> [T, d]."""
    t, width = tokens(name, inputs)
    if layer.sinusoidal:
        if width % 2:
            raise ShapeError(
                f"`{name}` makes a sine and a cosine of each wavelength, and a token has {width} channels",
                "choose an even number of channels",
                "sinusoidal",
            )
        return Facts((t, width), channels=LAST)
    length = layer.length or t
    if t > length:
        raise ShapeError(
            f"`{name}` has a table of {length} places, and reads {t} tokens",
            f"write `length: {t}` or more, or leave it out",
            "length",
        )
    weight = Tensor(f"{name}.weight", (length, width), layer.init, fan_in=width, fan_out=length)
    return Facts((t, width), (weight,), channels=LAST)


def positional(
    b: Builder, layer: PositionalEmbedding, inputs: Sequence[Value], state: State, mode: Mode
) -> Value:
    """The sum with the first rows of the table, or with sines in the even channels and cosines in the odd ones."""
    (x,) = inputs
    _, t, width = x.type.shape
    assert isinstance(t, int)
    assert isinstance(width, int)
    if layer.sinusoidal:
        at = b.reshape(angles(b, t, width // 2, BASE), (t, width // 2, 1))
        waves = b.emit("concat", b.emit("sin", at), b.emit("cos", at), axis=2)
        return b.add(x, b.label(b.reshape(waves, (t, width)), "waves"))
    table = state["weight"]
    rows = table.type.shape[0]
    assert isinstance(rows, int)
    return b.add(x, table if rows == t else b.emit("crop", table, before=(0, 0), after=(rows - t, 0)))


def infer_token(layer: ClassToken, name: str, inputs: Sequence[Shape]) -> Facts:
    """[T, d] -> [T + 1, d]."""
    t, width = tokens(name, inputs)
    weight = Tensor(f"{name}.weight", (1, 1, width), layer.init, fan_in=width, fan_out=width)
    return Facts((t + 1, width), (weight,), channels=LAST, axes=(None, 1), sights=(Sight(shift=1),))


def class_token(b: Builder, layer: ClassToken, inputs: Sequence[Value], state: State, mode: Mode) -> Value:
    """It, the same for all samples, in front."""
    (x,), (_, _, width) = inputs, inputs[0].type.shape
    return b.emit("concat", b.broadcast_to(state["weight"], (N, 1, width)), x, axis=1)


def infer_select(layer: Select, name: str, inputs: Sequence[Shape]) -> Facts:
    """The sizes along all other axes."""
    shape = only(name, inputs)
    axis = counted(layer.axis, len(shape))
    if axis is None or len(shape) == 1:
        found = f"`{name}` takes one along axis {layer.axis} of {list(shape)}"
        help = f"use an axis from {-len(shape)} to {len(shape) - 1}" if axis is None else "take the layer out"
        raise ShapeError(found, help, "axis")
    if counted(layer.index, shape[axis]) is None:
        raise ShapeError(
            f"`{name}` takes number {layer.index} of {shape[axis]} along axis {axis}",
            f"use an index from {-shape[axis]} to {shape[axis] - 1}",
            "index",
        )
    kept = tuple(i for i in range(len(shape)) if i != axis)
    alone = () if axis else (Sight(at=layer.index % shape[0]),)
    return Facts(tuple(shape[i] for i in kept), axes=kept, sights=alone)


def select(b: Builder, layer: Select, inputs: Sequence[Value], state: State, mode: Mode) -> Value:
    """What stands there, without the axis."""
    (x,), sizes = inputs, inputs[0].type.shape
    axis = layer.axis % (len(sizes) - 1) + 1
    size = sizes[axis]
    assert isinstance(size, int)
    at = layer.index % size
    before = tuple(at if i == axis else 0 for i in range(len(sizes)))
    after = tuple(size - 1 - at if i == axis else 0 for i in range(len(sizes)))
    found = b.emit("crop", x, before=before, after=after)
    return b.reshape(found, (*sizes[:axis], *sizes[axis + 1 :]))


def unused(layer: PositionalEmbedding, program: Program) -> Iterator[Unused]:
    """What speaks of a table, where there is none."""
    if layer.sinusoidal:
        for field in ("length", "init", "trainable"):
            yield Unused(field, "beside `sinusoidal: true`, which has no table", "remove it")


PATCH_EMBED = BlockKind("patch_embed", PatchEmbed, patch_embed, own=lambda _: 3)
POSITIONAL_EMBEDDING = LayerKind(
    "positional_embedding", PositionalEmbedding, infer_positional, positional, unused=unused
)
CLASS_TOKEN = LayerKind("class_token", ClassToken, infer_token, class_token)
SELECT = LayerKind(
    "select", Select, infer_select, select, traits=lambda *_: Traits(zero=True, homogeneous=True, sign=True)
)
TOKENS = (PATCH_EMBED, POSITIONAL_EMBEDDING, CLASS_TOKEN, SELECT)
