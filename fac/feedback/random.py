"""A full feedback matrix B: fixed in feedback alignment and direct feedback alignment, or learned."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Literal

from pydantic import Field

from fac.program.kinds import Learned, MatrixKind, ShapeError, Signals, State, Unused
from fac.program.program import Ends, Program
from fac.program.reading import needs_slope, needs_weight, ways
from fac.program.tensors import Role, Start, Tensor
from fac.spec.feedback import AnyLearning, Fixed, Matrix
from fac.spec.init import Density, Init, Mask, PerUnit
from fac.step.builder import Builder
from fac.step.contraction import matrix_of
from fac.step.ir import Value


class Random(Matrix):
    """F(d) = B d. B has the shape of the weight on a `through` route, and is [writes, reads] on a `to` route.

    So at a `conv2d` it is [out, in / groups, *kernel]. On a `to` route into a map [C, H, W], writes is C * H * W.
    """

    kind: Literal["random"] = "random"
    init: Init | Literal["like_forward"] | None = Field(
        None,
        description="Initial B. Default: `like_forward` on a `through` route, `launay` (N(0, 1) / sqrt(units * "
        "outputs)) on a `to` route.",
    )
    learn: AnyLearning = Field(Fixed(), description="How B changes.")
    mask: Mask | None = Field(
        None,
        description="Keep some entries of B, as sparse direct feedback does (arXiv 1903.02083). It saves no "
        "arithmetic: B is stored and multiplied whole.",
    )


def tensors(matrix: Random, ends: Ends) -> tuple[Tensor, ...]:
    """B."""
    b = Tensor(
        f"{ends.prefix}.B",
        (ends.writes, ends.reads),
        law(matrix, ends),
        ends.writes,
        ends.reads,
        Role.FEEDBACK,
        mask=matrix.mask,
        reads_axis=1,
    )
    like = ends.weight
    if like is None:
        return (b,)
    # All that makes one draw as large as another: fans count channels and strides, which a matrix does not show.
    return (replace(like, name=b.name, init=b.init, role=b.role, trainable=True, mask=b.mask),)


def law(matrix: Random, ends: Ends) -> Start:
    """The initial law of B, `like_forward` resolved to that of the forward weight."""
    if matrix.init is not None and matrix.init != "like_forward":
        return matrix.init
    return "launay" if ends.weight is None else ends.weight.init


def misfit(matrix: Random, ends: Ends) -> ShapeError | None:
    """`like_forward` without a forward weight, a rule that cannot teach a full matrix, or a mask that does not fit."""
    if matrix.init == "like_forward" and ends.weight is None:
        return ShapeError(
            "a `to` route has no forward weight to be drawn like", "use `launay` or `normal`", "init"
        )
    if not isinstance(matrix.learn, Fixed) and ways(matrix.learn).full is None:
        return ShapeError(
            f"`{ways(matrix.learn).name}` cannot teach a full matrix", "use `kolen_pollack`", "learn"
        )
    if needs_weight(matrix.learn, "B") and ends.weight is None:
        return ShapeError(
            "`learn` needs the forward weight, and a `to` route has none",
            "use it on a `through` route",
            "learn",
        )
    if needs_slope(matrix.learn, "B") and ends.weight is not None:
        return ShapeError(
            "`learn` goes by the slope of the loss at a site, and a `through` route has none",
            "use it on a `to` route",
            "learn",
        )
    if matrix.mask is not None and not isinstance(matrix.learn, Fixed):
        return ShapeError(
            "a masked matrix cannot learn: a step would fill its zeros", "remove `mask` or `learn`", "mask"
        )
    most, of = ends.reads, f"{ends.reads} components"
    if ends.weight is not None and ends.weight.groups > 1:
        most //= ends.weight.groups
        of += f" in {ends.weight.groups} groups"
    if isinstance(matrix.mask, PerUnit) and matrix.mask.per_unit > most:
        return ShapeError(
            f"`per_unit: {matrix.mask.per_unit}` of an error of {of}", f"use at most {most}", "mask"
        )
    return None


def apply(b: Builder, matrix: Random, state: State, signals: Signals) -> Value:
    """d F on a `through` route, e B^T on a `to` route."""
    return signals.sent(b, signals.error, _facing(b, state["B"], signals))


def learn(b: Builder, matrix: Random, state: State, signals: Signals) -> Iterable[Learned]:
    """What `learn:` says of B, which the rule sees as [reads, writes]."""
    rule = ways(matrix.learn).full
    if rule is None:
        return
    found = rule(b, matrix.learn, {**state, "B": _facing(b, state["B"], signals)}, signals)
    if signals.weight is None:
        yield replace(found, value=b.transpose(found.value, (1, 0)))
    else:
        assert signals.way is not None
        yield replace(found, value=signals.way.kept(b, found.value, state["B"].type.shape))


def _facing(b: Builder, stored: Value, signals: Signals) -> Value:
    """B as [reads, writes]."""
    if signals.weight is None:
        return b.transpose(stored, (1, 0))
    assert signals.way is not None
    return signals.way.flat(b, stored)


def whole(b: Builder, matrix: Random, ends: Ends, state: State, weight: Value | None) -> Value:
    """B, as a matrix."""
    return (
        state["B"]
        if ends.weight is None
        else matrix_of(b, state["B"], ends.weight.reads_axis, ends.weight.groups)
    )


def unused(matrix: Any, program: Program) -> Iterable[Unused]:
    """A mask that keeps all; of a matrix, or of a rule that hands its own on."""
    if isinstance(matrix.mask, Density) and matrix.mask.density == 1:
        yield Unused("mask", "when it keeps every entry", "remove it")


RANDOM = MatrixKind(
    "random",
    Random,
    tensors,
    apply,
    learn,
    misfit=misfit,
    learning=lambda matrix: {"B": matrix.learn},
    matrix=whole,
    unused=unused,
)
