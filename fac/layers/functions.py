"""Plain functions of numbers, such as formulas of other frameworks are spelled out in; edges are those of PyTorch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from math import inf
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from fac.layers.elementwise import infer
from fac.program.kinds import Counterpart, Facts, LayerKind, Mode, NoCounterpartError, Seen, State
from fac.program.traits import Curve, Traits
from fac.spec.layers import Layer
from fac.step.builder import Builder
from fac.step.ir import Value

POWERS = {"aten.square": 2.0, "aten.reciprocal": -1.0, "aten.rsqrt": -0.5}
"""Operations that are powers with one exponent."""


class Erf(Layer):
    """The error function, 2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x."""

    kind: Literal["erf"] = "erf"


class Pow(Layer):
    """The number to the power of `exponent`.

    A number below zero is none to the power of a fraction. At zero powers below 0 are infinite, and so is the
    derivative of powers between 0 and 1.
    """

    kind: Literal["pow"] = "pow"
    other_kinds: ClassVar = {
        "power": "",
        "square": "write `kind: pow`, with `exponent: 2`",
        "reciprocal": "write `kind: pow`, with `exponent: -1`",
        "rsqrt": "write `kind: pow`, with `exponent: -0.5`",
    }
    other_keys: ClassVar = {"power": "exponent"}
    exponent: Annotated[float, Field(ge=-100, le=100)] = Field(description="The power that is taken.")


class Sqrt(Layer):
    """The square root: no number below zero; at zero its derivative is infinite, so put a `rescaling` before it."""

    kind: Literal["sqrt"] = "sqrt"


def erf(b: Builder, layer: Erf, inputs: Sequence[Value], state: State, mode: Mode) -> Value:
    """The op of that name."""
    return b.emit("erf", *inputs)


def raised(b: Builder, layer: Pow, inputs: Sequence[Value], state: State, mode: Mode) -> Value:
    """The op of that name, with a number as its second operand."""
    return b.pow(inputs[0], layer.exponent)


def root(b: Builder, layer: Sqrt, inputs: Sequence[Value], state: State, mode: Mode) -> Value:
    """The op of that name."""
    return b.sqrt(inputs[0])


def power(layer: Pow, facts: Facts | None) -> Traits:
    """It has no curve, because high powers of large numbers are none; of what is none everywhere nothing is said."""
    if layer.exponent < 0 or layer.exponent % 1:
        return Traits()
    return Traits(
        zero=layer.exponent > 0,
        homogeneous=layer.exponent == 1,
        sign=True,
        bounds=(0.0, inf) if layer.exponent % 2 == 0 else (-inf, inf),
    )


def from_pow(seen: Seen) -> Pow:
    """Of `torch.pow` with a number as exponent."""
    exponent = seen.args.get("exponent", seen.args.get("other"))
    if isinstance(exponent, bool) or not isinstance(exponent, int | float):
        raise NoCounterpartError("a power whose exponent is one number")
    return Pow(exponent=float(exponent))


def of_power(exponent: float) -> Any:
    """What makes the layer of an operation that has no exponent of its own."""
    return lambda seen: Pow(exponent=exponent)


ERF = LayerKind(
    "erf",
    Erf,
    infer,
    erf,
    curve=lambda _: Curve(math.erf),
    counterparts=(Counterpart("aten.erf", lambda _: Erf(), input="self"),),
)
POW = LayerKind(
    "pow",
    Pow,
    infer,
    raised,
    traits=power,
    counterparts=(
        Counterpart("aten.pow", from_pow, input="self"),
        *(Counterpart(op, of_power(exponent), input="self") for op, exponent in POWERS.items()),
    ),
)
SQRT = LayerKind(
    "sqrt",
    Sqrt,
    infer,
    root,
    counterparts=(Counterpart("aten.sqrt", lambda _: Sqrt(), input="self"),),
)
FUNCTIONS = (ERF, POW, SQRT)
