"""Normalisation within a sample: over an axis, over groups of channels, or by the mean square alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from typing import ClassVar, Literal

from pydantic import Field

from fac.layers.batch_norm import BATCH_NORM, Eps, affine, learned_per_channel
from fac.layers.elementwise import infer as one_input
from fac.layers.inputs import divided
from fac.program.kinds import (
    Counterpart,
    Facts,
    LayerKind,
    Mode,
    NoCounterpartError,
    Seen,
    ShapeError,
    Sight,
    State,
    Unused,
)
from fac.program.program import Program, Shape
from fac.program.tensors import Tensor
from fac.program.traits import Traits
from fac.spec.base import FOLLOWS
from fac.spec.layers import ParametricLayer
from fac.spec.train import Positive
from fac.step.builder import Builder
from fac.step.ir import Value

Axes = int | tuple[int, ...]


class LayerNorm(ParametricLayer):
    """Each sample, or each token of it, brought to mean 0 and variance 1 over some axes, then weight z + bias."""

    kind: Literal["layer_norm"] = "layer_norm"
    other_kinds: ClassVar = {"ln": "", "layernormalization": ""}
    other_keys: ClassVar = {
        "normalized_shape": FOLLOWS,
        "axis": "write `axes`, which are counted without the batch",
        "dim": "write `axes`, which are counted without the batch",
        "epsilon": "eps",
        "elementwise_affine": "affine",
    }
    axes: Axes | None = Field(
        None,
        description="Axes of a sample that share their moments: the last one of a vector or of tokens if left out; "
        "of a map [C, H, W], 0 is each place over its channels, [0, 1, 2] all of it. The weight has their sizes.",
    )
    eps: Eps = Field(1e-5, description="Added to the variance.")
    affine: bool = Field(True, description="Whether a weight, 1 at the start, is learned.")
    bias: bool = Field(True, description="Whether a bias, 0 at the start, is learned beside the weight.")


class RmsNorm(ParametricLayer):
    """weight x / sqrt(mean of x^2 + eps), over the last axis or others; no mean is subtracted (arXiv 1910.07467)."""

    kind: Literal["rms_norm"] = "rms_norm"
    other_keys: ClassVar = LayerNorm.other_keys
    axes: Axes | None = Field(None, description="As of `layer_norm`.")
    eps: Eps = Field(
        1e-5, description="Added to the mean square. PyTorch takes the rounding error of the type here."
    )
    affine: bool = Field(True, description="Whether a weight, 1 at the start, is learned.")


class GroupNorm(ParametricLayer):
    """Each group of channels of a sample brought to mean 0 and variance 1, then weight z + bias of each channel.

    One group is layer normalisation of the whole sample; as many groups as channels is instance normalisation.
    """

    kind: Literal["group_norm"] = "group_norm"
    other_kinds: ClassVar = {"instancenorm": "write `kind: group_norm`, with as many `groups` as channels"}
    other_keys: ClassVar = {"num_groups": "groups", "num_channels": FOLLOWS, "epsilon": "eps"}
    groups: Positive = Field(
        description="Number of groups, each of so many channels in a row; it divides them."
    )
    eps: Eps = Field(1e-5, description="Added to the variance.")
    affine: bool = Field(
        True, description="Whether a weight, 1 at the start, and a bias, 0, are learned per channel."
    )


def axes_of(layer: LayerNorm | RmsNorm, name: str, shape: Shape) -> tuple[int, ...]:
    """The axes of a sample that share their moments, in order.

    Raises:
        ShapeError: the sample has not those, or which ones are meant of a map.
    """
    if layer.axes is None:
        if len(shape) > 2:
            raise ShapeError(
                f"`{name}` reads {list(shape)}, and does not say over which axes it normalises",
                f"add `axes: 0` for each place over its channels, or `axes: {[*range(len(shape))]}` for all of it",
            )
        return (len(shape) - 1,)
    wanted = (layer.axes,) if isinstance(layer.axes, int) else layer.axes
    found = sorted(axis + len(shape) * (axis < 0) for axis in wanted)
    if not found or len(set(found)) < len(found) or not 0 <= found[0] <= found[-1] < len(shape):
        raise ShapeError(
            f"`{name}` normalises over the axes {list(wanted)} of {list(shape)}",
            f"name different axes from 0 to {len(shape) - 1}",
            "axes",
        )
    return tuple(found)


def infer_layer(layer: LayerNorm | RmsNorm, name: str, inputs: Sequence[Shape]) -> Facts:
    """The shape that it reads; the weight has the sizes of the axes."""
    shape = one_input(layer, name, inputs).shape
    axes = axes_of(layer, name, shape)
    sizes = tuple(shape[axis] for axis in axes)
    tensors = (Tensor(f"{name}.weight", sizes, "ones"), Tensor(f"{name}.bias", sizes, "zeros"))
    count = layer.affine * (1 + (isinstance(layer, LayerNorm) and layer.bias))
    along = len(shape) > 1 and 0 in (axis % len(shape) for axis in axes)
    return Facts(shape, tensors[:count], sights=(Sight(whole=True),) if along else ())


def layer_norm(b: Builder, layer: LayerNorm, inputs: Sequence[Value], state: State, mode: Mode) -> Value:
    """The op `normalize` over the axes."""
    (x,) = inputs
    shape, axes = _places(layer, mode, x)
    wide = {part: b.reshape(value, shape) for part, value in state.items()}
    return _normalized(b, x, affine(b, wide, shape), axes, layer.eps)


def rms_norm(b: Builder, layer: RmsNorm, inputs: Sequence[Value], state: State, mode: Mode) -> Value:
    """X divided by the root of its mean square, times the weight."""
    (x,) = inputs
    shape, axes = _places(layer, mode, x)
    square = b.mean(b.mul(x, x), axes)
    kept = tuple(1 if i in axes else dim for i, dim in enumerate(x.type.shape))
    z = b.div(x, b.reshape(b.sqrt(b.add(square, layer.eps)), kept))
    return b.mul(z, b.reshape(state["weight"], shape)) if layer.affine else z


def infer_group(layer: GroupNorm, name: str, inputs: Sequence[Shape]) -> Facts:
    """[C, ...] -> [C, ...]."""
    (channels, *_) = shape = one_input(layer, name, inputs).shape
    divided(name, channels, layer.groups, "groups", "groups")
    learned = learned_per_channel(name, channels) if layer.affine else ()
    return Facts(shape, learned, channels=0, sights=(Sight(whole=True),) if layer.groups < channels else ())


def group_norm(b: Builder, layer: GroupNorm, inputs: Sequence[Value], state: State, mode: Mode) -> Value:
    """The op `normalize` on [N, groups, channels of each, ...]."""
    (x,) = inputs
    n, channels, *places = x.type.shape
    assert isinstance(channels, int)
    each = channels // layer.groups
    grouped = b.reshape(x, (n, layer.groups, each, *places))
    wide = (layer.groups, each, *(1 for _ in places))
    scale = affine(b, {part: b.reshape(value, wide) for part, value in state.items()}, wide)
    y = _normalized(b, grouped, scale, range(2, len(grouped.type.shape)), layer.eps)
    return b.reshape(y, x.type.shape)


def _places(layer: LayerNorm | RmsNorm, mode: Mode, x: Value) -> tuple[Shape, tuple[int, ...]]:
    """The shape in which the weight broadcasts to a batch, and the axes of the batch."""
    sample = tuple(dim for dim in x.type.shape[1:] if isinstance(dim, int))
    axes = axes_of(layer, mode.node, sample)
    wide = tuple(dim if axis in axes else 1 for axis, dim in enumerate(sample))[axes[0] :]
    return wide, tuple(axis + 1 for axis in axes)


def _normalized(b: Builder, x: Value, scale: tuple[Value, Value], axes: Sequence[int], eps: float) -> Value:
    """The op, and beside it the moments that its derivative reads: a backend can make all three at once."""
    axes = tuple(axes)
    y = b.emit("normalize", x, *scale, axes=axes, eps=eps)
    b.label(b.mean(x, axes), "mean")
    b.label(b.variance(x, axes), "variance")
    return y


def along_axes(layer: LayerNorm, facts: Facts | None) -> Traits:
    """Means over the axes."""
    shared = () if facts is None else [facts.shape[axis] for axis in axes_of(layer, "", facts.shape)]
    return Traits(zero=True, unit=layer.eps, centred=prod(shared) if shared else None)


def in_groups(layer: GroupNorm, facts: Facts | None) -> Traits:
    """Means over the groups."""
    centred = None if facts is None else prod(facts.shape) // layer.groups
    return Traits(zero=True, unit=layer.eps, centred=centred)


def by_size(layer: RmsNorm, facts: Facts | None) -> Traits:
    """No means."""
    return Traits(zero=True, unit=layer.eps)


def unused(layer: LayerNorm | GroupNorm | RmsNorm, program: Program) -> Iterator[Unused]:
    """What speaks of parameters that there are not."""
    if not layer.affine:
        yield Unused("bias", "beside `affine: false`", "remove it, or learn a weight, too")
        yield Unused("trainable", "beside `affine: false`, which leaves nothing to train", "remove it")


def from_layer_norm(seen: Seen) -> LayerNorm:
    """Of `torch.nn.functional.layer_norm`, over the last axes."""
    return LayerNorm(
        axes=_last(seen), eps=seen.args["eps"], affine="weight" in seen.shapes, bias=_biased(seen)
    )


def from_rms_norm(seen: Seen) -> RmsNorm:
    """Of `torch.nn.functional.rms_norm`, over the last axes."""
    if seen.args["eps"] is None:
        raise NoCounterpartError("an `eps` that is a number: that of the type differs from type to type")
    return RmsNorm(axes=_last(seen), eps=seen.args["eps"], affine="weight" in seen.shapes)


def from_group_norm(seen: Seen) -> GroupNorm:
    """Of `torch.nn.functional.group_norm`."""
    return GroupNorm(groups=seen.args["num_groups"], eps=seen.args["eps"], affine="weight" in seen.shapes)


def _last(seen: Seen) -> int | tuple[int, ...]:
    count = len(seen.args["normalized_shape"])
    return -1 if count == 1 else tuple(range(-count, 0))


def _biased(seen: Seen) -> bool:
    return "bias" in seen.shapes or "weight" not in seen.shapes


ARRAYS = "weight", "bias"
LAYER_NORM = LayerKind(
    "layer_norm",
    LayerNorm,
    infer_layer,
    layer_norm,
    traits=along_axes,
    unused=unused,
    counterparts=(Counterpart("aten.layer_norm", from_layer_norm, "last", ARRAYS),),
)
RMS_NORM = LayerKind(
    "rms_norm",
    RmsNorm,
    infer_layer,
    rms_norm,
    traits=by_size,
    unused=unused,
    counterparts=(Counterpart("aten.rms_norm", from_rms_norm, "last", ("weight",)),),
)
GROUP_NORM = LayerKind(
    "group_norm",
    GroupNorm,
    infer_group,
    group_norm,
    traits=in_groups,
    unused=unused,
    counterparts=(Counterpart("aten.group_norm", from_group_norm, "sample", ARRAYS),),
)
NORMS = (BATCH_NORM, LAYER_NORM, GROUP_NORM, RMS_NORM)
