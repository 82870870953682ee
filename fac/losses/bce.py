"""Binary cross-entropy with logits: each output is a yes or a no of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from fac.losses.means import counted, mean
from fac.program.kinds import LossKind, ShapeError
from fac.program.program import Shape
from fac.spec.layers import Loss
from fac.step.builder import Builder
from fac.step.ir import Value
from fac.step.ops.norms import nonzero

if TYPE_CHECKING:
    from numpy.typing import NDArray

Positive = Annotated[float, Field(gt=0)]


class Bce(Loss):
    """The mean of -(p y log s(z) + (1 - y) log(1 - s(z))) over samples and outputs, s the sigmoid, p `pos_weight`.

    Targets y lie in [0, 1]; z are logits: the sigmoid is in the loss. Without p its error at the output is
    (s(z) - y) / (N C). As an error source `targets` are that error at z = 0, which has its sign where y is 0 or 1.
    """

    kind: Literal["bce"] = "bce"
    pos_weight: Positive | tuple[Positive, ...] = Field(
        1.0, description="How much a yes counts beside a no: one number, or one for each output."
    )


def forward(b: Builder, loss: Bce, output: Value, y: Value, kept: Value | None = None) -> Value:
    """A scalar from logits and targets of one shape.

    -log(1 - s(z)) is softplus(z), and -log s(z) is softplus(-z), which differs by z: neither overflows.
    """
    if loss.pos_weight == 1:
        return mean(b, b.sub(b.emit("softplus", output), b.mul(output, y)), kept)
    p = loss.pos_weight
    yes = b.mul(b.mul(y, b.table(p) if isinstance(p, tuple) else p), b.emit("softplus", b.neg(output)))
    return mean(b, b.add(yes, b.mul(b.sub(1.0, y), b.emit("softplus", output))), kept)


def surrogate(b: Builder, loss: Bce, output: Value, y: Value, kept: Value | None = None) -> Value:
    """The error at z = 0: (1 - y - p y) / (2 N C), N the rows that count."""
    p, (rows, *others) = loss.pos_weight, output.type.shape
    own = b.mul(y, b.table([1 + each for each in p]) if isinstance(p, tuple) else 1 + p)
    error = b.mul(b.sub(1.0, own), 0.5)
    if kept is None:
        return b.div(error, b.count(output.type.shape))
    share = b.div(b.reshape(kept, (rows, 1)), nonzero(b, b.sum(kept, (0,))))
    return b.mul(error, b.div(share, b.count(tuple(others))))


def constant(loss: Bce, y: NDArray[Any], output: Shape) -> float:
    """That of s(z) = p m / (p m + 1 - m), m the mean of the targets over the samples."""
    return _rest(loss, y.mean(axis=0, dtype="float64"))


def least(loss: Bce, y: NDArray[Any], output: Shape) -> float:
    """That of s(z) = p y / (p y + 1 - y), which is 0 where all targets are 0 or 1."""
    return _rest(loss, y)


def _rest(loss: Bce, m: NDArray[Any]) -> float:
    """The mean over m of -(p m log s + (1 - m) log(1 - s)) at its minimum."""
    import numpy as np

    yes, no = np.asarray(loss.pos_weight) * m.astype(np.float64), 1.0 - m.astype(np.float64)
    shares = (np.divide(part, yes + no, where=part > 0, out=np.ones_like(yes)) for part in (yes, no))
    return float(-sum((part * np.log(s)).mean() for part, s in zip((yes, no), shares, strict=True)))


def misfit(loss: Bce, output: Shape) -> ShapeError | None:
    """Weights that are not one for each output."""
    if not isinstance(loss.pos_weight, tuple) or output == (len(loss.pos_weight),):
        return None
    if len(output) != 1:
        return ShapeError(
            f"`pos_weight` is a list, and the output of the network has shape {list(output)}",
            "write one number",
            "pos_weight",
        )
    return ShapeError(
        f"`pos_weight` has {len(loss.pos_weight)} numbers, and the network {output[0]} outputs",
        f"write {output[0]} numbers, or one for all",
        "pos_weight",
    )


BCE = LossKind(
    "bce",
    Bce,
    False,
    forward,
    constant,
    least=least,
    weight=counted,
    surrogate=surrogate,
    masks=True,
    misfit=misfit,
    within=(0.0, 1.0),
    inside="sigmoid",
)
