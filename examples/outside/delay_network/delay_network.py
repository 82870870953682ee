"""delay_network.py: a feedback delay network, a reverberator all of whose numbers are learned, delays among them.

After Mezza, Giampiccolo, De Sena and Bernardini (arXiv 2404.00082). The "feedback matrix" here is A, by which the
outputs of delay lines go back into them, sample by sample; it carries no error to any layer. Line i gives s_i, its
input m_i samples ago; A s + b x goes into the lines, and c^T s + d x comes out:

    H(z) = c^T (D(z)^-1 - A)^-1 b + d,  D = diag(z^-m_i)
    A = U diag(g^m_i),  U = expm(T - T^T),  g = 10^(-3 / (rate t60))

As no delay is shorter than `block` samples, so many are made at once from what is known. The loop over blocks is
unrolled in the step: its backward pass is backpropagation through time, and all blocks read the same parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, log, pi
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from fac.plugin import (
    Builder,
    DType,
    Facts,
    LayerKind,
    Mode,
    Normal,
    ParametricLayer,
    Shape,
    ShapeError,
    State,
    Tensor,
    Traits,
    Value,
)

Above = Annotated[float, Field(gt=0, allow_inf_nan=False)]
MOST = 1024
"""Blocks that are written out at most: a step has some ten ops for each of them."""
TERMS, HALVINGS = 14, 6
"""Of the series of expm, and how often its argument is halved before and its result squared behind."""


class DelayNetwork(ParametricLayer):
    """A signal [T] to what the network makes of it [T]; of a unit impulse, its response.

    Parameters: `skew` [n, n], of which T is the upper triangle; `delay` [n] and `t60` [1], zeros at first, by which the
    delays and the reverberation time leave what the spec says of them; `b` [n], `c` [n], `d` [1]. A delay is
    block + (buffer - 1) sigmoid(start + delay), and so stays in its buffer; the time is the spec's times exp(t60).
    """

    kind: Literal["delay_network"] = "delay_network"
    rate: Above = Field(description="Samples of a second.")
    delays: Annotated[tuple[Above, ...], Field(min_length=1, max_length=64)] = Field(
        description="In samples, with fractions, one for each line: where learning starts from."
    )
    t60: Above | None = Field(
        description="Seconds in which the energy falls by 60 dB; null: none is lost, and nothing is learned of it."
    )
    block: int = Field(64, ge=1, description="Samples that are made at once; no delay is shorter.")
    buffer: int = Field(512, ge=4, description="Samples of each line in which a delay beyond `block` lies.")
    integer: bool = Field(
        False,
        description="Whether delays are rounded to whole samples, and learned no more: what a device would run.",
    )

    @property
    def lines(self) -> int:
        """n."""
        return len(self.delays)

    @model_validator(mode="after")
    def _held(self) -> Self:
        longest = self.block + self.buffer - 1
        for delay in self.delays:
            if delay >= longest:
                raise ValueError(
                    f"a delay of {delay:g} samples is longer than its buffer, which ends at {longest} (block + buffer "
                    f"- 1); use `buffer: {ceil(delay) + 2 - self.block}` or more"
                )
            if delay <= self.block:
                raise ValueError(
                    f"a delay of {delay:g} samples is no longer than the {self.block} of a block, whose samples are "
                    "made at once; use a smaller `block` or a longer delay"
                )
        return self


def inferred(layer: DelayNetwork, name: str, inputs: Sequence[Shape]) -> Facts:
    """A signal, and as long a one."""
    if len(inputs) != 1 or len(inputs[0]) != 1:
        raise ShapeError(f"`{name}` reads one signal [T]", "let `input.shape` be its number of samples")
    if (blocks := ceil(inputs[0][0] / layer.block)) > MOST:
        raise ShapeError(
            f"`{name}` would be unrolled over {blocks} blocks, and {MOST} are the most",
            "use a larger `block` or a shorter signal",
            "block",
        )
    n, learns = layer.lines, layer.trainable
    # Of n lines b and c give an impulse energy 1 at first; T of that size is far from no rotation.
    laws = {
        "skew": ((n, n), Normal(std=1.0)),
        "b": ((n,), Normal(std=n**-0.5)),
        "c": ((n,), Normal(std=n**-0.5)),
        "d": ((1,), Normal(std=1.0)),
    }
    tensors = [Tensor(f"{name}.{part}", shape, law, trainable=learns) for part, (shape, law) in laws.items()]
    tensors.append(Tensor(f"{name}.delay", (n,), "zeros", trainable=learns and not layer.integer))
    if layer.t60 is not None:
        tensors.append(Tensor(f"{name}.t60", (1,), "zeros", trainable=learns))
    return Facts(inputs[0], tuple(tensors))


def rotation(b: Builder, skew: Value, n: int) -> Value:
    """U [n, n] = expm(T - T^T), by a series for what is halved HALVINGS times, and as many squarings."""
    places = b.iota((n,))
    above = b.cast(b.less(b.reshape(places, (n, 1)), places), DType.FLOAT)
    upper = b.mul(skew, above)
    small = b.mul(b.sub(upper, b.transpose(upper, (1, 0))), 0.5**HALVINGS)
    one = b.eye(n)
    found = b.add(one, b.mul(small, 1 / TERMS))
    for term in range(TERMS - 1, 0, -1):
        found = b.add(one, b.mul(b.matmul(small, found), 1 / term))
    for _ in range(HALVINGS):
        found = b.matmul(found, found)
    return b.label(found, "rotation")


def delays(b: Builder, layer: DelayNetwork, state: State) -> Value:
    """m [n] in samples."""
    share = (np.array(layer.delays) - layer.block) / (layer.buffer - 1)
    start = b.table(np.log(share / (1 - share)))
    found = b.add(
        b.mul(b.emit("sigmoid", b.add(start, state["delay"])), layer.buffer - 1.0), float(layer.block)
    )
    return b.label(b.round(b.stop_gradient(found)) if layer.integer else found, "samples")


def taps(b: Builder, layer: DelayNetwork, m: Value) -> Value:
    """[n, 1, 1, buffer]: how much of each sample of a buffer, oldest first, is in what left it.

    The Fourier form of a delay by m' = m - block: a buffer of M samples and as many zeros, times
    H_k = e^(-j w_k m') for k < M, cos(pi m') for k = M, and e^(j w_(K - k) m') beyond, K = 2 M, w_k = 2 pi k / K; of
    what comes back, sample M - 1. The sum over k is a closed one: sin(pi t) / (K tan(pi t / K)), t = age of the
    sample - m'.
    """
    n, size = layer.lines, layer.buffer
    age = b.sub(size - 1.0, b.cast(b.iota((size,)), DType.FLOAT))
    t = b.sub(age, b.reshape(b.sub(m, float(layer.block)), (n, 1)))
    fixed = b.stop_gradient(t)
    if layer.integer:
        found = b.cast(b.less(b.abs(fixed), 0.5), DType.FLOAT)
    else:
        at = b.less(b.abs(fixed), 1e-6)  # there it is 1 - O(t^2), and neither sine nor tangent can say so
        apart = b.where(at, 1.0, t)
        near = b.sub(
            apart, b.mul(b.round(b.mul(b.stop_gradient(apart), 0.5)), 2.0)
        )  # sines of small angles are exact
        angle = b.mul(apart, pi / (2 * size))
        cotangent = b.div(b.emit("cos", angle), b.emit("sin", angle))
        found = b.where(at, 1.0, b.mul(b.mul(b.emit("sin", b.mul(near, pi)), cotangent), 1 / (2 * size)))
    return b.reshape(found, (n, 1, 1, size))


def recursion(b: Builder, layer: DelayNetwork, m: Value, state: State) -> Value:
    """A [n, n]."""
    turned = rotation(b, state["skew"], layer.lines)
    if layer.t60 is None:
        return turned
    slope = b.mul(b.emit("exp", b.neg(state["t60"])), -3 * log(10) / (layer.rate * layer.t60))
    return b.label(b.mul(turned, b.emit("exp", b.mul(m, slope))), "recursion")


def forward(b: Builder, layer: DelayNetwork, inputs: Sequence[Value], state: State, mode: Mode) -> Value:
    """Block by block."""
    (x,) = inputs
    batch, length = x.type.shape
    assert isinstance(length, int)
    n, size, block = layer.lines, layer.buffer, layer.block
    count = ceil(length / block)
    m = delays(b, layer, state)
    lines = taps(b, layer, m)
    mix = b.reshape(recursion(b, layer, m, state), (n, n, 1, 1))
    into, out = (b.reshape(state[part], shape) for part, shape in (("b", (n, 1, 1, 1)), ("c", (1, n, 1, 1))))
    padded = b.pad(x, (0, 0), (0, count * block - length))
    known = b.broadcast_to(b.constant(0.0), (batch, n, 1, size + block - 1))
    made: list[Value] = []
    for k in range(count):
        given = b.crop(padded, (0, k * block), (0, (count - 1 - k) * block))
        given = b.reshape(given, (batch, 1, 1, block))
        left = b.label(product(b, known, lines, groups=n), "left")
        enters = b.label(b.add(product(b, left, mix), product(b, given, into)), "enters")
        known = b.concat(b.crop(known, (0, 0, 0, block), (0, 0, 0, 0)), enters, axis=3)
        made.append(b.reshape(product(b, left, out), (batch, block)))
    heard = b.concat(*made, axis=1) if count > 1 else made[0]
    return b.add(b.crop(heard, (0, 0), (0, count * block - length)), b.mul(x, state["d"]))


def product(b: Builder, x: Value, weight: Value, groups: int = 1) -> Value:
    """A convolution along the last axis of [N, lines, 1, samples]."""
    return b.emit("conv2d", x, weight, stride=(1, 1), padding=(0, 0, 0, 0), dilation=(1, 1), groups=groups)


def traits(layer: DelayNetwork, facts: Facts | None) -> Traits:
    """It is linear."""
    return Traits(zero=True, homogeneous=True)


KINDS = (LayerKind("delay_network", DelayNetwork, inferred, forward, traits=traits),)
