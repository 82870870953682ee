"""A layer whose state is moved by the forward pass: it whitens vectors by moments, of which it keeps running means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from fac.plugin import (
    Builder,
    Facts,
    Layer,
    LayerKind,
    Made,
    Mode,
    Role,
    Shape,
    ShapeError,
    State,
    Tensor,
    Value,
)

EPS = 1e-3


class Running(Layer):
    """(x - m) / sqrt(v + eps), m and v [d] the mean and variance over samples; in evaluation their running means."""

    kind: Literal["running"] = "running"
    momentum: Annotated[float, Field(gt=0, le=1)] = Field(
        0.1, description="Share of the batch in the running means."
    )


def infer(layer: Running, name: str, inputs: Sequence[Shape]) -> Facts:
    """A vector, and two of its size that follow the data."""
    if len(inputs) != 1 or len(inputs[0]) != 1:
        raise ShapeError(f"`{name}` reads one vector", "add a `flatten` layer before it")
    (shape,) = inputs
    mean = Tensor(f"{name}.mean", shape, "zeros", role=Role.STATISTIC, trainable=False)
    variance = Tensor(f"{name}.variance", shape, "ones", role=Role.STATISTIC, trainable=False)
    return Facts(shape, (mean, variance))


def forward(b: Builder, layer: Running, inputs: Sequence[Value], state: State, mode: Mode) -> Value | Made:
    """State is read as it was before the step, and its next value is handed back beside the output."""
    (x,) = inputs
    if not mode.training:
        return whitened(b, x, state["mean"], state["variance"])
    mean, variance = b.mean(x, (0,)), b.variance(x, (0,))

    def followed(old: Value, new: Value) -> Value:
        return b.add(b.mul(old, 1 - layer.momentum), b.mul(new, layer.momentum))

    moved = {
        "mean": followed(state["mean"], mean),
        "variance": followed(state["variance"], variance),
    }
    return Made(whitened(b, x, mean, variance), moved)


def whitened(b: Builder, x: Value, mean: Value, variance: Value) -> Value:
    """(x - mean) / sqrt(variance + eps)."""
    return b.div(b.sub(x, mean), b.sqrt(b.add(variance, EPS)))


KINDS = (LayerKind("running", Running, infer, forward),)
