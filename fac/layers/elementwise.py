"""Layers that treat every number alike: activations and dropout."""

from __future__ import annotations

from collections.abc import Sequence
from math import erf, pi, sqrt, tanh
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from fac.layers.inputs import only
from fac.program.kinds import Back, Counterpart, Facts, Inverse, LayerKind, Mode, State
from fac.program.kinds.solve import EPS
from fac.program.program import Shape
from fac.program.traits import Curve, Traits
from fac.spec.layers import Layer
from fac.step.builder import Builder
from fac.step.ir import Value
from fac.step.ops.units import CUBIC
from fac.step.random import bernoulli


class Relu(Layer):
    """max(x, 0)."""

    kind: Literal["relu"] = "relu"
    other_kinds: ClassVar = {
        "prelu": "there is none with a slope that learns; `leaky_relu` has a fixed one",
        "rrelu": "there is none with random slopes; `leaky_relu` has a fixed one",
    }


class LeakyRelu(Layer):
    """max(x, 0) + slope * min(x, 0)."""

    kind: Literal["leaky_relu"] = "leaky_relu"
    other_keys: ClassVar = {"negative_slope": "slope"}
    slope: Annotated[float, Field(gt=0, lt=1)] = Field(0.01, description="Derivative below zero.")


class Tanh(Layer):
    """The hyperbolic tangent."""

    kind: Literal["tanh"] = "tanh"
    other_kinds: ClassVar = {
        "tanhshrink": "there is none; it is what it reads minus its `tanh`, and so another function",
    }


class Sigmoid(Layer):
    """1 / (1 + exp(-x))."""

    kind: Literal["sigmoid"] = "sigmoid"


class Gelu(Layer):
    """x * Phi(x), Phi the normal distribution function (Hendrycks and Gimpel 2016, arXiv 1606.08415)."""

    kind: Literal["gelu"] = "gelu"
    other_kinds: ClassVar = {
        "gelutanh": "write `kind: gelu`, with `approximate: tanh`",
        "gelunew": "write `kind: gelu`, with `approximate: tanh`",
        "quickgelu": "`gelu` is exact, or by `tanh`, and there is none with the approximation by a sigmoid",
    }
    approximate: Literal["none", "tanh"] = Field(
        "none",
        description="`tanh`: Phi(x) as (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2, as GPT-2 has it; off by up to "
        "5e-4.",
    )


class Dropout(Layer):
    """In training each number is kept with probability 1 - rate and divided by it; else nothing happens."""

    kind: Literal["dropout"] = "dropout"
    other_keys: ClassVar = {"p": "rate"}
    rate: Annotated[float, Field(ge=0, lt=1)] = Field(0.5, description="Probability of being dropped.")


def infer(layer: Layer, name: str, inputs: Sequence[Shape]) -> Facts:
    """The shape of the one input."""
    return Facts(only(name, inputs))


def activation(b: Builder, layer: Layer, inputs: Sequence[Value], state: State, mode: Mode) -> Value:
    """The op of the layer's own name."""
    if isinstance(layer, LeakyRelu):
        return b.emit("leaky_relu", inputs[0], slope=layer.slope)
    if isinstance(layer, Gelu) and layer.approximate == "tanh":
        return b.emit("gelu_tanh", inputs[0])
    return b.emit(str(getattr(layer, "kind")), inputs[0])  # noqa: B009 - each kind above has it, the base has not


def dropout(b: Builder, layer: Dropout, inputs: Sequence[Value], state: State, mode: Mode) -> Value:
    """X * mask / (1 - rate), the mask from the hash of (seed, node, step, index)."""
    (x,) = inputs
    if layer.rate == 0 or not mode.training or mode.step is None:
        return x
    keep = 1 - layer.rate
    mask = bernoulli(b, x.type.shape, keep, mode.seed, mode.node, mode.step)
    return b.mul(x, b.label(b.mul(mask, 1 / keep), "mask"))


def leaky(layer: LeakyRelu) -> Curve:
    """One line above zero, another below."""
    return Curve(lambda x: x if x > 0 else layer.slope * x)


def dropped(layer: Any, facts: Facts | None) -> Traits:
    """One of its numbers in 1 / (1 - rate) is as many times as large, and none of the others is left."""
    larger = 1 / (1 - layer.rate)
    return Traits(zero=True, homogeneous=True, sign=True, value=larger, error=larger)


def squeezed(b: Builder, targets: Value, seen: Back, low: float, high: float) -> Value:
    """Targets from `seen.low` to `seen.high` as ones from `low` to `high`."""
    assert seen.low is not None
    assert seen.high is not None
    share = b.div(b.sub(targets, seen.low), b.sub(seen.high, seen.low))
    return b.add(b.mul(share, high - low), low)


def logit(b: Builder, targets: Value, seen: Back) -> Value:
    """log(u / (1 - u)), u the targets in [eps, 1 - eps]."""
    u = squeezed(b, targets, seen, EPS, 1 - EPS)
    return b.emit("log", b.div(u, b.sub(1.0, u)))


def atanh(b: Builder, targets: Value, seen: Back) -> Value:
    """log((1 + u) / (1 - u)) / 2, u the targets in [eps - 1, 1 - eps]."""
    u = squeezed(b, targets, seen, EPS - 1, 1 - EPS)
    return b.mul(b.emit("log", b.div(b.add(1.0, u), b.sub(1.0, u))), 0.5)


def nearest(b: Builder, targets: Value, seen: Back) -> Value:
    """max(T, 0): what makes the nearest that a relu can make.

    Any number below 0 would make the same. ZORB draws -U(0, 1) there; targets that pull units below zero can leave none
    above, and then all that is read there is zero, as in two convolutions on digits.
    """
    return b.emit("relu", targets)


def gelu_curve(layer: Gelu) -> Curve:
    """Exact, or by `tanh`."""
    if layer.approximate == "tanh":
        return Curve(lambda x: x * (1 + tanh(sqrt(2 / pi) * (x + CUBIC * x**3))) / 2)
    return Curve(lambda x: x * (1 + erf(x / sqrt(2))) / 2)


RELU = LayerKind(
    "relu",
    Relu,
    infer,
    activation,
    curve=lambda _: Curve(lambda x: max(x, 0.0)),
    inverse=lambda *_: Inverse(nearest),
    counterparts=(Counterpart("aten.relu", lambda _: Relu(), input="self"),),
)
LEAKY_RELU = LayerKind(
    "leaky_relu",
    LeakyRelu,
    infer,
    activation,
    curve=leaky,
    counterparts=(
        Counterpart(
            "aten.leaky_relu", lambda seen: LeakyRelu(slope=seen.args["negative_slope"]), input="self"
        ),
    ),
)
TANH = LayerKind(
    "tanh",
    Tanh,
    infer,
    activation,
    curve=lambda _: Curve(tanh),
    inverse=lambda *_: Inverse(atanh, ranged=True),
    counterparts=(Counterpart("aten.tanh", lambda _: Tanh(), input="self"),),
)
SIGMOID = LayerKind(
    "sigmoid",
    Sigmoid,
    infer,
    activation,
    curve=lambda _: Curve(lambda x: (1 + tanh(x / 2)) / 2),
    inverse=lambda *_: Inverse(logit, ranged=True),
    counterparts=(Counterpart("aten.sigmoid", lambda _: Sigmoid(), input="self"),),
)
GELU = LayerKind(
    "gelu",
    Gelu,
    infer,
    activation,
    curve=gelu_curve,
    counterparts=(
        Counterpart("aten.gelu", lambda seen: Gelu(approximate=seen.args["approximate"]), input="self"),
    ),
)
DROPOUT = LayerKind(
    "dropout",
    Dropout,
    infer,
    dropout,
    traits=dropped,
    counterparts=(Counterpart("aten.dropout", lambda seen: Dropout(rate=seen.args["p"]), random=True),),
)
