"""A full feedback matrix B: fixed in feedback alignment and direct feedback alignment, or learned.

What may be said of it in any combination that has a meaning: which entries are kept (`mask`), that its rows are those
of one matrix for several routes (`shared`), how it changes (`learn`), a factor (`scale`). A low rank in front of it is
a subspace, `from: NAME`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from math import sqrt
from typing import Any, Literal

from pydantic import Field

from fac.feedback import sparse
from fac.program.kinds import Learned, MatrixKind, ShapeError, Signals, State, Unused
from fac.program.program import Ends, Program
from fac.program.reading import makes_gradient, needs_slope, needs_weight, ways
from fac.program.tensors import Role, Tensor
from fac.spec.feedback import SHARED, AnyLearning, Fixed, Matrix
from fac.spec.init import Density, Init, Mask, PerUnit, entries
from fac.step.builder import Builder
from fac.step.contraction import matrix_of
from fac.step.ir import Value
from fac.step.types import DType


class Random(Matrix):
    """F(d) = B d. B has the shape of the weight on a `through` route, and is [writes, reads] on a `to` route.

    So at a `conv2d` it is [out, in / groups, *kernel]. On a `to` route into a map [C, H, W], writes is C * H * W. With
    `mask: {per_unit: s}` and s up to 8 a `to` route has the entries B [writes, s] and their `columns` [writes, s].
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
        description="Keep some entries of B, as sparse direct feedback does (arXiv 1903.02083). Of `to` routes with "
        "`per_unit` up to 8, and of those that learn, the entries alone are stored, and multiplied; any other B is "
        "stored and multiplied whole.",
    )
    shared: bool = Field(False, description=SHARED)


def tensors(matrix: Random, ends: Ends) -> tuple[Tensor, ...]:
    """B, or what is kept of it; where it is shared all rows."""
    writes = ends.shared or ends.writes
    start = law(matrix, ends)
    fan = float(writes)
    if start == "crafton" and isinstance(matrix.mask, PerUnit):
        fan = sparse.crafton(matrix.mask, replace(ends, writes=writes))
    b = Tensor(
        f"{ends.prefix}.B",
        (writes, ends.reads),
        start,
        fan,
        ends.reads,
        Role.FEEDBACK,
        mask=matrix.mask,
        reads_axis=1,
    )
    like = ends.weight
    if like is not None:
        # All that makes one draw as large as another: fans count channels and strides, which a matrix does not show.
        return (replace(like, name=b.name, init=b.init, like=None, role=b.role, trainable=True, mask=b.mask),)
    mask = sparse.is_sparse(matrix.mask, matrix.learn, ends)
    if mask is None:
        return (b,)
    return sparse.tensors(mask, b, start)


def law(matrix: Random, ends: Ends) -> Any:
    """The initial law of B, `like_forward` resolved to that of the forward weight."""
    if matrix.init is not None and matrix.init != "like_forward":
        return matrix.init
    return "launay" if ends.weight is None else ends.weight.drawn


def misfit(matrix: Random, ends: Ends) -> ShapeError | None:
    """`like_forward` without a forward weight, a rule that cannot teach a full matrix, or a mask that does not fit."""
    if matrix.init == "like_forward" and ends.weight is None:
        return ShapeError(
            "a `to` route has no forward weight to be drawn like", "use `launay` or `normal`", "init"
        )
    if matrix.shared and ends.weight is not None:
        return ShapeError(
            "what replaces a weight has the shape of that weight, and shares no rows with another",
            "share on `to` routes, or remove `shared`",
            "shared",
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
    if matrix.shared and not isinstance(matrix.learn, Fixed) and not makes_gradient(matrix.learn):
        return ShapeError(
            f"`{ways(matrix.learn).name}` sets a matrix anew, and several routes cannot each do that to one",
            "use `kolen_pollack`, whose steps add up, or remove `shared`",
            "learn",
        )
    return _misfit_of_mask(matrix, ends)


def _misfit_of_mask(matrix: Random, ends: Ends) -> ShapeError | None:
    """More entries than there are, or entries that something else would change."""
    mask, learns = matrix.mask, not isinstance(matrix.learn, Fixed)
    if mask is None:
        return None
    per_unit = isinstance(mask, PerUnit)
    if learns and (ends.weight is not None or not per_unit):
        return ShapeError(
            "a matrix that is masked whole cannot learn: a step would fill its zeros",
            "remove `mask` or `learn`"
            if ends.weight is not None
            else "use `mask: {per_unit: ...}`, or remove one",
            "mask",
        )
    if learns and not ways(matrix.learn).follows:
        return ShapeError(
            f"`{ways(matrix.learn).name}` teaches whole matrices, and not the entries that a mask keeps",
            "use `kolen_pollack`, or remove `mask`",
            "learn",
        )
    if not isinstance(mask, PerUnit):
        return None
    most, of = ends.reads, f"{ends.reads} components"
    if ends.weight is not None and ends.weight.groups > 1:
        most //= ends.weight.groups
        of += f" in {ends.weight.groups} groups"
    if mask.per_unit > most:
        return ShapeError(f"`per_unit: {mask.per_unit}` of an error of {of}", f"use at most {most}", "mask")
    return None if mask.rank is None else _misfit_of_rank(matrix, mask, ends)


def _misfit_of_rank(matrix: Random, mask: PerUnit, ends: Ends) -> ShapeError | None:
    """A rank that nothing keeps, or that cannot be drawn."""
    if ends.weight is not None:
        return ShapeError(
            "`mask.rank` is that of a matrix of a `to` route",
            "remove `rank`, or use a `low_rank` matrix here",
            "mask",
        )
    if not isinstance(matrix.learn, Fixed):
        return ShapeError(
            "a matrix that learns does not keep the rank of its mask: each unit takes a step of its own",
            "remove `rank` or `learn`",
            "mask",
        )
    if entries(law(matrix, ends), 1, 1) is None:
        return ShapeError(
            f"entries by the law `{law(matrix, ends)}` depend on one another, and are no products",
            "use `launay` or `crafton`, or remove `rank`",
            "init",
        )
    return None


def apply(b: Builder, matrix: Random, state: State, signals: Signals) -> Value:
    """d F on a `through` route, e B^T on a `to` route."""
    assert signals.way is not None
    if signals.weight is not None:
        return signals.sent(b, signals.error, signals.way.flat(b, state["B"]))
    stored, factor = _own(b, state, _fed(signals))
    if sparse.COLUMNS in state:
        sent = sparse.sent(b, stored, _columns(b, state, _fed(signals)), signals)
    else:
        sent = signals.sent(b, signals.error, b.transpose(stored, (1, 0)))
    return sent if factor == 1 else b.mul(sent, factor)


def learn(b: Builder, matrix: Random, state: State, signals: Signals) -> Iterable[Learned]:
    """What `learn:` says of B, which the rule sees as [reads, writes]. Of what is shared each route moves its rows."""
    rule = ways(matrix.learn).full
    if rule is None:
        return
    assert signals.way is not None
    if signals.weight is not None:
        found = rule(b, matrix.learn, {**state, "B": signals.way.flat(b, state["B"])}, signals)
        yield replace(found, value=signals.way.kept(b, found.value, state["B"].type.shape))
        return
    stored, factor = _own(b, state, _fed(signals))
    if sparse.COLUMNS in state:
        found = Learned("B", sparse.taught(b, _columns(b, state, _fed(signals)), signals), gradient=True)
    else:
        whole = b.transpose(stored, (1, 0))
        found = rule(b, matrix.learn, {**state, "B": whole if factor == 1 else b.mul(whole, factor)}, signals)
        found = replace(found, value=b.transpose(found.value, (1, 0)))
    rows = _size(state["B"]) - _fed(signals)
    if rows:
        value = b.mul(found.value, factor)
        found = replace(found, value=b.emit("pad", value, before=(0, 0), after=(rows, 0)))
    yield found


def whole(b: Builder, matrix: Random, ends: Ends, state: State, weight: Value | None) -> Value:
    """B, as a matrix."""
    if ends.weight is not None:
        return matrix_of(b, state["B"], ends.weight.reads_axis, ends.weight.groups)
    stored, factor = _own(b, state, ends.writes)
    if sparse.COLUMNS in state:
        stored = sparse.whole(b, stored, _columns(b, state, ends.writes), ends.reads)
    return stored if factor == 1 else b.mul(stored, factor)


def _own(b: Builder, state: State, writes: int) -> tuple[Value, float]:
    """The first rows of what is kept, [writes, ...], of all if nobody shares it; and a factor, sqrt(rows / writes)."""
    return _first(b, state["B"], writes), sqrt(_size(state["B"]) / writes)


def _columns(b: Builder, state: State, writes: int) -> Value:
    """INT: those of the first rows."""
    return b.cast(_first(b, state[sparse.COLUMNS], writes), DType.INT)


def _first(b: Builder, matrix: Value, rows: int) -> Value:
    """The first rows of a matrix."""
    more = _size(matrix) - rows
    return b.emit("crop", matrix, before=(0, 0), after=(more, 0)) if more else matrix


def _fed(signals: Signals) -> int:
    """How many numbers a `to` route feeds."""
    assert signals.way is not None
    return _size(signals.way.x, 1)


def _size(value: Value, axis: int = 0) -> int:
    size = value.type.shape[axis]
    assert isinstance(size, int)
    return size


def unused(matrix: Any, program: Program) -> Iterable[Unused]:
    """A mask that keeps all, or one to share a matrix with; of a matrix, or of a rule that hands its own on."""
    if isinstance(matrix.mask, Density) and matrix.mask.density == 1:
        yield Unused("mask", "when it keeps every entry", "remove it")
    if matrix.shared and not any(route.ends and route.ends.shared for route in program.routes):
        yield Unused("shared", "where no other route reads the same error by a matrix like it", "remove it")


RANDOM = MatrixKind(
    "random",
    Random,
    tensors,
    apply,
    learn,
    misfit=misfit,
    rank=lambda matrix, ends: matrix.mask.rank if isinstance(matrix.mask, PerUnit) else None,
    learning=lambda matrix: {"B": matrix.learn},
    shared=lambda matrix: matrix.shared,
    matrix=whole,
    unused=unused,
)
