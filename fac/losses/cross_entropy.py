"""Softmax cross-entropy against class labels."""

from __future__ import annotations

from typing import Literal

from fac.program.kinds import LossKind
from fac.spec.layers import Loss
from fac.step.builder import Builder
from fac.step.ir import Value


class CrossEntropy(Loss):
    """-(1/N) sum_n log softmax(z_n)[y_n]; its error at the output is (softmax(z) - onehot(y)) / N."""

    kind: Literal["cross_entropy"] = "cross_entropy"


def forward(b: Builder, loss: CrossEntropy, output: Value, y: Value) -> Value:
    """A scalar from logits [N, C] and labels INT [N]."""
    return b.emit("cross_entropy", output, y)


CROSS_ENTROPY = LossKind("cross_entropy", CrossEntropy, True, forward)
