"""Fully connected layers: of a vector, or of each of many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from fac.layers.adapters import START, lora
from fac.layers.bias import unused
from fac.program.kinds import (
    LAST,
    Back,
    Counterpart,
    Facts,
    Inverse,
    LayerKind,
    Mode,
    Seen,
    ShapeError,
    State,
)
from fac.program.program import Shape
from fac.program.tensors import Tensor
from fac.program.traits import Traits
from fac.spec.base import ACTIVATION, FOLLOWS
from fac.spec.init import Init
from fac.spec.layers import WeightedLayer
from fac.spec.train import Positive
from fac.step.builder import Builder
from fac.step.ir import Value
from fac.step.types import flat

BILINEAR = "write a `linear` of each of the two, and a `multiply` that reads both"


class Linear(WeightedLayer):
    """A = H W^T + b, with H [N, ..., in], W [out, in], b [out].

    It acts on the last axis alone: of tokens [T, in] it makes [T, out], token by token. A map [C, H, W] has its
    channels first: `flatten` it, or `permute` them to the end.
    """

    kind: Literal["linear"] = "linear"
    other_kinds: ClassVar = {"dense": "", "fc": "", "fullyconnected": "", "bilinear": BILINEAR}
    other_keys: ClassVar = {
        "units": "out",
        "out_features": "out",
        "in_features": FOLLOWS,
        "use_bias": "bias",
        "activation": ACTIVATION,
    }
    out: Positive = Field(description="Number of units.")
    bias: bool = Field(True, description="Whether a bias, zero at the start, is added.")
    init: Init = Field(
        "kaiming_uniform", description="Initial weights; the default is U(-b, b), b = sqrt(6/in)."
    )


def infer(layer: Linear, name: str, inputs: Sequence[Shape]) -> Facts:
    """[..., in] -> [..., out]."""
    if len(inputs) != 1:
        got = " and ".join(str(list(shape)) for shape in inputs)
        raise ShapeError(
            f"`{name}` is linear and reads one layer, not {got}", "join the inputs with an `add` layer first"
        )
    if not inputs[0]:
        raise ShapeError(f"`{name}` is linear and reads a vector, not []", "put a `flatten` layer before it")
    *places, k = inputs[0]
    weight = Tensor(f"{name}.weight", (layer.out, k), layer.init, fan_in=k, fan_out=layer.out)
    bias = Tensor(f"{name}.bias", (layer.out,), "zeros", fan_in=k, fan_out=layer.out)
    return Facts((*places, layer.out), (weight, bias) if layer.bias else (weight,), weight, channels=LAST)


def forward(b: Builder, layer: Linear, inputs: Sequence[Value], state: State, mode: Mode) -> Value:
    """H W^T + b, one product for all samples and places."""
    (x,) = inputs
    *places, _ = x.type.shape
    product = b.matmul(rows(b, x), state["weight"], tb=True)
    y = b.add(product, state["bias"]) if layer.bias else product
    return b.reshape(y, (*places, layer.out))


def rows(b: Builder, x: Value) -> Value:
    """What the weight multiplies: the last axis, for all samples and places."""
    *places, k = x.type.shape
    return b.reshape(x, (flat(tuple(places)), k))


def inverse(layer: Linear, inputs: Sequence[Shape]) -> Inverse:
    """(T - b) (W^+)^T: of all inputs that come nearest to T the smallest."""

    def back(b: Builder, targets: Value, seen: Back) -> Value:
        *places, m = targets.type.shape
        t = b.sub(targets, seen.state["bias"]) if layer.bias else targets
        assert seen.inverse is not None
        wanted = b.matmul(b.reshape(t, (flat(tuple(places)), m)), seen.inverse)
        return b.reshape(wanted, seen.input.type.shape)

    return Inverse(back, rows=rows)


def from_torch(seen: Seen) -> Linear:
    """Of `torch.nn.functional.linear`."""
    return Linear(out=seen.shapes["weight"][0], bias="bias" in seen.shapes)


TRAITS = Traits(zero=True, homogeneous=True, affine=True)
LINEAR = LayerKind(
    "linear",
    Linear,
    infer,
    forward,
    traits=lambda *_: TRAITS,
    inverse=inverse,
    ties=frozenset({"embedding"}),
    unused=unused,
    lora=lora(
        lambda layer, rank: Linear(out=rank, bias=False, init=START),
        lambda layer: Linear(out=layer.out, bias=False, init="zeros"),
    ),
    counterparts=(Counterpart("aten.linear", from_torch, "last", ("weight", "bias")),),
)
