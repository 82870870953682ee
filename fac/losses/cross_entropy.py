"""Softmax cross-entropy against class labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, field_validator

from fac.losses import class_weights
from fac.losses.class_weights import Weights
from fac.program.kinds import LossKind, ShapeError
from fac.program.kinds.solve import EPS
from fac.program.program import Shape
from fac.spec.layers import Loss
from fac.step.builder import Builder
from fac.step.ir import Value
from fac.step.labelled import Labelled
from fac.step.ops.losses import many, one_hot
from fac.step.ops.norms import nonzero
from fac.step.ops.softmax import logits_of
from fac.step.types import DType

if TYPE_CHECKING:
    from numpy.typing import NDArray


class CrossEntropy(Loss):
    """-(1/N) sum_n log softmax(z_n)[y_n]; its error at the output is (softmax(z) - onehot(y)) / N.

    n goes over all samples, or over all places of all samples where the output has several: tokens [T, C] have labels
    [T]. With label smoothing a and class weights w, onehot(y) becomes q = w ((1 - a) onehot(y) + a / C), and the loss
    -sum_n <q_n, log softmax(z_n)> / sum_n w[y_n], as PyTorch has it. Places whose label is `ignore_index` are left out
    of both sums. Where the divisor is 0, nothing is divided by it: of a batch of which nothing counts, loss and error
    are 0. As an error source `targets` are -w[y_n] onehot(y_n) over the same divisor (arXiv 1909.01311): the part of
    the error that is known without an output, smoothing left out.
    """

    kind: Literal["cross_entropy"] = "cross_entropy"
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="What share of each label is spread evenly over all classes."
    )
    weight: Weights = Field(
        None,
        description="How much each class counts: a number for each; `balanced`, n / (C n_c) for a class with n_c of "
        "the n training labels; or numbers by names of classes, `{cat: 2}`, where others count 1. "
        "Default: all equally.",
    )
    ignore_index: int | None = Field(
        None, description="The label of what does not count, such as padding: a class, or none, as -100 is."
    )

    @field_validator("weight", mode="before")
    @classmethod
    def _a_list(cls, weight: Any) -> Any:
        if isinstance(weight, int | float):
            raise ValueError(
                "`weight` has a number for each class, `[1, 2]` or `{cat: 2}`, or is `balanced`; the factor on one of "
                "several losses is `scale`"
            )
        return weight


def forward(b: Builder, loss: CrossEntropy, output: Value, y: Value, kept: Value | None = None) -> Value:
    """A scalar from logits [N, C] and labels INT [N]."""
    if not loss.label_smoothing and loss.weight is None and kept is None:
        return b.emit("cross_entropy", output, y)
    targets = smoothed(b, loss, output, y)
    if loss.weight is not None:
        targets = b.mul(targets, _table(b, loss, output))
    if kept is not None:
        targets = b.mul(targets, b.reshape(kept, (*kept.type.shape, 1)))
    total = b.sum(b.mul(targets, b.emit("log_softmax", output)), (0, 1))
    counted = weight(b, loss, output, y, kept)
    return b.neg(b.div(total, many(b, output) if counted is None else nonzero(b, counted)))


def smoothed(b: Builder, loss: CrossEntropy, output: Value, y: Value) -> Value:
    """(1 - a) onehot(y) + a / C, like the output [N, C]."""
    targets, smooth, classes = one_hot(b, output, y), loss.label_smoothing, output.type.shape[-1]
    assert isinstance(classes, int)
    return b.add(b.mul(targets, 1 - smooth), smooth / classes) if smooth else targets


def weight(
    b: Builder, loss: CrossEntropy, output: Value, y: Value, kept: Value | None = None
) -> Value | None:
    """sum_n w[y_n], of those that are kept."""
    if loss.weight is None:
        return None if kept is None else b.sum(kept, (0,))
    counts = b.mul(one_hot(b, output, y), _table(b, loss, output))
    if kept is not None:
        counts = b.mul(counts, b.reshape(kept, (*kept.type.shape, 1)))
    return b.sum(counts, (0, 1))


def _table(b: Builder, loss: CrossEntropy, output: Value) -> Value:
    """The class weights [C]."""
    classes = output.type.shape[-1]
    assert isinstance(classes, int)
    return b.table(class_weights.numbers(loss.weight, classes))


def surrogate(b: Builder, loss: CrossEntropy, output: Value, y: Value, kept: Value | None = None) -> Labelled:
    """-w[y_n] onehot(y_n) / sum_n w[y_n], of those that are kept."""
    (rows, classes), counted = output.type.shape, weight(b, loss, output, y, kept)
    assert isinstance(classes, int)
    if kept is not None:
        y = b.mul(y, b.cast(kept, DType.INT))  # what is ignored need not be a class
    number = b.neg(b.div(1.0, many(b, output) if counted is None else nonzero(b, counted)))
    if loss.weight is not None:
        number = b.mul(b.emit("gather", b.reshape(_table(b, loss, output), (classes, 1)), y), number)
    if kept is not None:
        number = b.mul(b.reshape(kept, (rows, 1)), number)
    return Labelled(y, number, classes)


def constant(loss: CrossEntropy, y: NDArray[Any], output: Shape) -> float:
    """-<q, log(q / |q|_1)> / sum_n w[y_n], q the sum of all q_n: logits log q are the best that are one for all.

    Without weights and smoothing, the entropy of the class frequencies, in nats.
    """
    import numpy as np

    count, smooth, weights = _counted(loss, y, output)
    q = weights * ((1 - smooth) * count + smooth * len(y) / len(count))
    return _entropy(q) / float(np.dot(weights, count) or 1)


def least(loss: CrossEntropy, y: NDArray[Any], output: Shape) -> float:
    """The same of each sample alone, whose label smoothing has spread."""
    import numpy as np

    count, smooth, weights = _counted(loss, y, output)
    if not smooth:
        return 0.0
    each = weights * ((1 - smooth) * np.eye(len(count)) + smooth / len(count))
    rest = sum(float(n) * _entropy(q) for n, q in zip(count, each, strict=True))
    return rest / float(np.dot(weights, count) or 1)


def _counted(loss: CrossEntropy, y: NDArray[Any], output: Shape) -> tuple[NDArray[Any], float, NDArray[Any]]:
    """How many samples each class has, the smoothing, and the weights."""
    import numpy as np

    count = np.bincount(y, minlength=output[-1]).astype(np.float64)
    return count, loss.label_smoothing, np.array(class_weights.numbers(loss.weight, len(count)))


def _entropy(q: NDArray[Any]) -> float:
    """-<q, log(q / |q|_1)>."""
    import numpy as np

    some = q[q > 0]
    return float(-(some * np.log(some / some.sum())).sum())


def aim(loss: CrossEntropy) -> Callable[[Builder, Value, Value], Value]:
    """The logits that lie where the output does and have the shares q, see `logits_of`.

    Raises:
        ShapeError: not all samples or classes count alike.
    """
    for field in ("weight", "ignore_index"):
        if getattr(loss, field) is not None:
            raise ShapeError(
                f"`{field}` has no effect: least squares count all samples alike", "remove it", field
            )

    def asked(b: Builder, output: Value, y: Value) -> Value:
        return logits_of(b, smoothed(b, loss, output, y), output, 1, EPS)

    return asked


CROSS_ENTROPY = LossKind(
    "cross_entropy",
    CrossEntropy,
    True,
    forward,
    constant,
    least=least,
    weight=weight,
    surrogate=surrogate,
    misfit=lambda loss, output: class_weights.misfit(loss.weight, output[-1]),
    unsettled=lambda loss: class_weights.unsettled(loss.weight),
    masks=True,
    ignored=lambda loss: loss.ignore_index,
    inside="softmax",
    aim=aim,
)
