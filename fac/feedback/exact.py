"""Operators without state: the identity, and the transposed forward weight, which is backpropagation."""

from __future__ import annotations

from typing import Literal

from fac.program.kinds import MatrixKind, ShapeError, Signals, State
from fac.program.program import Ends
from fac.spec.feedback import Matrix
from fac.step.builder import Builder
from fac.step.ir import Value


class Identity(Matrix):
    """F(d) = d; both ends must have the same number of units."""

    kind: Literal["identity"] = "identity"


class Transpose(Matrix):
    """F(d) = W^T d: the exact error, through the forward weight."""

    kind: Literal["transpose"] = "transpose"


def unequal(matrix: Identity, ends: Ends) -> ShapeError | None:
    """An identity between different widths."""
    if ends.reads == ends.writes:
        return None
    grouped = ends.weight is not None and ends.weight.groups > 1  # a low rank would mix the groups
    return ShapeError(
        f"an identity reads {ends.reads} numbers but has to write {ends.writes}",
        f"use a `random`{'' if grouped else ' or `low_rank`'} matrix",
        "kind",
    )


def no_weight(matrix: Transpose, ends: Ends) -> ShapeError | None:
    """A transpose on a `to` route, which has no forward weight of its own."""
    if ends.weight is not None:
        return None
    return ShapeError(
        f"a transpose needs a weight of shape [{ends.reads}, {ends.writes}], and a `to` route has none",
        "use it on a `through` route, or use a `random` matrix here",
        "kind",
    )


def identity(b: Builder, matrix: Identity, state: State, signals: Signals) -> Value:
    """The error itself; past a matrix of ones where what receives it is not laid out in rows."""
    assert signals.way is not None
    error = signals.error
    if signals.way.x.type == error.type:
        return error
    reads = error.type.shape[1]
    assert isinstance(reads, int)
    return signals.sent(b, error, b.eye(reads))


def transpose(b: Builder, matrix: Transpose, state: State, signals: Signals) -> Value:
    """d W, with d [places, reads] and W [reads, writes]."""
    assert signals.weight is not None
    return signals.sent(b, signals.error, signals.weight)


def eye(b: Builder, matrix: Identity, ends: Ends, state: State, weight: Value | None) -> Value:
    """Ones on the diagonal."""
    return b.eye(ends.reads)


def own_weight(b: Builder, matrix: Transpose, ends: Ends, state: State, weight: Value | None) -> Value:
    """W."""
    assert weight is not None
    return weight


IDENTITY = MatrixKind("identity", Identity, lambda *_: (), identity, misfit=unequal, matrix=eye)
TRANSPOSE = MatrixKind(
    "transpose",
    Transpose,
    lambda *_: (),
    transpose,
    misfit=no_weight,
    matrix=own_weight,
)
