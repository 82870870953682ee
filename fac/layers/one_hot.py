"""Whole numbers as vectors, for layers that read real numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from fac.layers.inputs import only
from fac.program.kinds import LAST, Facts, LayerKind, Mode, State
from fac.program.program import Shape
from fac.program.traits import Traits
from fac.spec.layers import Layer
from fac.spec.train import Positive
from fac.step.builder import Builder
from fac.step.ir import Value
from fac.step.types import DType


class OneHot(Layer):
    """A vector for each whole number, with a 1 in its place and zeros elsewhere, along a new last axis."""

    kind: Literal["one_hot"] = "one_hot"
    num_classes: Positive | None = Field(
        None,
        description="Length of the vectors; it reads the numbers from 0 to one less. Default: the `classes` of the "
        "input.",
    )


def infer(layer: OneHot, name: str, inputs: Sequence[Shape]) -> Facts:
    """[...] -> [..., num_classes]."""
    assert layer.num_classes is not None
    return Facts((*only(name, inputs), layer.num_classes), channels=LAST)


def forward(b: Builder, layer: OneHot, inputs: Sequence[Value], state: State, mode: Mode) -> Value:
    """INT [N, ...] -> FLOAT [N, ..., num_classes]."""
    (x,) = inputs
    assert layer.num_classes is not None
    column = b.reshape(x, (*x.type.shape, 1))
    return b.cast(b.equal(column, b.iota((layer.num_classes,))), DType.FLOAT)


TRAITS = Traits(bounds=(0.0, 1.0))
ONE_HOT = LayerKind("one_hot", OneHot, infer, forward, traits=lambda *_: TRAITS, classes="num_classes")
