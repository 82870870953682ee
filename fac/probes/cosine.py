"""Cosines that are defined for zeros: a zero vector has no direction, and counts for nothing."""

from __future__ import annotations

from math import prod

from fac.step.builder import Builder
from fac.step.ir import Value
from fac.step.types import DType, N

TINY = 1e-30


def cosine(b: Builder, x: Value, y: Value) -> Value:
    """<x, y> / (|x| |y|) over all entries; 0 if either is zero. A scalar."""
    return b.div(b.dot(x, y), b.maximum(norms(b, b.dot(x, x), b.dot(y, y)), TINY))


def norms(b: Builder, xx: Value, yy: Value) -> Value:
    """|x| |y| from the squares. Two roots: the product of two squares would underflow in float32."""
    return b.mul(b.sqrt(xx), b.sqrt(yy))


def per_sample_cosine(b: Builder, x: Value, y: Value) -> Value:
    """The mean over samples of their cosines; rows of norm zero are left out (learning-rules 5.1). A scalar.

    Counting the rows of dead units as 0 would make backpropagation disagree with itself.
    """
    width = prod(dim for dim in x.type.shape[1:] if isinstance(dim, int))
    x, y = b.reshape(x, (N, width)), b.reshape(y, (N, width))
    lengths = norms(b, b.sum(b.mul(x, x), (1,)), b.sum(b.mul(y, y), (1,)))
    seen = b.cast(b.less(TINY, lengths), DType.FLOAT)
    each = b.div(b.mul(b.sum(b.mul(x, y), (1,)), seen), b.maximum(lengths, TINY))
    return b.div(b.sum(each, (0,)), b.maximum(b.sum(seen, (0,)), 1.0))
