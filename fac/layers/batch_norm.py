"""Normalisation over the samples of a batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field

from fac.layers.elementwise import infer as one_input
from fac.program.kinds import (
    Counterpart,
    Facts,
    LayerKind,
    Made,
    Mode,
    NoCounterpartError,
    Seen,
    State,
    Unused,
)
from fac.program.program import Program, Shape
from fac.program.tensors import Role, Tensor
from fac.program.traits import Traits
from fac.spec.base import FOLLOWS
from fac.spec.layers import ParametricLayer
from fac.step.builder import Builder
from fac.step.ir import Value
from fac.step.types import Dim

Eps = Annotated[float, Field(gt=0)]


class BatchNorm(ParametricLayer):
    """Each channel, the first axis of a sample, brought to mean 0 and variance 1 over a batch, then weight z + bias.

    Training takes the moments of the batch, over all places of a map too, and moves the averages, `running_mean` and
    `running_var` (of the unbiased variance), by which inference normalises. With `trainable: false` training normalises
    by these too, and they stay where they are: 0 and 1, so that nothing is normalised, unless weights are given. A rule
    that freezes the weight and the bias, as `shallow` does, leaves the moments of the batch.
    """

    kind: Literal["batch_norm"] = "batch_norm"
    other_kinds: ClassVar = {"bn": "", "batchnormalization": ""}
    other_keys: ClassVar = {
        "num_features": FOLLOWS,
        "epsilon": "eps",
        "track_running_stats": "leave it out: the averages are always kept",
    }
    eps: Eps = Field(
        1e-5, description="Added to the variance, so that a channel that never changes divides by no 0."
    )
    momentum: Annotated[float, Field(gt=0, le=1)] = Field(
        0.1, description="Share of the moments of the batch in the averages after a step."
    )
    affine: bool = Field(
        True, description="Whether a weight, 1 at the start, and a bias, 0, are learned per channel."
    )
    moments: Literal["batch", "averages"] | None = Field(
        None,
        description="By which moments training normalises: those of the batch, with averages that follow, or the "
        "averages, which then stay. Default: `batch`, and `averages` with `trainable: false`.",
    )

    @property
    def still(self) -> bool:
        """Whether training normalises by the averages."""
        return self.moments == "averages" if self.moments else not self.trainable

    def frozen(self) -> Self:
        """By the same moments: features that nothing trains have to be normalised all the more."""
        moments = "averages" if self.still else "batch"
        return self.model_copy(update={"trainable": False, "moments": moments})


def infer(layer: BatchNorm, name: str, inputs: Sequence[Shape]) -> Facts:
    """[C, ...] -> [C, ...]."""
    (channels, *_) = shape = one_input(layer, name, inputs).shape
    learned = learned_per_channel(name, channels) if layer.affine else ()
    averages = (
        Tensor(f"{name}.running_mean", (channels,), "zeros", role=Role.STATISTIC, trainable=False),
        Tensor(f"{name}.running_var", (channels,), "ones", role=Role.STATISTIC, trainable=False),
    )
    return Facts(shape, (*learned, *averages), channels=0)


def learned_per_channel(name: str, channels: int) -> tuple[Tensor, Tensor]:
    """A weight of ones and a bias of zeros."""
    return Tensor(f"{name}.weight", (channels,), "ones"), Tensor(f"{name}.bias", (channels,), "zeros")


def forward(b: Builder, layer: BatchNorm, inputs: Sequence[Value], state: State, mode: Mode) -> Value | Made:
    """By the moments of the batch and on with the averages in training, else by the averages."""
    (x,) = inputs
    _, channels, *places = x.type.shape
    beside = (channels, *(1 for _ in places))
    if not mode.training:
        rate = b.div(state.get("weight", 1.0), b.sqrt(b.add(state["running_var"], layer.eps)))
        z = b.mul(b.sub(x, b.reshape(state["running_mean"], beside)), b.reshape(rate, beside))
        return b.add(z, b.reshape(state["bias"], beside)) if layer.affine else z
    axes = (0, *range(2, len(x.type.shape)))
    scale, shift = affine(b, {part: b.reshape(value, beside) for part, value in state.items()}, beside)
    y = b.emit("normalize", x, scale, shift, axes=axes, eps=layer.eps)
    mean, variance = b.label(b.mean(x, axes), "mean"), b.label(b.variance(x, axes), "variance")
    unbiasing, share, kept = _shares(b, b.count(tuple(x.type.shape[axis] for axis in axes)), layer.momentum)
    unbiased = b.mul(variance, unbiasing)
    by_mean = b.constant(layer.momentum)
    return Made(
        y,
        {
            "running_mean": _average(b, state["running_mean"], mean, by_mean, b.sub(1.0, by_mean)),
            "running_var": _average(b, state["running_var"], unbiased, share, kept),
        },
    )


def _shares(b: Builder, values: Value, momentum: float) -> tuple[Value, Value, Value]:
    """What makes the variance of so many values unbiased, its share in the average, and what is kept of that.

    Their names are of no layer: norms of equally many values share them.
    """
    b.named(values, "norm_values")
    others = b.named(b.sub(values, 1.0), "norm_others")
    unbiasing = b.div(values, b.named(b.maximum(others, 1.0), "norm_divisor"))
    # Of one value there is no variance: it leaves the average where it is.
    share = b.mul(b.named(b.minimum(others, 1.0), "norm_varies"), momentum)
    named = b.named(unbiasing, "norm_unbiasing"), b.named(share, "norm_share")
    return *named, b.named(b.sub(1.0, share), "norm_kept")


def affine(b: Builder, state: State, shape: tuple[Dim, ...]) -> tuple[Value, Value]:
    """The weight and the bias that a normalisation ends with; 1 and 0 where it has none."""
    return (
        state.get("weight") or b.broadcast_to(b.constant(1.0), shape),
        state.get("bias") or b.broadcast_to(b.constant(0.0), shape),
    )


def _average(b: Builder, before: Value, now: Value, share: Value, kept: Value) -> Value:
    return b.add(b.mul(before, kept), b.mul(now, share))


def traits(layer: BatchNorm, facts: Facts | None) -> Traits:
    """Means over the places of a channel, of all samples."""
    centred = None if facts is None else prod(facts.shape[1:])
    averages = 1 / (1 + layer.eps)  # that of variances starts at 1
    return Traits(zero=True, unit=layer.eps, centred=centred, channels=True, averages=averages)


def unused(layer: BatchNorm, program: Program) -> Iterator[Unused]:
    """How fast averages follow that stay where they are; and all of it, where these are those of the start."""
    if layer.still:
        what = "beyond its weight and bias" if layer.affine and layer.trainable else "on what it reads"
        why = "its averages stay where they start, 0 and 1, unless the state is given weights"
        help = "write `moments: batch`, or use `layer_norm` or `group_norm`"
        nodes = program.standing.get(id(layer), ())
        averages = tuple(t.name for n in nodes for t in n.state if t.role is Role.STATISTIC)
        yield Unused("kind", f"{what}: {why}", help, supposes=averages)
        yield Unused("momentum", "on averages that stay", "remove it")
    if layer.moments and not layer.affine:
        yield Unused("trainable", "beside `affine: false`, which leaves nothing to train", "remove it")


def from_torch(seen: Seen) -> BatchNorm:
    """Of `torch.nn.functional.batch_norm`, traced in training."""
    momentum = seen.args["momentum"]
    if "running_mean" not in seen.shapes:
        raise NoCounterpartError("averages that are kept: `track_running_stats=True`")
    if not isinstance(momentum, float) or not momentum:
        raise NoCounterpartError("averages with a `momentum`, which is a number above 0")
    affine = "weight" in seen.shapes
    moments: Literal["averages"] | None = None if seen.args["training"] else "averages"
    return BatchNorm(eps=seen.args["eps"], momentum=momentum, affine=affine, moments=moments)


ARRAYS = "weight", "bias", "running_mean", "running_var"
BATCH_NORM = LayerKind(
    "batch_norm",
    BatchNorm,
    infer,
    forward,
    traits=traits,
    unused=unused,
    counterparts=(Counterpart("aten.batch_norm", from_torch, "sample", ARRAYS),),
)
