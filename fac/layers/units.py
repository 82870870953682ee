"""More activations, each as PyTorch defines it, kinks included."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import exp, expm1, inf, log1p, tanh
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from fac.layers.elementwise import infer
from fac.program.kinds import Counterpart, LayerKind, Mode, NoCounterpartError, Seen, State
from fac.program.traits import Curve, Traits
from fac.spec.layers import Layer
from fac.step.builder import Builder
from fac.step.ir import Value

Alpha = Annotated[float, Field(gt=0, le=1000)]
Beta = Annotated[float, Field(ge=0.001, le=1000)]
"""It divides: from some size on nothing of the result would be a number."""
SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946
"""For which numbers of mean 0 and variance 1 keep both (arXiv 1706.02515, with the digits of PyTorch)."""


class Silu(Layer):
    """x * sigmoid(x), also called swish."""

    kind: Literal["silu"] = "silu"
    other_kinds: ClassVar = {"swish": ""}


class Elu(Layer):
    """The number itself above zero, alpha * (exp(x) - 1) below."""

    kind: Literal["elu"] = "elu"
    alpha: Alpha = Field(1.0, description="What it comes to far below zero, with its sign turned.")


class Selu(Layer):
    """1.0507 * elu(x) with alpha = 1.6733: numbers of mean 0 and variance 1 keep both."""

    kind: Literal["selu"] = "selu"


class Softplus(Layer):
    """log(1 + exp(beta * x)) / beta, a smooth relu. It is exact for every x and so needs no `threshold`."""

    kind: Literal["softplus"] = "softplus"
    beta: Beta = Field(1.0, description="How sharply it bends at zero.")


class Hardsigmoid(Layer):
    """(x + 3) / 6, limited to [0, 1]."""

    kind: Literal["hardsigmoid"] = "hardsigmoid"


class Hardswish(Layer):
    """x * hardsigmoid(x)."""

    kind: Literal["hardswish"] = "hardswish"


class Abs(Layer):
    """The number without its sign; the derivative at zero is 0."""

    kind: Literal["abs"] = "abs"


class Exp(Layer):
    """e to the power of the number: infinite above 88 in float32, and above 709 in float64."""

    kind: Literal["exp"] = "exp"


Forward = Callable[[Builder, Any, Value], Value]


def selu(b: Builder, layer: Selu, x: Value) -> Value:
    """1.0507 * elu(x)."""
    return b.mul(b.emit("elu", x, alpha=SELU_ALPHA), SELU_SCALE)


def softplus(b: Builder, layer: Softplus, x: Value) -> Value:
    """Of beta x, divided by beta."""
    if layer.beta == 1:
        return b.emit("softplus", x)
    return b.div(b.emit("softplus", b.mul(x, layer.beta)), layer.beta)


def sigmoid(x: float) -> float:
    """1 / (1 + exp(-x))."""
    return (1 + tanh(x / 2)) / 2


def hardsigmoid(x: float) -> float:
    """(x + 3) / 6, limited to [0, 1]."""
    return min(max(x + 3, 0.0), 6.0) / 6


def elu(x: float, alpha: float = 1.0) -> float:
    """X above zero, alpha (exp(x) - 1) below."""
    return x if x > 0 else alpha * expm1(x)


def soft(x: float) -> float:
    """log(1 + exp(x))."""
    return max(x, 0.0) + log1p(exp(-abs(x)))


def unit(
    name: str,
    spec: type[Layer],
    forward: Forward,
    f: Callable[[Any, float], float],
    from_torch: Callable[[Seen], Layer] | None = None,
    at_zero: float | None = None,
) -> LayerKind:
    """The kind of an activation.

    Args:
        name: of the kind.
        spec: its settings.
        forward: of one value.
        f: what it makes of a number, given its settings.
        from_torch: the layer that the function of that name in PyTorch is, where it has settings.
        at_zero: the derivative at 0, where it is not that from below.
    """

    def alone(b: Builder, layer: Any, inputs: Sequence[Value], state: State, mode: Mode) -> Value:
        return forward(b, layer, inputs[0])

    counterpart = Counterpart(f"aten.{name}", from_torch or (lambda _: spec()), input="self")
    curve = lambda layer: Curve(lambda x: f(layer, x), at_zero)  # noqa: E731 - one expression, of which types are inferred
    return LayerKind(name, spec, infer, alone, curve=curve, counterparts=(counterpart,))


def from_elu(seen: Seen) -> Elu:
    """Of `torch.nn.functional.elu`."""
    if seen.args["scale"] != 1 or seen.args["input_scale"] != 1:
        raise NoCounterpartError("an `elu` without factors beside `alpha`")
    return Elu(alpha=float(seen.args["alpha"]))


SILU = unit("silu", Silu, lambda b, layer, x: b.emit("silu", x), lambda layer, x: x * sigmoid(x))
ELU = unit(
    "elu",
    Elu,
    lambda b, layer, x: b.emit("elu", x, alpha=float(layer.alpha)),
    lambda layer, x: elu(x, layer.alpha),
    from_elu,
)
SELU = unit("selu", Selu, selu, lambda layer, x: SELU_SCALE * elu(x, SELU_ALPHA))
SOFTPLUS = unit(
    "softplus",
    Softplus,
    softplus,
    lambda layer, x: soft(layer.beta * x) / layer.beta,
    lambda seen: Softplus(beta=float(seen.args["beta"])),
)
HARDSIGMOID = unit(
    "hardsigmoid", Hardsigmoid, lambda b, layer, x: b.emit("hardsigmoid", x), lambda layer, x: hardsigmoid(x)
)
HARDSWISH = unit(
    "hardswish", Hardswish, lambda b, layer, x: b.emit("hardswish", x), lambda layer, x: x * hardsigmoid(x)
)
ABS = unit("abs", Abs, lambda b, layer, x: b.abs(x), lambda layer, x: abs(x), at_zero=0.0)
EXP = LayerKind(
    "exp",
    Exp,
    infer,
    lambda b, layer, inputs, state, mode: b.emit("exp", inputs[0]),
    # it has no curve, because far above zero it is no finite number
    traits=lambda *_: Traits(sign=True, bounds=(0.0, inf)),
    counterparts=(Counterpart("aten.exp", lambda _: Exp(), input="self"),),
)
UNITS = (SILU, ELU, SELU, SOFTPLUS, HARDSIGMOID, HARDSWISH, ABS, EXP)
