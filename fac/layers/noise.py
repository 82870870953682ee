"""Layers that drop things in training, beside `dropout`: with the same hash of seed, layer, step and place."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from fac.layers.elementwise import dropped, infer
from fac.layers.units import SELU_ALPHA, SELU_SCALE
from fac.program.kinds import LayerKind, Mode, State
from fac.spec.layers import Layer
from fac.step.builder import Builder
from fac.step.ir import Value
from fac.step.random import bernoulli

Rate = Annotated[float, Field(ge=0, lt=1)]
LOWEST = -SELU_SCALE * SELU_ALPHA
"""The least value of `selu`, -scale * alpha, to which `alpha_dropout` drops (Klambauer et al., arXiv 1706.02515)."""


class AlphaDropout(Layer):
    """Dropout behind `selu`: numbers drop to its least value, and mean 0 and variance 1 are restored."""

    kind: Literal["alpha_dropout"] = "alpha_dropout"
    other_keys: ClassVar = {"p": "rate"}
    rate: Rate = Field(0.5, description="Probability of being dropped.")


class DropPath(Layer):
    """Stochastic depth: in training a whole sample is kept with probability 1 - rate and divided by it, else zero.

    At the end of the body of a `residual`, so that now and then the body is left out (Huang et al., arXiv 1603.09382).
    """

    kind: Literal["drop_path"] = "drop_path"
    other_kinds: ClassVar = {"stochasticdepth": ""}
    other_keys: ClassVar = {"p": "rate", "drop_prob": "rate"}
    rate: Rate = Field(0.1, description="Probability that a sample is dropped.")


def alpha_dropout(
    b: Builder, layer: AlphaDropout, inputs: Sequence[Value], state: State, mode: Mode
) -> Value:
    """a (x mask + LOWEST (1 - mask)) - a LOWEST rate, a = 1 / sqrt((1 - rate) (1 + rate LOWEST^2))."""
    (x,) = inputs
    if layer.rate == 0 or not mode.training or mode.step is None:
        return x
    keep = 1 - layer.rate
    a = 1 / sqrt(keep * (1 + layer.rate * LOWEST**2))
    mask = b.label(bernoulli(b, x.type.shape, keep, mode.seed, mode.node, mode.step), "mask")
    dropped = b.mul(b.sub(1.0, mask), a * LOWEST)
    return b.add(b.mul(x, b.mul(mask, a)), b.sub(dropped, a * LOWEST * layer.rate))


def drop_path(b: Builder, layer: DropPath, inputs: Sequence[Value], state: State, mode: Mode) -> Value:
    """X * mask / (1 - rate), one number of the mask for each sample."""
    (x,) = inputs
    if layer.rate == 0 or not mode.training or mode.step is None:
        return x
    keep = 1 - layer.rate
    shape = (x.type.shape[0], *(1 for _ in x.type.shape[1:]))
    mask = bernoulli(b, shape, keep, mode.seed, mode.node, mode.step)
    return b.mul(x, b.label(b.mul(mask, 1 / keep), "mask"))


ALPHA_DROPOUT = LayerKind("alpha_dropout", AlphaDropout, infer, alpha_dropout)
DROP_PATH = LayerKind("drop_path", DropPath, infer, drop_path, traits=dropped)
NOISE = (ALPHA_DROPOUT, DROP_PATH)
