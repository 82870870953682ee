"""Layers that make maps larger."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import ClassVar, Literal

from pydantic import Field

from fac.layers.inputs import Natural, Size, both, channels, only
from fac.program.kinds import (
    Counterpart,
    Facts,
    LayerKind,
    Mode,
    NoCounterpartError,
    Seen,
    ShapeError,
    State,
    same,
)
from fac.program.program import Shape
from fac.program.traits import Traits
from fac.spec.layers import Layer
from fac.step.builder import Builder
from fac.step.ir import Value


class Pad(Layer):
    """Zeros around a sample."""

    kind: Literal["pad"] = "pad"
    padding: Natural | tuple[Natural, ...] = Field(
        description="How many on every side of each axis behind the channels; or two numbers for each axis, from the "
        "last one on, as in PyTorch: `[left, right, top, bottom]`."
    )


class Upsample(Layer):
    """Maps whose height and width are multiplied."""

    kind: Literal["upsample"] = "upsample"
    other_kinds: ClassVar = {"interpolate": "", "upsampling2d": "", "resize": ""}
    other_keys: ClassVar = {
        "scale": "scale_factor",
        "size": "write `scale_factor`, by which height and width are multiplied",
        "interpolation": "mode",
    }
    scale_factor: Size = Field(description="By what the height and the width are multiplied.")
    mode: Literal["nearest", "bilinear"] = Field(
        "nearest",
        description="`nearest` repeats numbers; `bilinear` goes straight from one to the next, as PyTorch does with "
        "`align_corners=False`.",
    )


def ends(layer: Pad, rank: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """How many zeros stand before and behind each axis of a sample; of a wrong number of them the first ones."""
    if isinstance(layer.padding, int):
        return ((0, *[layer.padding] * (rank - 1)),) * 2
    before, after = ((*side, *[0] * rank)[:rank][::-1] for side in (layer.padding[::2], layer.padding[1::2]))
    return before, after


def infer_pad(layer: Pad, name: str, inputs: Sequence[Shape]) -> Facts:
    """Each size with what stands before and behind it."""
    shape, padding = only(name, inputs), layer.padding
    if isinstance(padding, int):
        if len(shape) < 2:
            raise ShapeError(
                f"`{name}` pads the axes behind the channels, and {list(shape)} has none",
                "write what stands before and behind it: `padding: [1, 1]`",
                "padding",
            )
    elif len(padding) % 2 or not 2 <= len(padding) <= 2 * len(shape):
        raise ShapeError(
            f"`{name}` pads by {list(padding)}, and {list(shape)} has {len(shape)} axes",
            "write two numbers for each axis that is padded, from the last axis on: `[left, right, top, bottom]`",
            "padding",
        )
    return Facts(tuple(map(sum, zip(shape, *ends(layer, len(shape)), strict=True))))


def pad(b: Builder, layer: Pad, inputs: Sequence[Value], state: State, mode: Mode) -> Value:
    """The op of that name."""
    (x,) = inputs
    before, after = ends(layer, len(x.type.shape) - 1)
    return b.emit("pad", x, before=(0, *before), after=(0, *after)) if any(before + after) else x


def infer_upsample(layer: Upsample, name: str, inputs: Sequence[Shape]) -> Facts:
    """[C, H, W] -> [C, H * rows, W * columns]."""
    c, size = channels(name, inputs)
    return Facts(
        (c, *(a * factor for a, factor in zip(size, both(layer.scale_factor), strict=True))), channels=0
    )


def upsample(b: Builder, layer: Upsample, inputs: Sequence[Value], state: State, mode: Mode) -> Value:
    """The op `upsample2d`."""
    return b.emit("upsample2d", *inputs, factor=both(layer.scale_factor), mode=layer.mode)


def padded(layer: Pad, facts: Facts | None) -> Traits:
    """What is padded has no part in anything."""
    part = None if facts is None else prod(facts.reads[0]) / prod(facts.shape)
    return Traits(zero=True, homogeneous=True, sign=True, value=part, error=part)


def repeated(layer: Upsample, facts: Facts | None) -> Traits:
    """Of numbers between two others it depends on how alike those are."""
    one = 1.0 if layer.mode == "nearest" else None
    return Traits(zero=True, homogeneous=True, sign=True, value=one, error=one)


def from_pad(seen: Seen) -> Pad:
    """Of `torch.nn.functional.pad`."""
    if seen.args["mode"] != "constant" or seen.args["value"]:
        raise NoCounterpartError("a `pad` with zeros")
    padding = tuple(seen.args["pad"])
    if min(padding) < 0 or len(padding) > 2 * len(seen.shapes["self"]) - 2:
        raise NoCounterpartError("a `pad` of samples, which cuts nothing off")
    return Pad(padding=padding)


def from_nearest(seen: Seen) -> Upsample:
    """Of `torch.nn.functional.interpolate`, without a mode."""
    return Upsample(scale_factor=_factor(seen))


def from_bilinear(seen: Seen) -> Upsample:
    """Of `torch.nn.functional.interpolate` with `mode="bilinear"`."""
    seen.only("align_corners", False, need="`align_corners=False`")
    return Upsample(scale_factor=_factor(seen), mode="bilinear")


def _factor(seen: Seen) -> int | tuple[int, int]:
    before = seen.shapes["input"][2:]
    size, by = seen.args["output_size"], seen.args["scale_factors"]
    factors = by if size is None else [new / old for new, old in zip(size, before, strict=True)]
    if any(factor < 1 or factor != int(factor) for factor in factors):
        raise NoCounterpartError("maps whose height and width are multiplied by whole numbers")
    return same([int(factor) for factor in factors])  # type: ignore[no-any-return]


PAD = LayerKind(
    "pad",
    Pad,
    infer_pad,
    pad,
    traits=padded,
    counterparts=(Counterpart("aten.pad", from_pad, "sample", input="self"),),
)
UPSAMPLE = LayerKind(
    "upsample",
    Upsample,
    infer_upsample,
    upsample,
    traits=repeated,
    counterparts=(
        Counterpart("aten.upsample_nearest2d", from_nearest, "sample"),
        Counterpart("aten.upsample_bilinear2d", from_bilinear, "sample"),
    ),
)
RESIZING = (PAD, UPSAMPLE)
