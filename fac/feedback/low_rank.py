"""Low-rank feedback F = Q P; with learned factors that of Hanut and Kadmon 2025 (arXiv 2502.20580)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from math import sqrt
from typing import Annotated, Literal

from pydantic import Field

from fac.feedback.kolen_pollack import KolenPollack
from fac.feedback.oja import Oja, projected
from fac.program.kinds import Learned, MatrixKind, ShapeError, Signals, State, Unused
from fac.program.program import Ends, Program
from fac.program.reading import needs_slope, needs_weight, ways
from fac.program.tensors import Role, SvdFactor, Tensor
from fac.spec.feedback import AnyLearning, Matrix
from fac.spec.init import Init, Normal
from fac.spec.ranks import Rank, auto_of, highest
from fac.step.builder import Builder
from fac.step.ir import Phase, Value

ERROR_FEEDBACK = (
    "Add to every error of a step what P lost of those of the step before, e = mean over the rows of d - P^T P d, kept "
    "as `lost` (reads). With `read: {rule: oja}`: P turns until it reads what has gathered there. A mean, because "
    "batches are shuffled: what was lost of one sample would meet another. Rows without an error, as padding, get none."
)
LOST = "lost"


class LowRank(Matrix):
    """F(d) = Q (P d): P [rank, reads] reads the error, Q [writes, rank] writes it.

    The two thin products stay apart: forming Q P would throw away the saving that the rank buys. Past the kernel of a
    `conv2d` they act at each place of the map: P [rank, out], Q [in * rows * columns of the kernel, rank]. On a `to`
    route into a map [C, H, W], Q is [C * H * W, rank].
    """

    kind: Literal["low_rank"] = "low_rank"
    rank: Rank = Field(
        description="Rows of P and columns of Q; `auto`, or by what it goes, for a rank that a training measures."
    )
    read: AnyLearning = Field(Oja(), description="How P changes.")
    write: AnyLearning = Field(KolenPollack(), description="How Q changes.")
    init: Literal["random", "svd"] = Field(
        "random",
        description="`random`: P with orthonormal rows, Q normal with the spread that the forward weight has by "
        "default. `svd`: the truncated singular value decomposition of the forward weight.",
    )
    init_P: Init | None = Field(None, description="Initial P, if not orthonormal.")
    init_Q: Init | None = Field(None, description="Initial Q, if not as `init` says.")
    refresh: Annotated[int, Field(gt=0)] | None = Field(
        None, description="Set P and Q anew from the singular value decomposition every so many steps."
    )
    error_feedback: bool = Field(False, description=ERROR_FEEDBACK)


def tensors(matrix: LowRank, ends: Ends) -> tuple[Tensor, ...]:
    """P and Q."""
    names, rank = (f"{ends.prefix}.P", f"{ends.prefix}.Q"), rank_of(matrix, ends)
    shapes = (rank, ends.reads), (ends.writes, rank)
    if matrix.init == "svd":
        assert ends.weight is not None
        svd = [SvdFactor(ends.weight, rank, side) for side in "PQ"]
        return tuple(Tensor(n, s, f, role=Role.FEEDBACK) for n, s, f in zip(names, shapes, svd, strict=True))
    lost = Tensor(f"{ends.prefix}.{LOST}", (ends.reads,), "zeros", role=Role.FEEDBACK, trainable=False)
    p = Tensor(names[0], shapes[0], matrix.init_P or "orthogonal", ends.reads, rank, Role.FEEDBACK)
    q = Tensor(names[1], shapes[1], matrix.init_Q or spread(rank, ends), rank, ends.writes, Role.FEEDBACK)
    return (p, q, lost) if matrix.error_feedback else (p, q)


def rank_of(matrix: LowRank, ends: Ends) -> int:
    """The rank, or of one that is still to be measured the highest that it can come to."""
    return highest(matrix.rank, ends.most)


def spread(rank: int, ends: Ends) -> Normal:
    """N(0, std^2) for Q.

    On a `through` route std is that of a forward weight by default, sqrt(2 / fan_in). On a `to` route it is
    1 / sqrt(writes * rank), so that Q P has the Frobenius norm of a `launay` matrix.
    """
    return Normal(std=1 / sqrt(ends.writes * rank) if ends.weight is None else sqrt(2 / ends.weight.fan_in))


def misfit(matrix: LowRank, ends: Ends) -> ShapeError | None:
    """Something that needs the forward weight on a route that has none, or a rule that cannot teach its factor."""
    if ends.weight is not None and ends.weight.groups > 1:
        return ShapeError(
            f"a low rank over the {ends.reads} channels would mix the {ends.weight.groups} groups of the layer, "
            "which do not mix",
            "use `{kind: random}`, which keeps them apart",
            "kind",
        )
    needy = [("init", matrix.init == "svd"), ("refresh", matrix.refresh is not None)]
    needy += [
        (key, needs_weight(rule, part))
        for key, rule, part in (("read", matrix.read, "P"), ("write", matrix.write, "Q"))
    ]
    for field, needs in needy:
        if needs and ends.weight is None:
            return ShapeError(
                f"`{field}` needs the forward weight, and a `to` route has none",
                "use it on a `through` route",
                field,
            )
    if needs_slope(matrix.write, "Q") and ends.weight is not None:
        return ShapeError(
            "`write` goes by the slope of the loss at a site, and a `through` route has none",
            "use it on a `to` route",
            "write",
        )
    if ways(matrix.read).name != "fixed" and ways(matrix.read).read is None:
        return ShapeError(f"`{ways(matrix.read).name}` cannot teach P", "use `oja` or `local`", "read")
    if ways(matrix.write).name != "fixed" and ways(matrix.write).write is None:
        return ShapeError(f"`{ways(matrix.write).name}` cannot teach Q", "use `kolen_pollack`", "write")
    if matrix.error_feedback and not isinstance(matrix.read, Oja):
        return ShapeError(
            f"`{ways(matrix.read).name}` does not turn P towards what it lost, for which that is added to the next "
            "error",
            "use `read: {rule: oja}`, or remove `error_feedback`",
            "error_feedback",
        )
    if matrix.error_feedback and (matrix.init == "svd" or matrix.init_P not in (None, "orthogonal")):
        return ShapeError(
            "what P loses is d - P^T P d for rows of P that are orthonormal, and these are not at the start",
            "start with orthonormal rows, as is the default, or remove `error_feedback`",
            "error_feedback",
        )
    return None


def unused(matrix: LowRank, program: Program) -> Iterable[Unused]:
    """A law of one factor beside `init: svd`, which sets both."""
    if matrix.init == "svd":
        for field in ("init_P", "init_Q"):
            yield Unused(field, "beside `init: svd`", "remove one of the two")


def fed_back(b: Builder, state: State, signals: Signals) -> Signals:
    """The same, of errors to each of which is added what was lost before; but to those of rows that have none."""
    if LOST not in state:
        return signals
    d = signals.error
    with b.at(b.node, Phase.LEARN):  # the way of the error is d alone
        live = b.emit("sign", b.sum(b.maximum(d, b.neg(d)), (1,), keep=True))
        kept = b.label(b.mul(live, state[LOST]), f"feedback.{LOST}.added")
    return replace(signals, error=b.add(d, kept), labelled=None)


def apply(b: Builder, matrix: LowRank, state: State, signals: Signals) -> Value:
    """U = s Q^T with s = d P^T."""
    signals = fed_back(b, state, signals)
    return signals.sent(b, projected(b, signals, state), b.transpose(state["Q"], (1, 0)))


def learn(b: Builder, matrix: LowRank, state: State, signals: Signals) -> Iterable[Learned]:
    """What `read` says of P and `write` of Q."""
    read, write = ways(matrix.read).read, ways(matrix.write).write
    signals = fed_back(b, state, signals)
    if read is not None:
        yield read(b, matrix.read, state, signals)
    if write is not None:
        yield write(b, matrix.write, state, signals)
    if LOST in state:
        seen = b.matmul(signals.read(b, state["P"]), state["P"])
        yield Learned(LOST, b.mean(b.sub(signals.error, seen), (0,)), gradient=False)


def whole(b: Builder, matrix: LowRank, ends: Ends, state: State, weight: Value | None) -> Value:
    """Q P, transposed where it stands for a weight."""
    if weight is None:
        return b.matmul(state["Q"], state["P"])
    return b.matmul(state["P"], state["Q"], ta=True, tb=True)


LOW_RANK = MatrixKind(
    "low_rank",
    LowRank,
    tensors,
    apply,
    learn,
    misfit=misfit,
    rank=rank_of,
    auto=lambda matrix: auto_of(matrix.rank),
    refresh=lambda matrix: matrix.refresh,
    learning=lambda matrix: {"P": matrix.read, "Q": matrix.write},
    matrix=whole,
    unused=unused,
)
