"""Maps [N, C, H, W] at other sizes: y = A x B^T for each channel, with A [h, H] and B [w, W] of few numbers.

A pool of averages and a map that is made larger differ in A and B alone, which `weights` writes out. The derivative of
such an op multiplies with their transposes: an op of its own, because frameworks have a kernel for it, and the two are
each other's derivatives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from fac.step.ir import Op, Value
from fac.step.ops.base import Attributes, OpDef, TypeRule
from fac.step.ops.maps import map_of, whole
from fac.step.ops.pools import WINDOW, places, pooled
from fac.step.ops.shapes import shape_of
from fac.step.types import DType, Type, TypeRuleError, flat

if TYPE_CHECKING:
    from fac.step.builder import Builder

Weights = Sequence[Mapping[int, float]]
"""A matrix by rows, each with its columns that are not zero."""
SUFFIX = "_input"


def windowed(size: int, kernel: int, stride: int, padding: int) -> Weights:
    """The mean of each window; what lies beyond the edges counts as zeros, as torch has it by default."""
    starts = (stride * place - padding for place in range(places(size, kernel, stride, padding)))
    return [dict.fromkeys(range(max(start, 0), min(start + kernel, size)), 1 / kernel) for start in starts]


def adapted(size: int, out: int) -> Weights:
    """The means of `out` stretches of nearly equal length, from floor(i size / out) to ceil((i + 1) size / out)."""
    ends = ((i * size // out, -(-(i + 1) * size // out)) for i in range(out))
    return [dict.fromkeys(range(first, last), 1 / (last - first)) for first, last in ends]


def nearest(size: int, factor: int) -> Weights:
    """Each number as often as `factor` says."""
    return [{i // factor: 1.0} for i in range(size * factor)]


def linear(size: int, factor: int) -> Weights:
    """On the line between two neighbours. The numbers stand in the middle of their places, of 1 and of 1 / factor."""
    found: list[dict[int, float]] = []
    for i in range(size * factor):
        at = max((i + 0.5) / factor - 0.5, 0.0)
        low = int(at)
        high = min(low + 1, size - 1)
        found.append({low: 1.0} if high == low else {low: 1 - (at - low), high: at - low})
    return found


MODES = {"nearest": nearest, "bilinear": linear}


def weights(kind: str, attributes: Attributes | Op, size: Sequence[int]) -> tuple[Weights, Weights]:
    """A and B of an op, or of its derivative, for a map of that height and width."""
    kind = kind.removesuffix(SUFFIX)
    if kind == "avg_pool2d":
        settings = (whole(attributes, name) for name in ("kernel", "stride", "padding"))
        rows, columns = (windowed(*axis) for axis in zip(size, *settings, strict=True))
    elif kind == "adaptive_avg_pool2d":
        rows, columns = (adapted(*axis) for axis in zip(size, whole(attributes, "size"), strict=True))
    else:
        mode = MODES[str(attributes["mode"])]
        rows, columns = (mode(*axis) for axis in zip(size, whole(attributes, "factor"), strict=True))
    return rows, columns


def adapted_to(operands: tuple[Type, ...], attributes: Attributes) -> Type:
    """[N, C, *size].

    Raises:
        TypeRuleError: no map, or no size.
    """
    n, c, _ = map_of(operands[0])
    h, w = whole(attributes, "size")
    if min(h, w) < 1:
        raise TypeRuleError(f"{(h, w)} is the size of no map")
    return Type((n, c, h, w))


def upsampled(operands: tuple[Type, ...], attributes: Attributes) -> Type:
    """[N, C, H, W], H and W multiplied by `factor`.

    Raises:
        TypeRuleError: no map, no factor, or an unknown mode.
    """
    n, c, (h, w) = map_of(operands[0])
    tall, wide = whole(attributes, "factor")
    if min(tall, wide) < 1 or attributes["mode"] not in MODES:
        raise TypeRuleError(f"a map is made {(tall, wide)} times as large by none of {', '.join(MODES)}")
    return Type((n, c, h * tall, w * wide))


def matrix(b: Builder, op: Op, axis: int, small: int, large: int) -> Value:
    """A or B [small, large], as `weights` has it, made of comparisons: `small` and `large` are the sizes of y and x."""
    i, j = b.iota((small, 1)), b.iota((large,))

    def times(x: Value, factor: int, plus: int = 0) -> Value:
        return b.add(b.mul(x, b.constant(factor)), b.constant(plus))

    def between(low: Value, x: Value, high: Value) -> Value:
        """FLOAT 1 where low < x < high."""
        inside = (b.emit("less", low, x), b.emit("less", x, high))
        return b.mul(*(b.cast(half, DType.FLOAT) for half in inside))

    kind = op.kind.removesuffix(SUFFIX)
    if kind == "avg_pool2d":
        kernel, stride, padding = (whole(op, name)[axis] for name in ("kernel", "stride", "padding"))
        inside = between(times(i, stride, -padding - 1), j, times(i, stride, kernel - padding))
        return b.mul(inside, 1 / kernel)
    if kind == "adaptive_avg_pool2d":
        # floor(i large / small) <= j < ceil((i + 1) large / small), in whole numbers
        above = b.cast(b.emit("less", times(i, large), times(j, small, small)), DType.FLOAT)
        inside = b.mul(above, b.cast(b.emit("less", times(j, small), times(i, large, large)), DType.FLOAT))
        return b.div(inside, b.sum(inside, (1,), keep=True))
    factor = whole(op, "factor")[axis]
    if op["mode"] == "nearest":
        return between(times(j, factor, -1), i, times(j, factor, factor))
    at = b.clamp(b.sub(b.div(b.add(b.cast(i, DType.FLOAT), 0.5), float(factor)), 0.5), 0.0, large - 1.0)
    away = b.sub(at, b.cast(j, DType.FLOAT))
    return b.maximum(b.sub(1.0, b.maximum(away, b.neg(away))), 0.0)


def finer(b: Builder, op: Op) -> Value:
    """The product with B, then that with A, or with their transposes on the way back."""
    (x,) = op.operands
    returns = op.kind.endswith(SUFFIX)
    for axis in (1, 0):
        n, c, kept, size = x.type.shape
        made = op.result.type.shape[axis + 2]
        assert isinstance(size, int)
        assert isinstance(made, int)
        ends = (size, made) if returns else (made, size)
        rows = b.matmul(b.reshape(x, (flat((n, c, kept)), size)), matrix(b, op, axis, *ends), tb=not returns)
        x = b.transpose(b.reshape(rows, (n, c, kept, made)), (0, 1, 3, 2))
    return x


def pair(kind: str, type: TypeRule, attributes: frozenset[str]) -> tuple[OpDef, OpDef]:
    """An op, and its derivative."""

    def back(operands: tuple[Type, ...], given: Attributes) -> Type:
        """The map of `shape`, if the op would make one like the operand of it."""
        made = Type(shape_of(given))
        if type((made,), given) != operands[0]:
            raise TypeRuleError(f"{kind} does not make {operands[0]} of {made}")
        return made

    def down(b: Builder, op: Op, g: Value) -> Value:
        return b.emit(kind + SUFFIX, g, **dict(op.attributes), shape=op.operands[0].type.shape)

    def up(b: Builder, op: Op, h: Value) -> Value:
        return b.emit(kind, h, **{name: op[name] for name in attributes})

    return (
        OpDef(kind, type, (down,), attributes, finer=finer),
        OpDef(kind + SUFFIX, back, (up,), attributes | {"shape"}, finer=finer),
    )


RESAMPLING = (
    *pair("avg_pool2d", pooled, WINDOW),
    *pair("adaptive_avg_pool2d", adapted_to, frozenset({"size"})),
    *pair("upsample2d", upsampled, frozenset({"factor", "mode"})),
)
