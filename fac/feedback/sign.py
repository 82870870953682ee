"""Sign-symmetric feedback: the signs of the forward weight, with other sizes.

Liao, Leibo and Poggio 2016 (arXiv 1510.05067); Xiao et al. 2019 (arXiv 1811.03567). The signs are those of the weight
at every step, and so they are transported; sizes are not.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from math import sqrt
from typing import Any, Literal

from pydantic import Field

from fac.program.kinds import Learned, MatrixKind, ShapeError, Signals, State, Unused
from fac.program.program import Ends, Program
from fac.program.tensors import Role, Start, Tensor
from fac.spec.feedback import Matrix
from fac.spec.init import Entries, Init, entries
from fac.step.builder import Builder
from fac.step.contraction import matrix_of
from fac.step.ir import Value

DRAWN = ("drawn", "redrawn")


class Sign(Matrix):
    """F(d) = (M * sign(W))^T d: W the forward weight of each step, M > 0 of its shape, and sign(0) = 0."""

    kind: Literal["sign"] = "sign"
    size: Literal["spread", "fans", "one", "drawn", "redrawn"] = Field(
        "spread",
        description="M: one number for all, the standard deviation of W now (`spread`), sqrt(2 / (fan_in + fan_out)) "
        "(`fans`) or 1 (`one`); or the absolute values of a matrix that is drawn once (`drawn`) or anew after every "
        "step (`redrawn`). `scale` is a factor on it.",
    )
    init: Init | Literal["like_forward"] = Field(
        "like_forward", description="The law of what is drawn. By default that of the forward weight."
    )


def tensors(matrix: Sign, ends: Ends) -> tuple[Tensor, ...]:
    """M before its absolute value is taken, where it is drawn."""
    if matrix.size not in DRAWN or ends.weight is None:
        return ()
    like = ends.weight
    return (
        replace(
            like,
            name=f"{ends.prefix}.M",
            init=law(matrix, like),
            like=None,
            role=Role.FEEDBACK,
            trainable=True,
        ),
    )


def law(matrix: Sign, like: Tensor) -> Start:
    """`like_forward` resolved to that of the forward weight."""
    return like.drawn if matrix.init == "like_forward" else matrix.init


def misfit(matrix: Sign, ends: Ends) -> ShapeError | None:
    """No weight whose signs to take, or a law by which nothing can be drawn anew."""
    if ends.weight is None:
        return ShapeError(
            "signs are those of a forward weight, and a `to` route has none",
            "use it on a `through` route, or use a `random` matrix here",
            "kind",
        )
    if matrix.size == "redrawn" and _entries(matrix, ends.weight) is None:
        named = law(matrix, ends.weight)
        return ShapeError(
            f"entries by the law `{named}` depend on one another, and cannot be drawn anew at every step",
            "use `init: {kind: normal, std: 0.1}` or a law that knows the fans, or `size: drawn`",
            "size" if matrix.init == "like_forward" else "init",
        )
    return None


def apply(b: Builder, matrix: Sign, state: State, signals: Signals) -> Value:
    """d F, with d [places, reads] and F [reads, writes]."""
    assert signals.way is not None
    assert signals.weight is not None
    assert signals.drawn is not None
    drawn = signals.way.flat(b, state["M"]) if matrix.size in DRAWN else None
    return signals.sent(b, signals.error, _signed(b, matrix, signals.weight, drawn, signals.drawn))


def learn(b: Builder, matrix: Sign, state: State, signals: Signals) -> Iterable[Learned]:
    """The next M, by the law of the first. Only its absolute values count, so it is drawn between 0 and 1 or normal."""
    if matrix.size != "redrawn":
        return
    assert signals.drawn is not None
    found, shape = _entries(matrix, signals.drawn), signals.drawn.shape
    assert found is not None
    if found.normal:
        drawn = b.mul(signals.stream.normal(b, shape), sqrt(found.variance))
    else:
        drawn = b.mul(signals.stream.uniform(b, shape), sqrt(3 * found.variance))
    yield Learned("M", drawn, gradient=False)


def whole(b: Builder, matrix: Sign, ends: Ends, state: State, weight: Value | None) -> Value:
    """F, as a matrix."""
    assert weight is not None
    assert ends.weight is not None
    like = ends.weight
    drawn = matrix_of(b, state["M"], like.reads_axis, like.groups) if matrix.size in DRAWN else None
    return _signed(b, matrix, weight, drawn, like)


def unused(matrix: Any, program: Program) -> Iterable[Unused]:
    """A law where nothing is drawn; of an operator, or of a rule that hands its own on."""
    if matrix.size not in DRAWN and matrix.init != "like_forward":
        yield Unused("init", f"with `size: {matrix.size}`", "remove it, or set `size: drawn`")


def _signed(b: Builder, matrix: Sign, weight: Value, drawn: Value | None, like: Tensor) -> Value:
    """F [reads, writes]."""
    signs = b.emit("sign", weight)
    if drawn is not None:
        return b.mul(signs, b.maximum(drawn, b.neg(drawn)))
    if matrix.size == "spread":
        apart = b.sub(weight, b.mean(weight, (0, 1)))
        return b.mul(signs, b.sqrt(b.mean(b.mul(apart, apart), (0, 1))))
    return b.mul(signs, sqrt(2 / (like.fan_in + like.fan_out))) if matrix.size == "fans" else signs


def _entries(matrix: Sign, like: Tensor) -> Entries | None:
    return entries(law(matrix, like), like.fan_in, like.fan_out)


SIGN = MatrixKind(
    "sign",
    Sign,
    tensors,
    apply,
    learn,
    misfit=misfit,
    signs=lambda matrix: matrix.size != "spread",
    matrix=whole,
    unused=unused,
)
