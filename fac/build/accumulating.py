"""Gradients of several batches, averaged before the update (`train.accumulate`).

With k batches to an update, the state keeps for each parameter w that moves the sum A of the gradients since the last
update, `w.accumulated`. Of the steps k - 1 only gather, A <- A + g; each k-th one moves w by (A + g) / k, and A <- 0.
So both are straight-line programs, and which one a step runs follows from its number alone.

What follows a batch and is no gradient is what it would be without: averages of `batch_norm`, and feedback matrices
that set themselves, as those that follow Oja's rule, move at every batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fac.build.trace import Trace
from fac.program.tensors import Role, Tensor
from fac.step.ir import Phase, Value
from fac.step.types import DType


def sums(tensors: Iterable[Tensor]) -> tuple[Tensor, ...]:
    """The sums of gradients that the state keeps, zero at the start."""
    return tuple(
        Tensor(f"{tensor.name}.accumulated", tensor.shape, "zeros", role=Role.OPTIMISER) for tensor in tensors
    )


def gathered(trace: Trace, moving: Mapping[str, Tensor], gradients: Mapping[str, Value]) -> dict[str, Value]:
    """A + g of each parameter, by the names of the gradients."""
    added: dict[str, Value] = {}
    for name, gradient in gradients.items():
        with trace.b.at(moving[name].owner, Phase.UPDATE):
            (before,) = trace.read(sums((moving[name],))).values()
            added[name] = trace.b.add(before, gradient)
    return added


def averaged(trace: Trace, moving: Mapping[str, Tensor], gradients: Mapping[str, Value]) -> dict[str, Value]:
    """(A + g) / k likewise."""
    share, made = 1 / trace.program.spec.train.accumulate, dict[str, Value]()
    for name, total in gathered(trace, moving, gradients).items():
        with trace.b.at(moving[name].owner, Phase.UPDATE):
            made[name] = trace.b.mul(total, share)
    return made


def emptied(trace: Trace, tensor: Tensor) -> Value:
    """Zeros in the shape of a parameter."""
    with trace.b.at(tensor.owner, Phase.UPDATE):
        return trace.b.broadcast_to(trace.b.constant(0.0), tensor.shape)


def updates(trace: Trace) -> Value:
    """The number of updates before the one of this step, where its own counts batches: an INT from 0 on."""
    b, every = trace.b, trace.program.spec.train.accumulate
    if every == 1:
        return trace.step
    made = b.div(b.add(b.cast(trace.step, DType.FLOAT), 1.0), float(every))
    return b.cast(b.round(b.sub(made, 1.0)), DType.INT)
