"""Softmax cross-entropy against class labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from fac.program.kinds import LossKind
from fac.spec.layers import Loss
from fac.step.builder import Builder
from fac.step.ir import Value

if TYPE_CHECKING:
    from numpy.typing import NDArray


class CrossEntropy(Loss):
    """-(1/N) sum_n log softmax(z_n)[y_n]; its error at the output is (softmax(z) - onehot(y)) / N."""

    kind: Literal["cross_entropy"] = "cross_entropy"


def forward(b: Builder, loss: CrossEntropy, output: Value, y: Value) -> Value:
    """A scalar from logits [N, C] and labels INT [N]."""
    return b.emit("cross_entropy", output, y)


def constant(y: NDArray[Any]) -> float:
    """-sum_c p_c log p_c: the entropy of the class frequencies p, in nats, which logits log p have."""
    import numpy as np

    p = np.unique(y, return_counts=True)[1] / len(y)
    return float(-(p * np.log(p)).sum())


CROSS_ENTROPY = LossKind("cross_entropy", CrossEntropy, True, forward, constant)
