"""Normalisation: numbers brought to mean 0 and variance 1 over some axes, then scaled and shifted.

One op serves batch, layer and group normalisation: they differ in the axes, and in where the scale stands. It takes the
moments itself, so that its derivative is that of the whole. What the derivative needs of them it reads from `mean` and
`variance` of the same numbers, which a backend can make together with the op. With z = (x - mean) / sqrt(variance +
eps) and h = g * scale (Ioffe and Szegedy, arXiv 1502.03167):

    dx = (h - mean(h) - z mean(h z)) / sqrt(variance + eps)        dscale = sum of g z        dshift = sum of g

The mean is subtracted before anything is squared: numbers with a large mean keep their digits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fac.step.ir import Op, Value
from fac.step.ops.base import Attributes, OpDef, Without, summed_to, unbroadcast
from fac.step.ops.shapes import axes_of, mean, shape_of, stretched
from fac.step.types import Shape, Type, TypeRuleError, broadcast

if TYPE_CHECKING:
    from fac.step.builder import Builder


def eps_of(op: Op) -> float:
    """What is added to the variance."""
    eps = op["eps"]
    assert isinstance(eps, float)
    return eps


def kept(b: Builder, moment: Value, like: Value, axes: tuple[int, ...]) -> Value:
    """A moment with 1 in the place of each reduced axis, so that it broadcasts to `like`."""
    return b.reshape(moment, tuple(1 if i in axes else dim for i, dim in enumerate(like.type.shape)))


def standard(b: Builder, op: Op, x: Value, mean: Value, variance: Value) -> tuple[Value, Value]:
    """Z and 1 / sqrt(variance + eps), the latter with 1 in the place of reduced axes."""
    axes = axes_of(dict(op.attributes))
    rate = b.div(1.0, b.sqrt(b.add(kept(b, variance, x, axes), eps_of(op))))
    return b.mul(b.sub(x, kept(b, mean, x, axes)), rate), rate


def variance_input(b: Builder, op: Op, g: Value) -> Value:
    """g * 2 (x - mean) / (number of averaged elements)."""
    (x,), axes = op.operands, axes_of(dict(op.attributes))
    apart = b.sub(x, kept(b, b.mean(x, axes), x, axes))
    over = b.count(tuple(x.type.shape[i] for i in axes))
    return b.mul(apart, b.div(b.mul(stretched(b, op, g), 2.0), over))


def finer_variance(b: Builder, op: Op) -> Value:
    """The mean of (x - mean)^2."""
    (x,), axes = op.operands, axes_of(dict(op.attributes))
    apart = b.sub(x, kept(b, b.mean(x, axes), x, axes))
    return b.mean(b.mul(apart, apart), axes)


def _scaled(x: Type, scale: Shape) -> None:
    if broadcast(x.shape, scale) != x.shape:
        raise TypeRuleError(f"a scale {scale} does not broadcast to {x}")


def normalize(operands: tuple[Type, ...], attributes: Attributes) -> Type:
    """The type of x. Scale and shift are alike, and broadcast to it.

    Raises:
        TypeRuleError: they do not; see also `mean`.
    """
    x, scale, shift = operands
    mean((x,), attributes)
    if scale != shift or scale.dtype != x.dtype:
        raise TypeRuleError(f"a scale and a shift of one type are needed, not {scale} and {shift}")
    _scaled(x, scale.shape)
    return x


def _moments(operands: tuple[Type, ...], attributes: Attributes) -> Type:
    """The type of x, where (g, x, mean, variance) belong together."""
    g, x, *moments = operands[:4]
    if g != x or any(moment != mean((x,), attributes) for moment in moments):
        raise TypeRuleError(f"no error, numbers and their moments are {', '.join(map(str, operands[:4]))}")
    return x


def input_type(operands: tuple[Type, ...], attributes: Attributes) -> Type:
    """The type of x.

    Raises:
        TypeRuleError: operands that do not belong together.
    """
    x, scale = _moments(operands, attributes), operands[4]
    if scale.dtype != x.dtype:
        raise TypeRuleError(f"FLOAT is needed, not {scale}")
    _scaled(x, scale.shape)
    return x


def scale_type(operands: tuple[Type, ...], attributes: Attributes) -> Type:
    """The given shape, that of the scale.

    Raises:
        TypeRuleError: operands that do not belong together.
    """
    x, shape = _moments(operands, attributes), shape_of(attributes)
    _scaled(x, shape)
    return Type(shape)


def finer_normalize(b: Builder, op: Op) -> Value:
    """Z scale + shift."""
    (x, scale, shift), axes = op.operands, axes_of(dict(op.attributes))
    z, _ = standard(b, op, x, b.mean(x, axes), b.variance(x, axes))
    return b.add(b.mul(z, scale), shift)


def finer_input(b: Builder, op: Op) -> Value:
    """(h - mean(h) - z mean(h z)) / sqrt(variance + eps)."""
    (g, x, mean, variance, scale), axes = op.operands, axes_of(dict(op.attributes))
    z, rate = standard(b, op, x, mean, variance)
    h = b.mul(g, scale)
    along = kept(b, b.mean(b.mul(h, z), axes), x, axes)
    return b.mul(b.sub(b.sub(h, kept(b, b.mean(h, axes), x, axes)), b.mul(z, along)), rate)


def finer_scale(b: Builder, op: Op) -> Value:
    """The sum of g z over the axes along which the scale was stretched."""
    g, x, mean, variance = op.operands
    return summed_to(b, b.mul(g, standard(b, op, x, mean, variance)[0]), shape_of(dict(op.attributes)))


def x_of_normalize(b: Builder, op: Op, g: Value) -> Value:
    """Dx, moments included."""
    (x, scale, _), axes = op.operands, axes_of(dict(op.attributes))
    moments = b.mean(x, axes), b.variance(x, axes)
    return b.emit("normalize_input", g, x, *moments, scale, axes=axes, eps=op["eps"])


def scale_of_normalize(b: Builder, op: Op, g: Value) -> Value:
    """Dscale."""
    (x, scale, _), axes = op.operands, axes_of(dict(op.attributes))
    moments = b.mean(x, axes), b.variance(x, axes)
    return b.emit("normalize_scale", g, x, *moments, axes=axes, eps=op["eps"], shape=scale.type.shape)


def g_of_input(b: Builder, op: Op, h: Value) -> Value:
    """The op without its scale is symmetric in g."""
    _, x, mean, variance, scale = op.operands
    one = b.broadcast_to(b.constant(1.0), scale.type.shape)
    return b.mul(b.emit("normalize_input", h, x, mean, variance, one, **dict(op.attributes)), scale)


def g_of_scale(b: Builder, op: Op, h: Value) -> Value:
    """H z."""
    _, x, mean, variance = op.operands
    return b.mul(standard(b, op, x, mean, variance)[0], h)


ONCE = Without("that of a backward pass is not written, because nobody goes back through one")
NORMALIZE = frozenset({"axes", "eps"})

NORMALIZATION = (
    # the mean of (x - mean)^2: the biased variance
    OpDef("variance", mean, (variance_input,), frozenset({"axes"}), finer=finer_variance),
    OpDef(
        "normalize",
        normalize,
        (x_of_normalize, scale_of_normalize, lambda b, op, g: unbroadcast(b, g, op.operands[2])),
        NORMALIZE,
        finer=finer_normalize,
    ),
    OpDef("normalize_input", input_type, (g_of_input, ONCE, ONCE, ONCE, ONCE), NORMALIZE, finer=finer_input),
    OpDef(
        "normalize_scale",
        scale_type,
        (g_of_scale, ONCE, ONCE, ONCE),
        NORMALIZE | {"shape"},
        finer=finer_scale,
    ),
)
