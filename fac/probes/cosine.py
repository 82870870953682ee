"""Cosines that are defined for zeros: a zero vector has no direction, and counts for nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fac.step.builder import Builder
from fac.step.ir import Value
from fac.step.types import DType

TINY = 1e-30
Pair = tuple[Value, Value]


def cosine(b: Builder, pairs: Sequence[Pair]) -> Value:
    """<x, y> / (|x| |y|) over all entries of all pairs (x, y), as if stacked; 0 if either is zero. A scalar."""
    inner, lengths = _products(b, pairs, b.dot)
    return b.div(inner, b.maximum(lengths, TINY))


def per_sample_cosine(b: Builder, pairs: Sequence[Pair]) -> Value:
    """The mean over samples of their cosines, pairs stacked; rows of norm zero are left out. A scalar.

    Counting the rows of dead units as 0 would make backpropagation disagree with itself (tests/probes/test_probes.py).
    """
    inner, lengths = _products(b, [(b.rows(x), b.rows(y)) for x, y in pairs], _row_dot(b))
    seen = b.cast(b.less(TINY, lengths), DType.FLOAT)
    each = b.div(b.mul(inner, seen), b.maximum(lengths, TINY))
    return b.div(b.sum(each, (0,)), b.maximum(b.sum(seen, (0,)), 1.0))


def _products(
    b: Builder, pairs: Sequence[Pair], product: Callable[[Value, Value], Value]
) -> tuple[Value, Value]:
    """(<x, y>, |x| |y|) over all pairs. Two roots: the product of two squares would underflow in float32."""

    def total(terms: list[Value]) -> Value:
        sum_ = terms[0]
        for term in terms[1:]:
            sum_ = b.add(sum_, term)
        return sum_

    inner, xx, yy = (
        total([product(pair[i], pair[j]) for pair in pairs]) for i, j in ((0, 1), (0, 0), (1, 1))
    )
    return inner, b.mul(b.sqrt(xx), b.sqrt(yy))


def _row_dot(b: Builder) -> Callable[[Value, Value], Value]:
    return lambda x, y: b.sum(b.mul(x, y), (1,))
