"""Layers that treat every number alike: activations and dropout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from fac.program.kinds import Facts, LayerKind, Mode, ShapeError, State
from fac.program.program import Shape
from fac.spec.layers import Layer
from fac.step.builder import Builder
from fac.step.ir import Value
from fac.step.random import bernoulli


class Relu(Layer):
    """max(x, 0)."""

    kind: Literal["relu"] = "relu"


class LeakyRelu(Layer):
    """max(x, 0) + slope * min(x, 0)."""

    kind: Literal["leaky_relu"] = "leaky_relu"
    slope: Annotated[float, Field(gt=0, lt=1)] = Field(0.01, description="Derivative below zero.")


class Tanh(Layer):
    """The hyperbolic tangent."""

    kind: Literal["tanh"] = "tanh"


class Sigmoid(Layer):
    """1 / (1 + exp(-x))."""

    kind: Literal["sigmoid"] = "sigmoid"


class Gelu(Layer):
    """x * Phi(x), Phi the normal distribution function (the exact form, not the tanh approximation)."""

    kind: Literal["gelu"] = "gelu"


class Dropout(Layer):
    """In training each number is kept with probability 1 - rate and divided by it; else nothing happens."""

    kind: Literal["dropout"] = "dropout"
    rate: Annotated[float, Field(ge=0, lt=1)] = Field(0.5, description="Probability of being dropped.")


def infer(layer: Layer, name: str, inputs: Sequence[Shape]) -> Facts:
    """The shape of the one input."""
    if len(inputs) != 1:
        raise ShapeError(
            f"`{name}` reads one layer, not {len(inputs)}", "join them with an `add` layer first", "from"
        )
    return Facts(inputs[0])


def activation(b: Builder, layer: Layer, inputs: Sequence[Value], state: State, mode: Mode) -> Value:
    """The op of the layer's own name."""
    if isinstance(layer, LeakyRelu):
        return b.emit("leaky_relu", inputs[0], slope=layer.slope)
    return b.emit(str(getattr(layer, "kind")), inputs[0])  # noqa: B009 - each kind above has it, the base has not


def dropout(b: Builder, layer: Dropout, inputs: Sequence[Value], state: State, mode: Mode) -> Value:
    """X * mask / (1 - rate), the mask from the hash of (seed, node, step, index)."""
    (x,) = inputs
    if not mode.training or mode.step is None or layer.rate == 0:
        return x
    keep = 1 - layer.rate
    mask = bernoulli(b, x.type.shape, keep, mode.seed, mode.node, mode.step)
    return b.mul(x, b.label(b.mul(mask, 1 / keep), "mask"))


RELU = LayerKind("relu", Relu, infer, activation, homogeneous=True)
LEAKY_RELU = LayerKind("leaky_relu", LeakyRelu, infer, activation, homogeneous=True)
TANH = LayerKind("tanh", Tanh, infer, activation)
SIGMOID = LayerKind("sigmoid", Sigmoid, infer, activation)
GELU = LayerKind("gelu", Gelu, infer, activation)
DROPOUT = LayerKind("dropout", Dropout, infer, dropout, homogeneous=True)
