"""A plug-in of the tests: a layer that does not make the shape that it says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from fac.program.kinds import Facts, LayerKind, Mode, State
from fac.program.program import Shape
from fac.spec.layers import Layer
from fac.step.builder import Builder
from fac.step.ir import Value


class Narrow(Layer):
    """The mean of a sample."""

    kind: Literal["narrow"] = "narrow"


def infer(layer: Narrow, name: str, inputs: Sequence[Shape]) -> Facts:
    """The shape of the input, which is wrong."""
    return Facts(inputs[0])


def forward(b: Builder, layer: Narrow, inputs: Sequence[Value], state: State, mode: Mode) -> Value:
    """One number per sample."""
    return b.mean(inputs[0], (1,))


KINDS = (LayerKind("narrow", Narrow, infer, forward),)
