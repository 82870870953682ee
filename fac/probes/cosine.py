"""Cosines, in [-1, 1] and free of scale. A zero vector has no direction: its cosine is undefined, which is NaN."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fac.probes.scaled import defined, scaled
from fac.step.builder import Builder
from fac.step.ir import Value
from fac.step.types import DType

Pair = tuple[Value, Value]


def cosine(b: Builder, pairs: Sequence[Pair], floor: float = 0.0) -> Value:
    """<x, y> / (|x| |y|) over all entries of all pairs (x, y), as if stacked.

    A scalar, NaN if x is zero or |y| no larger than the floor.
    """
    found = defined(b, *_cosines(b, pairs, None, floor))
    b.mark("cosine", _named(pairs), {"cosine": found}, {"floor": floor})
    return found


def per_sample_cosine(b: Builder, pairs: Sequence[Pair], floor: float = 0.0) -> tuple[Value, Value]:
    """Mean and standard deviation over samples of their cosines, pairs stacked. Scalars, NaN if no sample is left.

    Left out are samples of which x is zero or |y| no larger than the floor.

    Counting the rows of dead units as 0 would make backpropagation disagree with itself (tests/probes/test_probes.py).
    """
    each, seen = _cosines(b, [(b.rows(x), b.rows(y)) for x, y in pairs], (1,), floor)
    count = b.sum(seen, (0, 1))
    mean = b.div(b.sum(b.mul(each, seen), (0, 1)), count)
    off = b.mul(b.sub(each, mean), seen)
    deviation = b.sqrt(b.div(b.dot(off, off), count))
    for kind, made in (("sample_cosine", mean), ("sample_cosine_sd", deviation)):
        b.mark(kind, _named(pairs), {"cosine": made}, {"floor": floor})
    return mean, deviation


def _named(pairs: Sequence[Pair]) -> dict[str, Value]:
    """Of a mark: all x, then all y."""
    sides = zip("xy", zip(*pairs, strict=True), strict=True)
    return {f"{name}{k}": value for name, side in sides for k, value in enumerate(side)}


def _cosines(
    b: Builder, pairs: Sequence[Pair], axes: tuple[int, ...] | None, floor: float
) -> tuple[Value, Value]:
    """(cosine, 1 or 0 where it is undefined), of everything or of rows [N, 1]."""
    x, y = (scaled(b, side, axes) for side in zip(*pairs, strict=True))
    product = b.dot if axes is None else _along(b, axes)
    inner, xx, yy = (
        _total(b, [product(u, v) for u, v in zip(left, right, strict=True)])
        for left, right in ((x.values, y.values), (x.values, x.values), (y.values, y.values))
    )
    # Neither length is below 1 but that of zero. Rounding can lift the quotient above 1.
    lengths = b.maximum(b.mul(b.sqrt(xx), b.sqrt(yy)), 1.0)
    found, seen = b.clamp(b.div(inner, lengths), -1.0, 1.0), b.mul(x.seen, y.seen)
    if floor:
        above = b.less(floor, b.mul(y.unit, b.sqrt(yy)))
        seen = b.mul(seen, b.cast(above, DType.FLOAT))
    return found, seen


def _along(b: Builder, axes: tuple[int, ...]) -> Callable[[Value, Value], Value]:
    return lambda x, y: b.sum(b.mul(x, y), axes, keep=True)


def _total(b: Builder, terms: Sequence[Value]) -> Value:
    total = terms[0]
    for term in terms[1:]:
        total = b.add(total, term)
    return total
