"""Convolutions of maps [N, C, H, W]: one product, and the two products that are its derivatives.

The three are one form, linear in each of y [N, m, h, w], x [N, c, H, W] and w [m, c / groups, u, v],

    sum of y[n, a, i, j] x[n, b, i s + u d - p, j s' + v d' - p'] w[a, b, u, v],

without one of the three: so each one's derivatives are the other two. Beyond its edges x is zero. `groups` groups of
channels lie side by side and do not mix: b counts in the group of a.

Attributes: `stride` (s, s'), `padding` (top, bottom, left, right), `dilation` (d, d'), `groups`.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from fac.step.ir import Attribute, Op, Value
from fac.step.ops.base import Attributes, OpDef
from fac.step.ops.maps import map_of, whole
from fac.step.ops.shapes import shape_of
from fac.step.types import Shape, Type, TypeRuleError, flat, numel

if TYPE_CHECKING:
    from fac.step.builder import Builder

WINDOW = frozenset({"stride", "padding", "dilation", "groups"})


def groups_of(attributes: Attributes | Op) -> int:
    """The number of groups."""
    groups = attributes["groups"]
    assert isinstance(groups, int)
    return groups


def window(op: Op) -> dict[str, Attribute]:
    """The settings that the products have in common."""
    return {name: op[name] for name in WINDOW}


def places(size: tuple[int, int], kernel: tuple[int, ...], attributes: Attributes | Op) -> tuple[int, int]:
    """How many places a window takes along each axis.

    Raises:
        TypeRuleError: it fits nowhere.
    """
    top, bottom, left, right = whole(attributes, "padding")
    settings = zip(
        size,
        kernel,
        whole(attributes, "stride"),
        whole(attributes, "dilation"),
        (top + bottom, left + right),
        strict=True,
    )
    h, w = (1 + (extent + pad - d * (k - 1) - 1) // s for extent, k, s, d, pad in settings)
    if h < 1 or w < 1:
        raise TypeRuleError(f"a window of {kernel} fits nowhere into a map of {size}")
    return h, w


def conv2d(operands: tuple[Type, ...], attributes: Attributes) -> Type:
    """x [N, c, H, W], w [m, c / groups, u, v] -> [N, m, h, w].

    Raises:
        TypeRuleError: no map and kernel, or they do not fit.
    """
    x, weight = operands
    n, c, size = map_of(x)
    m, own, kernel = map_of(weight)
    groups = groups_of(attributes)
    if not isinstance(m, int) or c != own * groups or m % groups:
        raise TypeRuleError(f"{groups} groups of {weight} do not read {x}")
    return Type((n, m, *places(size, kernel, attributes)))


def conv2d_input(operands: tuple[Type, ...], attributes: Attributes) -> Type:
    """y [N, m, h, w], w [m, c / groups, u, v] -> [N, c, *size], the map that the convolution reads.

    Raises:
        TypeRuleError: no convolution of such a map makes y.
    """
    y, weight = operands
    x = Type((map_of(y)[0], map_of(weight)[1] * groups_of(attributes), *whole(attributes, "size")))
    if conv2d((x, weight), attributes) != y:
        raise TypeRuleError(f"no convolution of {x} with {weight} makes {y}")
    return x


def conv2d_weight(operands: tuple[Type, ...], attributes: Attributes) -> Type:
    """y [N, m, h, w], x [N, c, H, W] -> [m, c / groups, *kernel].

    Raises:
        TypeRuleError: no convolution of x with such a kernel makes y.
    """
    y, x = operands
    weight = Type((map_of(y)[1], map_of(x)[1] // groups_of(attributes), *whole(attributes, "kernel")))
    if conv2d((x, weight), attributes) != y:
        raise TypeRuleError(f"no convolution of {x} with {weight} makes {y}")
    return weight


def macs(op: Op, n: int) -> int:
    """One for each number of y and each number under its window: padding counts, as kernels multiply with it."""
    y, weight = {
        "conv2d": (op.result, op.operands[-1]),
        "conv2d_input": (op.operands[0], op.operands[-1]),
        "conv2d_weight": (op.operands[0], op.result),
    }[op.kind]
    return numel(y.type.shape, n) * numel(weight.type.shape[1:], n)


# -- each product is the derivative of the others ------------------------------------------------------------------


def make_y(b: Builder, op: Op, x: Value, weight: Value) -> Value:
    """The convolution, with the window of `op`."""
    return b.emit("conv2d", x, weight, **window(op))


def make_x(b: Builder, op: Op, y: Value, weight: Value, like: Value) -> Value:
    """The error that it passes to a map like that."""
    return b.emit("conv2d_input", y, weight, size=like.type.shape[2:], **window(op))


def make_weight(b: Builder, op: Op, y: Value, x: Value, like: Value) -> Value:
    """The gradient of a kernel like that."""
    return b.emit("conv2d_weight", y, x, kernel=like.type.shape[2:], **window(op))


# -- in finer ops --------------------------------------------------------------------------------------------------


def unfold(operands: tuple[Type, ...], attributes: Attributes) -> Type:
    """x [N, c, H, W] -> [groups, c / groups u v, N h w]: for each place the numbers under its window.

    Raises:
        TypeRuleError: no map, its channels are no such groups, or the window fits nowhere.
    """
    n, c, size = map_of(operands[0])
    groups, kernel = groups_of(attributes), whole(attributes, "kernel")
    if c % groups:
        raise TypeRuleError(f"{operands[0]} has no {groups} groups of channels")
    return Type((groups, c // groups * prod(kernel), flat((n, *places(size, kernel, attributes)))))


def fold(operands: tuple[Type, ...], attributes: Attributes) -> Type:
    """The transposed of `unfold`, to a map of `shape`: what places have in common is added up.

    Raises:
        TypeRuleError: no such map unfolds to the operand.
    """
    x = Type(shape_of(attributes))
    if unfold((x,), attributes) != operands[0]:
        raise TypeRuleError(f"{operands[0]} does not fold to {x}")
    return x


def columns(b: Builder, op: Op, x: Value, kernel: Shape) -> Value:
    """[groups, c / groups u v, N h w]."""
    return b.emit("unfold", x, kernel=kernel, **window(op))


def rows_of(b: Builder, op: Op, y: Value) -> Value:
    """y [N, m, h, w] as [groups, m / groups, N h w]."""
    n, m, h, w = y.type.shape
    assert isinstance(m, int)
    turned = b.transpose(y, (1, 0, 2, 3))
    return b.reshape(turned, (groups_of(op), m // groups_of(op), flat((n, h, w))))


def matrices(b: Builder, op: Op, weight: Value) -> Value:
    """w as [groups, m / groups, c / groups u v]."""
    m, *rest = weight.type.shape
    assert isinstance(m, int)
    return b.reshape(weight, (groups_of(op), m // groups_of(op), flat(tuple(rest))))


def finer_conv2d(b: Builder, op: Op) -> Value:
    """In each group the kernel as a matrix times the numbers under the windows."""
    x, weight = op.operands
    n, m, h, w = op.result.type.shape
    made = b.bmm(matrices(b, op, weight), columns(b, op, x, weight.type.shape[2:]))
    return b.transpose(b.reshape(made, (m, n, h, w)), (1, 0, 2, 3))


def finer_input(b: Builder, op: Op) -> Value:
    """What the transposed matrix makes for each place, added up where windows overlap."""
    y, weight = op.operands
    spread = b.bmm(matrices(b, op, weight), rows_of(b, op, y), ta=True)
    return b.emit("fold", spread, shape=op.result.type.shape, kernel=weight.type.shape[2:], **window(op))


def finer_weight(b: Builder, op: Op) -> Value:
    """Errors times the numbers under the windows, summed over samples and places."""
    y, x = op.operands
    made = b.bmm(rows_of(b, op, y), columns(b, op, x, whole(op, "kernel")), tb=True)
    return b.reshape(made, op.result.type.shape)


def fold_again(b: Builder, op: Op, g: Value) -> Value:
    """The vjp of `unfold`."""
    return b.emit("fold", g, shape=op.operands[0].type.shape, kernel=op["kernel"], **window(op))


CONVOLUTION = (
    OpDef(
        "conv2d",
        conv2d,
        (
            lambda b, op, g: make_x(b, op, g, op.operands[1], like=op.operands[0]),
            lambda b, op, g: make_weight(b, op, g, op.operands[0], like=op.operands[1]),
        ),
        WINDOW,
        macs,
        channels=(1, 0),
        narrows=True,
        finer=finer_conv2d,
    ),
    OpDef(
        "conv2d_input",
        conv2d_input,
        (
            lambda b, op, g: make_y(b, op, g, op.operands[1]),
            lambda b, op, g: make_weight(b, op, op.operands[0], g, like=op.operands[1]),
        ),
        WINDOW | {"size"},
        macs,
        channels=(1, 1),
        narrows=True,
        finer=finer_input,
    ),
    OpDef(
        "conv2d_weight",
        conv2d_weight,
        (
            lambda b, op, g: make_y(b, op, op.operands[1], g),
            lambda b, op, g: make_x(b, op, op.operands[0], g, like=op.operands[1]),
        ),
        WINDOW | {"kernel"},
        macs,
        narrows=True,
        finer=finer_weight,
    ),
    OpDef("unfold", unfold, (fold_again,), WINDOW | {"kernel"}),
    OpDef(
        "fold",
        fold,
        (lambda b, op, g: b.emit("unfold", g, kernel=op["kernel"], **window(op)),),
        WINDOW | {"kernel", "shape"},
    ),
)
