"""Convolutional layers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import gcd, prod
from typing import Any, ClassVar, Literal

from pydantic import Field

from fac.layers.adapters import START, lora
from fac.layers.bias import unused
from fac.layers.inputs import Natural, Room, Size, both, by, channels, divisors, only
from fac.layers.windows import Padding, Window, places, window
from fac.program.kinds import (
    Back,
    Counterpart,
    Facts,
    Inverse,
    LayerKind,
    Mode,
    NoCounterpartError,
    Seen,
    ShapeError,
    State,
    same,
)
from fac.program.program import Shape
from fac.program.tensors import Tensor
from fac.program.traits import Traits
from fac.spec.base import ACTIVATION, FOLLOWS
from fac.spec.init import Init
from fac.spec.layers import Layer, WeightedLayer
from fac.spec.train import Positive
from fac.step.builder import Builder
from fac.step.ir import Attribute, Value


class Convolution(WeightedLayer):
    """What convolutional layers have in common."""

    other_keys: ClassVar = {
        "filters": "out",
        "out_channels": "out",
        "in_channels": FOLLOWS,
        "in_channel": FOLLOWS,
        "out_channel": "out",
        "activation": ACTIVATION,
        "kernel_size": "kernel",
        "strides": "stride",
        "dilation_rate": "dilation",
        "use_bias": "bias",
        "padding_mode": "leave it out: what is padded is zeros",
    }

    out: Positive = Field(description="Number of channels.")
    kernel: Size = Field(description="Rows and columns of the window; one number stands for both.")
    stride: Size = Field(1, description="By how many rows and columns the window moves.")
    padding: Padding = Field(
        0, description="Zeros on each side; `same` keeps the size, at a stride of 1; `valid` is 0."
    )
    dilation: Size = Field(1, description="How far apart lies what the window shows; 1 is side by side.")
    groups: Positive = Field(
        1, description="Groups of channels that do not mix; as many as channels are read is depthwise."
    )
    bias: bool = Field(True, description="Whether a bias, zero at the start, is added to each channel.")
    init: Init = Field(
        "kaiming_uniform",
        description="Initial weights; the default is U(-b, b), b = sqrt(6/fan_in). fan_in is how many products each "
        "result is a sum of, on average.",
    )


class Conv2d(Convolution):
    """A = X * W + b of maps, with X [N, in, H, W], W [out, in / groups, *kernel], b [out], as in PyTorch.

    Of H rows it makes floor((H + 2 padding - dilation (kernel - 1) - 1) / stride) + 1, and so of columns; with
    `padding: same` H.
    """

    kind: Literal["conv2d"] = "conv2d"
    other_kinds: ClassVar = dict.fromkeys(
        ("depthwiseconv2d", "depthwiseconv", "dwconv", "dwconv2d"),
        "write `kind: conv2d`, with as many `groups` as channels are read",
    ) | {
        "separableconv2d": "write two: a `conv2d` with as many `groups` as channels are read, and one with `kernel: 1`",
        "pointwiseconv2d": "write `kind: conv2d`, with `kernel: 1`",
    }

    @property
    def window(self) -> Window:
        """Its settings along both axes."""
        padding = self.padding if isinstance(self.padding, str) else both(self.padding)
        return window(both(self.kernel), both(self.stride), padding, both(self.dilation))


class Conv1d(Convolution):
    """A = X * W + b of sequences, with X [N, in, L], W [out, in / groups, kernel], b [out], as in PyTorch."""

    kind: Literal["conv1d"] = "conv1d"
    kernel: Positive = Field(description="Length of the window.")
    stride: Positive = Field(1, description="By how much the window moves.")
    padding: Natural | Literal["same", "valid"] = Field(
        0, description="Zeros at each end; `same` keeps the length, at a stride of 1; `valid` is 0."
    )
    dilation: Positive = Field(1, description="How far apart lies what the window shows; 1 is side by side.")

    @property
    def window(self) -> Window:
        """Its settings along the one axis."""
        padding = self.padding if isinstance(self.padding, str) else (self.padding,)
        return window((self.kernel,), (self.stride,), padding, (self.dilation,))


class ConvTranspose2d(Convolution):
    """A = what the derivative of a `conv2d` makes of X, + b: X [N, in, h, w], W [in, out / groups, *kernel], b [out].

    Each number of X adds the kernel times itself to a window of A. H = (h - 1) stride - 2 padding + dilation
    (kernel - 1) + output_padding + 1, as in PyTorch.
    """

    kind: Literal["conv_transpose2d"] = "conv_transpose2d"
    other_kinds: ClassVar = {"conv2dtranspose": "", "deconv": "", "deconv2d": ""}
    stride: Size = Field(1, description="How many rows and columns lie from window to window.")
    padding: Room = Field(0, description="Rows and columns that are cut off on each side of the result.")
    output_padding: Room = Field(
        0, description="Rows and columns more at the end of the result, fewer than the stride."
    )

    @property
    def window(self) -> Window:
        """Of the `conv2d`."""
        return window(both(self.kernel), both(self.stride), both(self.padding), both(self.dilation))

    def size(self, h: int, w: int) -> tuple[int, int]:
        """(H, W)."""
        moves, more = self.window, both(self.output_padding)
        axes = zip((h, w), moves.stride, moves.extent, moves.sides, more, strict=True)
        rows, columns = ((count - 1) * s + extent - sum(cut) + end for count, s, extent, cut, end in axes)
        return rows, columns


def infer_conv2d(layer: Conv2d, name: str, inputs: Sequence[Shape]) -> Facts:
    """[in, H, W] -> [out, h, w]."""
    c, size = channels(name, inputs)
    weight, bias = parameters(name, layer, c, layer.window.kernel)
    return Facts((layer.out, *places(name, layer.window, size)), (weight, *bias), weight, channels=0)


def infer_conv1d(layer: Conv1d, name: str, inputs: Sequence[Shape]) -> Facts:
    """[in, L] -> [out, l]."""
    shape = only(name, inputs)
    if len(shape) != 2:
        example = [1, *shape] if len(shape) == 1 else "[channels, length]"
        raise ShapeError(
            f"`{name}` reads a sequence [channels, length], not {list(shape)}",
            f"put a `reshape` layer before it, with `shape: {example}`",
        )
    weight, bias = parameters(name, layer, shape[0], layer.window.kernel)
    return Facts((layer.out, *places(name, layer.window, shape[1:])), (weight, *bias), weight, channels=0)


def infer_conv_transpose2d(layer: ConvTranspose2d, name: str, inputs: Sequence[Shape]) -> Facts:
    """[in, h, w] -> [out, H, W]."""
    c, (h, w) = channels(name, inputs)
    groups_divide(name, layer, c)
    stride, more = layer.window.stride, both(layer.output_padding)
    if any(end >= s for end, s in zip(more, stride, strict=True)):
        raise ShapeError(
            f"`{name}` makes its output longer by {by(more)}, and windows lie {by(stride)} apart: what is added "
            "would be a row without a window",
            "use less than `stride`",
            "output_padding",
        )
    size = layer.size(h, w)
    if min(size) < 1:
        raise ShapeError(f"`{name}` cuts off all that it makes", "use a smaller padding", "padding")
    area, groups = prod(layer.window.kernel), layer.groups
    # Windows lie a stride apart, so that on average so many fewer of them meet in a number. A float has to hold it.
    fans = min(c // groups * area, 10**300) / prod(stride), layer.out // groups * area
    shape = c, layer.out // groups, *layer.window.kernel
    weight = Tensor(f"{name}.weight", shape, layer.init, *fans, reads_axis=1, groups=groups)
    bias = Tensor(f"{name}.bias", (layer.out,), "zeros", *fans)
    return Facts((layer.out, *size), (weight, bias) if layer.bias else (weight,), weight, channels=0)


def parameters(name: str, layer: Convolution, c: int, kernel: Shape) -> tuple[Tensor, tuple[Tensor, ...]]:
    """W [out, in / groups, *kernel], and b [out] if there is one.

    Raises:
        ShapeError: see `groups_divide`.
    """
    groups_divide(name, layer, c)
    shape = layer.out, c // layer.groups, *kernel
    fans = prod(shape[1:]), layer.out // layer.groups * prod(kernel)
    bias = Tensor(f"{name}.bias", (layer.out,), "zeros", *fans)
    weight = Tensor(f"{name}.weight", shape, layer.init, *fans, groups=layer.groups)
    return weight, (bias,) if layer.bias else ()


def groups_divide(name: str, layer: Convolution, c: int) -> None:
    """Refuse groups of unequal size.

    Raises:
        ShapeError: the groups do not divide the channels.
    """
    for count, what in ((c, f"the {c} channels that it reads"), (layer.out, f"its {layer.out} channels")):
        if count % layer.groups:
            raise ShapeError(
                f"the {layer.groups} groups of `{name}` do not divide {what}",
                "`groups` has to divide both `out` and the channels that are read: "
                f"{divisors(gcd(c, layer.out))}",
                "groups",
            )


def settings(layer: Conv2d | Conv1d | ConvTranspose2d) -> dict[str, Attribute]:
    """The attributes of its op."""
    return layer.window.attributes() | {"groups": layer.groups}


def biased(b: Builder, layer: Convolution, product: Value, state: State) -> Value:
    """With the bias of each channel."""
    if not layer.bias:
        return product
    return b.add(product, b.reshape(state["bias"], (layer.out, *(1 for _ in product.type.shape[2:]))))


def conv2d(b: Builder, layer: Conv2d, inputs: Sequence[Value], state: State, mode: Mode) -> Value:
    """X * W + b."""
    return biased(b, layer, b.emit("conv2d", inputs[0], state["weight"], **settings(layer)), state)


def conv1d(b: Builder, layer: Conv1d, inputs: Sequence[Value], state: State, mode: Mode) -> Value:
    """X * W + b, of maps of height 1."""
    (x,), weight = inputs, state["weight"]
    n, c, length = x.type.shape
    m, own, k = weight.type.shape
    rows, kernel = b.reshape(x, (n, c, 1, length)), b.reshape(weight, (m, own, 1, k))
    product = b.emit("conv2d", rows, kernel, **settings(layer))
    return biased(b, layer, b.reshape(product, (n, m, product.type.shape[3])), state)


def conv_transpose2d(
    b: Builder, layer: ConvTranspose2d, inputs: Sequence[Value], state: State, mode: Mode
) -> Value:
    """What a `conv2d` passes down of an error X, + b."""
    (x,) = inputs
    _, _, h, w = x.type.shape
    assert isinstance(h, int)
    assert isinstance(w, int)
    product = b.emit("conv2d_input", x, state["weight"], size=layer.size(h, w), **settings(layer))
    return biased(b, layer, product, state)


def inverse_conv2d(layer: Conv2d, inputs: Sequence[Shape]) -> Inverse:
    """Each window that makes T by the pseudoinverse of the kernel; where windows overlap, the mean of what they ask.

    Raises:
        ShapeError: windows leave numbers out, reach beyond the map, or see a group of channels alone.
    """
    (shape,) = inputs
    (_, *size), kernel = shape, layer.window.kernel
    if layer.window != Window(kernel, (1, 1), ((0, 0),) * 2, (1, 1)) or layer.groups != 1:
        raise ShapeError(
            "targets go back through a convolution where windows show all of the map and nothing else",
            "leave out `stride`, `padding`, `dilation` and `groups`",
        )

    def rows(b: Builder, x: Value) -> Value:
        columns = b.emit("unfold", x, kernel=kernel, **settings(layer))
        return b.transpose(b.reshape(columns, columns.type.shape[1:]), (1, 0))

    def back(b: Builder, targets: Value, seen: Back) -> Value:
        t = targets
        if layer.bias:
            t = b.sub(targets, b.reshape(seen.state["bias"], (layer.out, 1, 1)))
        assert seen.inverse is not None
        wanted = b.emit("conv2d_input", t, seen.inverse, size=tuple(size), **settings(layer))
        for axis, (length, k) in enumerate(zip(size, kernel, strict=True)):
            over = b.table(min(i + 1, length - i, k, length - k + 1) for i in range(length))
            wanted = b.div(wanted, b.reshape(over, (length, 1)) if axis == 0 else over)
        return wanted

    return Inverse(back, rows=rows)


def traits(layer: Conv2d | Conv1d, facts: Facts | None) -> Traits:
    """A window of one number that moves to each place multiplies each with one matrix: two in a row are one."""
    kernel, stride, padding = both(layer.kernel), both(layer.stride), layer.padding
    bare = isinstance(padding, str) or both(padding) == (0, 0)
    plain = kernel == stride == (1, 1) and bare and layer.groups == 1
    return Traits(zero=True, homogeneous=True, affine=plain)


def from_torch(seen: Seen, kind: type[Conv1d | Conv2d]) -> Conv1d | Conv2d:
    """Of `torch.nn.functional.conv1d` and `conv2d`; their weights are laid out as here."""
    weight = seen.shapes["weight"]
    settings: dict[str, Any] = {key: same(seen.args[key]) for key in ("stride", "padding", "dilation")}
    return kind(
        out=weight[0],
        kernel=same(weight[2:]),
        groups=seen.args["groups"],
        bias="bias" in seen.shapes,
        **settings,
    )


def from_conv_transpose2d(seen: Seen) -> ConvTranspose2d:
    """Of `torch.nn.functional.conv_transpose2d`."""
    _, out, *kernel = seen.shapes["weight"]
    if len(kernel) != 2:
        raise NoCounterpartError("a transposed convolution of maps [channels, height, width]")
    return ConvTranspose2d(
        out=out * seen.args["groups"],
        kernel=same(kernel),
        stride=same(seen.args["stride"]),
        padding=same(seen.args["padding"]),
        output_padding=same(seen.args["output_padding"]),
        dilation=same(seen.args["dilation"]),
        groups=seen.args["groups"],
        bias="bias" in seen.shapes,
    )


ARRAYS = "weight", "bias"
TRANSPOSED = Traits(zero=True, homogeneous=True)


def down(layer: Convolution, rank: int) -> Layer:
    """The same window, with few channels."""
    return layer.model_copy(
        update={"name": None, "from_": None, "tie": None, "out": rank, "bias": False, "init": START}
        | {"trainable": True, "adapter": None}
    )


def up(layer: Convolution) -> Layer:
    """At each place by itself."""
    return type(layer)(out=layer.out, kernel=1, bias=False, init="zeros")


CONV2D = LayerKind(
    "conv2d",
    Conv2d,
    infer_conv2d,
    conv2d,
    traits=traits,
    inverse=inverse_conv2d,
    unused=unused,
    lora=lora(down, up, lambda layer: layer.groups == 1),
    counterparts=(Counterpart("aten.conv2d", partial(from_torch, kind=Conv2d), "sample", ARRAYS),),
)
CONV1D = LayerKind(
    "conv1d",
    Conv1d,
    infer_conv1d,
    conv1d,
    traits=traits,
    unused=unused,
    lora=lora(down, up, lambda layer: layer.groups == 1),
    counterparts=(Counterpart("aten.conv1d", partial(from_torch, kind=Conv1d), "sample", ARRAYS),),
)
CONV_TRANSPOSE2D = LayerKind(
    "conv_transpose2d",
    ConvTranspose2d,
    infer_conv_transpose2d,
    conv_transpose2d,
    traits=lambda *_: TRANSPOSED,
    unused=unused,
    counterparts=(Counterpart("aten.conv_transpose2d", from_conv_transpose2d, "sample", ARRAYS),),
)
