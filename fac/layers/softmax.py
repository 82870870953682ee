"""Softmax as a layer: shares that sum to one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from fac.layers.inputs import only
from fac.program.kinds import Counterpart, Facts, Inverse, LayerKind, Mode, ShapeError, Sight, State
from fac.program.kinds.solve import EPS
from fac.program.program import Shape
from fac.program.traits import Traits
from fac.spec.layers import Layer
from fac.step.builder import Builder
from fac.step.ir import Value
from fac.step.ops.softmax import logits_of


class Softmax(Layer):
    """exp(x) / sum of exp(x) along one axis of a sample."""

    kind: Literal["softmax"] = "softmax"
    other_kinds: ClassVar = {
        "logsoftmax": "leave it out: `cross_entropy` reads logits, and takes the logarithm itself",
        "softmin": "there is none; it is the `softmax` of what it reads with the other sign",
        "softmax2d": "write `kind: softmax`, with `axis: 0`, the channels of a map",
    }
    other_keys: ClassVar = {"dim": "write `axis`, which is counted without the batch"}
    axis: int = Field(
        -1, description="Axis of a sample, from 0, or from -1 backwards; the batch is not counted."
    )


def infer_softmax(layer: Softmax, name: str, inputs: Sequence[Shape]) -> Facts:
    """The shape of the one input, which has that axis."""
    shape = only(name, inputs)
    axes = len(shape)
    if not -axes <= layer.axis < axes:
        raise ShapeError(
            f"`{name}` goes along axis {layer.axis}, and reads the shape {list(shape)}",
            f"use an axis from {-axes} to {axes - 1}",
            "axis",
        )
    return Facts(shape, sights=(Sight(whole=True),) if axes > 1 and layer.axis % axes == 0 else ())


def softmax(b: Builder, layer: Softmax, inputs: Sequence[Value], state: State, mode: Mode) -> Value:
    """Along that axis; axis 0 of the value is the batch."""
    (x,) = inputs
    return b.emit("softmax", x, axis=layer.axis % (len(x.type.shape) - 1) + 1)


def inverse(layer: Softmax, inputs: Sequence[Shape]) -> Inverse:
    """Along that axis, see `logits_of`."""
    (shape,) = inputs
    axis = layer.axis % len(shape) + 1
    return Inverse(lambda b, targets, seen: logits_of(b, targets, seen.input, axis, EPS))


SOFTMAX = LayerKind(
    "softmax",
    Softmax,
    infer_softmax,
    softmax,
    traits=lambda *_: Traits(sign=True, bounds=(0.0, 1.0)),
    inverse=inverse,
    counterparts=(
        Counterpart(
            "aten.softmax", lambda seen: Softmax(axis=seen.axis(seen.args["dim"])), "any", input="self"
        ),
    ),
)
