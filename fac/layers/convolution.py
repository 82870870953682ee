"""Convolutional layers."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Literal

from pydantic import Field

from fac.layers.bias import unused
from fac.layers.inputs import Size, channels
from fac.layers.windows import Padding, Window, places, window
from fac.program.kinds import Facts, LayerKind, Mode, ShapeError, State
from fac.program.program import Shape
from fac.program.tensors import Tensor
from fac.program.traits import Traits
from fac.spec.init import Init
from fac.spec.layers import WeightedLayer
from fac.spec.train import Positive
from fac.step.builder import Builder
from fac.step.ir import Value


class Conv2d(WeightedLayer):
    """A = X * W + b of maps, with X [N, in, H, W], W [out, in / groups, *kernel], b [out], as in PyTorch."""

    kind: Literal["conv2d"] = "conv2d"
    out: Positive = Field(description="Number of channels.")
    kernel: Size = Field(description="Height and width of the window.")
    stride: Size = Field(1, description="By how much the window moves.")
    padding: Padding = Field(
        0, description="Zeros on each side; `same` keeps the size, at a stride of 1; `valid` is 0."
    )
    dilation: Size = Field(1, description="How far apart what the window shows lies.")
    groups: Positive = Field(
        1, description="Groups of channels that do not mix; as many as there are channels is depthwise."
    )
    bias: bool = Field(True, description="Whether a bias, zero at the start, is added to each channel.")
    init: Init = Field(
        "kaiming_uniform",
        description="Initial weights; the default is U(-b, b), b = sqrt(6/fan_in), fan_in = in / groups * height * "
        "width of the window.",
    )

    @property
    def window(self) -> Window:
        """Its settings along both axes."""
        return window(self.kernel, self.stride, self.padding, self.dilation)


def infer(layer: Conv2d, name: str, inputs: Sequence[Shape]) -> Facts:
    """[in, H, W] -> [out, h, w]."""
    c, size = channels(name, inputs)
    shape = layer.out, *places(name, layer.window, size)
    weight, bias = parameters(name, layer, c, layer.window.kernel)
    return Facts(shape, (weight, bias) if layer.bias else (weight,), weight)


def parameters(name: str, layer: Conv2d, c: int, kernel: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """W [out, in / groups, *kernel] and b [out].

    Raises:
        ShapeError: the groups do not divide the channels.
    """
    for count, what in ((c, f"the {c} channels that it reads"), (layer.out, f"its {layer.out} channels")):
        if count % layer.groups:
            raise ShapeError(
                f"the {layer.groups} groups of `{name}` do not divide {what}",
                "`groups` has to divide both `out` and the channels that are read",
                "groups",
            )
    shape = layer.out, c // layer.groups, *kernel
    fan_in, fan_out = prod(shape[1:]), layer.out // layer.groups * prod(kernel)
    return (
        Tensor(f"{name}.weight", shape, layer.init, fan_in, fan_out),
        Tensor(f"{name}.bias", (layer.out,), "zeros", fan_in, fan_out),
    )


def forward(b: Builder, layer: Conv2d, inputs: Sequence[Value], state: State, mode: Mode) -> Value:
    """X * W + b."""
    moves = layer.window
    product = b.emit(
        "conv2d",
        inputs[0],
        state["weight"],
        stride=moves.stride,
        padding=moves.padding,
        dilation=moves.dilation,
        groups=layer.groups,
    )
    return b.add(product, b.reshape(state["bias"], (layer.out, 1, 1))) if layer.bias else product


def traits(layer: Conv2d, facts: Facts | None) -> Traits:
    """A window of one number that moves to each place multiplies each place by one matrix, as `linear` does."""
    try:
        moves = layer.window
    except ShapeError:
        return Traits(zero=True, homogeneous=True)
    plain = moves == Window((1, 1), (1, 1), (0, 0, 0, 0), moves.dilation) and layer.groups == 1
    return Traits(zero=True, homogeneous=True, affine=plain)


CONV2D = LayerKind("conv2d", Conv2d, infer, forward, traits=traits, unused=unused)
