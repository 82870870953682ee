"""A plug-in of the tests: the rectifier by a comparison, with and without a word on its derivative."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from fac.program.kinds import Facts, LayerKind, Mode, State
from fac.program.program import Shape
from fac.spec.layers import Layer
from fac.step.builder import Builder
from fac.step.ir import Value
from fac.step.types import DType


class HardRelu(Layer):
    """x where x > 0, else 0."""

    kind: Literal["hard_relu"] = "hard_relu"


class GatedRelu(Layer):
    """The same, by a gate that counts as a constant."""

    kind: Literal["gated_relu"] = "gated_relu"


def infer(layer: Layer, name: str, inputs: Sequence[Shape]) -> Facts:
    """The shape of the input."""
    return Facts(inputs[0])


def hard(b: Builder, layer: HardRelu, inputs: Sequence[Value], state: State, mode: Mode) -> Value:
    """x * [0 < x]."""
    (x,) = inputs
    return b.mul(x, b.cast(b.less(0.0, x), DType.FLOAT))


def gated(b: Builder, layer: GatedRelu, inputs: Sequence[Value], state: State, mode: Mode) -> Value:
    """x * [0 < x], the latter without a derivative."""
    (x,) = inputs
    return b.mul(x, b.cast(b.less(0.0, b.stop_gradient(x)), DType.FLOAT))


KINDS = (
    LayerKind("hard_relu", HardRelu, infer, hard),
    LayerKind("gated_relu", GatedRelu, infer, gated),
)
