"""Scaled dot-product attention of several heads, and its derivatives in queries, keys and values.

softmax(Q K^T / sqrt(d)) V, head by head (Vaswani et al. 2017, arXiv 1706.03762). Heads lie side by side in the channels
of tokens: Q [N, T, heads d], K [N, S, kv_heads d], V [N, S, kv_heads e] make [N, T, heads e]. Where there are fewer
heads of keys than of queries, as many queries in a row share one (Ainslie et al. 2023, arXiv 2305.13245). A last
operand [N, S] says which tokens can be looked at: those where it is above zero. Who may look at nothing reads zeros.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING

from fac.step.ir import Op, Value
from fac.step.ops.base import DISCRETE, Attributes, OpDef, Vjp, Without
from fac.step.ops.normalization import ONCE
from fac.step.types import DType, N, Shape, Type, TypeRuleError, numel

if TYPE_CHECKING:
    from fac.step.builder import Builder

HIDDEN = -1e30
"""Added where nobody looks: exp of it is 0, and a sum of some of it is still a number."""


@dataclass(frozen=True, slots=True)
class Heads:
    """The sizes of one attention: T queries look at S keys."""

    queries: int
    keys: int
    heads: int
    kv_heads: int
    width: int
    """d, of a query and of a key."""
    value: int
    """e, of a value."""
    causal: bool

    @property
    def shared(self) -> int:
        """How many heads of queries look at one head of keys."""
        return self.heads // self.kv_heads


def heads_of(operands: tuple[Type, ...], attributes: Attributes) -> Heads:
    """The sizes that queries, keys, values, and perhaps what may be looked at, have in common.

    Raises:
        TypeRuleError: they do not go together.
    """
    heads, kv_heads = attributes["heads"], attributes["kv_heads"]
    causal = bool(attributes["causal"])
    assert isinstance(heads, int)
    assert isinstance(kv_heads, int)
    if len(operands) in (3, 4) and all(x.dtype == DType.FLOAT for x in operands):
        sizes = [size for x in operands[:3] for size in x.shape[1:] if isinstance(size, int)]
        seen = operands[3].shape if len(operands) == 4 else operands[1].shape[:2]
        if all(len(x.shape) == 3 and x.shape[0] == N for x in operands[:3]) and len(sizes) == 6:
            t, q, s, k, same, v = sizes
            if (
                (s == same and seen == (N, s) and not (causal and t != s))
                and not (heads % kv_heads or q % heads or k % kv_heads or v % kv_heads)
                and q // heads == k // kv_heads
            ):
                return Heads(t, s, heads, kv_heads, q // heads, v // kv_heads, causal)
    how = f"{heads} heads of queries, {kv_heads} of keys{', causal' if causal else ''}"
    raise TypeRuleError(f"{' and '.join(map(str, operands))} do not go together in attention: {how}")


def attend(operands: tuple[Type, ...], attributes: Attributes) -> Type:
    """[N, T, heads e]."""
    sizes = heads_of(operands, attributes)
    return Type((N, sizes.queries, sizes.heads * sizes.value))


def in_operand(place: int) -> Vjp | Without:
    """The derivative in queries, keys or values; what may be looked at moves it in steps."""
    if place == 3:
        return DISCRETE
    kind = ("attend_query", "attend_key", "attend_value")[place]
    return lambda b, op, g: b.emit(kind, g, *op.operands, **dict(op.attributes))


def derivative(place: int) -> OpDef:
    """The op that is the derivative of attention in one of its first operands, of (g, *operands)."""

    def type(operands: tuple[Type, ...], attributes: Attributes) -> Type:
        if attend(operands[1:], attributes) != operands[0]:
            raise TypeRuleError(f"{operands[0]} is no error of attention of {operands[1:]}")
        return operands[1 + place]

    def macs(op: Op, n: int) -> int:
        sizes = heads_of(tuple(v.type for v in op.operands[1:]), dict(op.attributes))
        return _pairs(sizes, n) * (sizes.width, sizes.width, sizes.value)[place]

    def common(op: Op, n: int) -> tuple[Hashable, int]:
        # The error of the shares, g V^T, from which those of queries and of keys are made.
        sizes = heads_of(tuple(v.type for v in op.operands[1:]), dict(op.attributes))
        return ("shares", op.operands, op.attributes), _pairs(sizes, n) * sizes.value

    def finer(b: Builder, op: Op) -> Value:
        look = Look.of(b, op.operands[1:], dict(op.attributes))
        sizes = look.sizes
        g = queries_apart(b, op.operands[0], sizes, sizes.value)
        if place == 2:
            return keys_together(b, b.bmm(look.shares, g, ta=True), sizes)
        error = b.bmm(g, keys_apart(b, op.operands[3], sizes, sizes.value), tb=True)
        along = b.sum(b.mul(error, look.shares), (3,), keep=True)
        z = b.mul(look.shares, b.sub(error, along))
        if place == 1:
            return keys_together(b, b.bmm(z, look.q, ta=True), sizes)
        return queries_together(b, b.mul(b.bmm(z, look.k), look.scale), sizes, sizes.width)

    def vjp(operand: int) -> Vjp | Without:
        # Of (g, queries, keys, values, mask): attention is linear in the values, and its derivative reads none.
        return DISCRETE if operand == 4 or (place, operand) == (2, 3) else ONCE

    kind = ("attend_query", "attend_key", "attend_value")[place]
    return OpDef(kind, type, vjp, HEADS, macs, None if place == 2 else common, finer=finer)


def macs(op: Op, n: int) -> int:
    """Pairs of a query and a key, times the numbers of both products."""
    sizes = heads_of(tuple(v.type for v in op.operands), dict(op.attributes))
    return _pairs(sizes, n) * (sizes.width + sizes.value)


def _pairs(sizes: Heads, n: int) -> int:
    # Those that nobody looks at are counted too: products are made of whole matrices.
    return numel((N, sizes.heads, sizes.queries, sizes.keys), n)


def finer(b: Builder, op: Op) -> Value:
    """Two products of matrices, and between them the softmax over keys."""
    look = Look.of(b, op.operands, dict(op.attributes))
    return shared_out(b, look.shares, op.operands[2], look.sizes)


def shared_out(b: Builder, shares: Value, values: Value, sizes: Heads) -> Value:
    """Sums of values [N, S, kv_heads e], by shares [N, kv_heads, shared T, S]."""
    made = b.bmm(shares, keys_apart(b, values, sizes, sizes.value))
    return queries_together(b, made, sizes, sizes.value)


@dataclass(frozen=True, slots=True)
class Look:
    """Who looks at whom: what attention and its derivatives have in common, so that a step computes it once."""

    sizes: Heads
    scale: float
    q: Value
    """Scaled queries, [N, kv_heads, shared T, d]."""
    k: Value
    """[N, kv_heads, S, d]."""
    shares: Value
    """Which sum to one over the keys, [N, kv_heads, shared T, S]."""

    @classmethod
    def of(cls, b: Builder, operands: tuple[Value, ...], attributes: Attributes) -> Look:
        """Write the ops."""
        sizes = heads_of(tuple(v.type for v in operands), attributes)
        scale = 1 / sqrt(sizes.width)
        q = queries_apart(b, b.mul(operands[0], scale), sizes, sizes.width)
        k = keys_apart(b, operands[1], sizes, sizes.width)
        z = b.bmm(q, k, tb=True)
        seen = _seen(b, operands[3] if len(operands) == 4 else None, sizes)
        if seen is None:
            return cls(sizes, scale, q, k, b.emit("softmax", z, axis=3))
        apart = (N, sizes.kv_heads, sizes.shared, sizes.queries, sizes.keys)
        bias = b.mul(b.sub(1.0, seen), HIDDEN)
        shares = b.emit("softmax", b.add(b.reshape(z, apart), bias), axis=4)
        if len(operands) == 4:  # of a causal one everybody sees at least itself
            shares = b.mul(shares, seen)
        return cls(sizes, scale, q, k, b.reshape(shares, z.type.shape))


def _seen(b: Builder, mask: Value | None, sizes: Heads) -> Value | None:
    """1 where a query may look at a key, else 0, [T, S] or [N, 1, 1, 1 or T, S]; None where all may look at all."""
    seen: Value | None = None
    if sizes.causal:
        places = b.iota((sizes.keys,))
        later = b.less(b.reshape(places, (sizes.keys, 1)), places)
        seen = b.sub(1.0, b.cast(later, DType.FLOAT))
    if mask is None:
        return seen
    open_ = b.cast(b.less(0.0, b.reshape(mask, (N, 1, 1, 1, sizes.keys))), DType.FLOAT)
    return open_ if seen is None else b.mul(open_, seen)


def queries_apart(b: Builder, x: Value, sizes: Heads, width: int) -> Value:
    """[N, T, heads width] as [N, kv_heads, shared T, width]: queries that share a head of keys in one matrix."""
    apart = b.reshape(x, (N, sizes.queries, sizes.kv_heads, sizes.shared, width))
    return b.reshape(
        b.transpose(apart, (0, 2, 3, 1, 4)), (N, sizes.kv_heads, sizes.shared * sizes.queries, width)
    )


def queries_together(b: Builder, x: Value, sizes: Heads, width: int) -> Value:
    """What `queries_apart` undoes."""
    apart = b.reshape(x, (N, sizes.kv_heads, sizes.shared, sizes.queries, width))
    return b.reshape(b.transpose(apart, (0, 3, 1, 2, 4)), (N, sizes.queries, sizes.heads * width))


def keys_apart(b: Builder, x: Value, sizes: Heads, width: int) -> Value:
    """[N, S, kv_heads width] as [N, kv_heads, S, width]."""
    return b.transpose(b.reshape(x, (N, sizes.keys, sizes.kv_heads, width)), (0, 2, 1, 3))


def keys_together(b: Builder, x: Value, sizes: Heads) -> Value:
    """What `keys_apart` undoes."""
    width = x.type.shape[3]
    assert isinstance(width, int)
    shape: Shape = (N, sizes.keys, sizes.kv_heads * width)
    return b.reshape(b.transpose(x, (0, 2, 1, 3)), shape)


HEADS = frozenset({"heads", "kv_heads", "causal"})

ATTENTION = (OpDef("attend", attend, in_operand, HEADS, macs, finer=finer), *map(derivative, range(3)))
