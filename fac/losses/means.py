"""The mean over what counts."""

from __future__ import annotations

from fac.spec.layers import Loss
from fac.step.builder import Builder
from fac.step.ir import Value
from fac.step.ops.norms import nonzero


def mean(b: Builder, values: Value, kept: Value | None) -> Value:
    """Over all numbers; with `kept` [M], over those [M, C] of the rows that count, and 0 where none does."""
    if kept is None:
        return b.mean(values, range(len(values.type.shape)))
    column = b.reshape(kept, (*kept.type.shape, 1))
    return b.div(b.sum(b.mean(b.mul(values, column), (1,)), (0,)), nonzero(b, b.sum(kept, (0,))))


def counted(b: Builder, loss: Loss, output: Value, y: Value, kept: Value | None = None) -> Value | None:
    """How many rows that is over, if not all: the `weight` of a loss that is such a mean."""
    return None if kept is None else b.sum(kept, (0,))
