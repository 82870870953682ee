"""The largest numbers of windows of maps [N, C, H, W], channel by channel.

The largest number and where it stands are two ops on the same operand, because an op has one result: a backend whose
kernel finds both may run it once. Beyond its edges a map is -inf, which never wins: an index points into the map. Of
equal numbers the first wins, row by row. A window that holds NaN makes NaN, and its index points to a NaN of it.

Attributes: `kernel`, `stride` and `padding`, each (rows, columns); `padding` is on both sides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fac.step.ir import Attribute, Op, Value
from fac.step.ops.base import DISCRETE, Attributes, OpDef
from fac.step.ops.maps import map_of, whole
from fac.step.ops.shapes import shape_of
from fac.step.types import DType, Type, TypeRuleError

if TYPE_CHECKING:
    from fac.step.builder import Builder

WINDOW = frozenset({"kernel", "stride", "padding"})


def places(size: int, kernel: int, stride: int, padding: int) -> int:
    """How many places a window takes along an axis; less than 1 if it does not fit, or does not move."""
    return (size + 2 * padding - kernel) // stride + 1 if stride > 0 else 0


def window(op: Op) -> dict[str, Attribute]:
    """The settings of a pool."""
    return {name: op[name] for name in WINDOW}


def pooled(operands: tuple[Type, ...], attributes: Attributes) -> Type:
    """[N, C, h, w].

    Raises:
        TypeRuleError: no map, a window that fits nowhere, or one that may lie beyond the edges altogether.
    """
    n, c, size = map_of(operands[0])
    kernel, stride, padding = (whole(attributes, name) for name in ("kernel", "stride", "padding"))
    h, w = (places(*axis) for axis in zip(size, kernel, stride, padding, strict=True))
    if min(h, w) < 1 or any(2 * p > k for p, k in zip(padding, kernel, strict=True)):
        raise TypeRuleError(f"a window of {kernel} with a padding of {padding} is none for {operands[0]}")
    return Type((n, c, h, w))


def index(operands: tuple[Type, ...], attributes: Attributes) -> Type:
    """INT [N, C, h, w]: row * W + column of the first of the largest numbers of each window."""
    return Type(pooled(operands, attributes).shape, DType.INT)


def pick(operands: tuple[Type, ...], attributes: Attributes) -> Type:
    """[N, C, h, w]: of a map [N, C, H, W] the numbers to which an index [N, C, h, w] points.

    Raises:
        TypeRuleError: no map, or no index into it.
    """
    x, at = operands
    map_of(x)
    if at.dtype != DType.INT or len(at.shape) != 4 or at.shape[:2] != x.shape[:2]:
        raise TypeRuleError(f"{at} points to no numbers of {x}")
    return Type(at.shape)


def unpick(operands: tuple[Type, ...], attributes: Attributes) -> Type:
    """A map of `shape`: each number of g [N, C, h, w] added where its index points, and 0 elsewhere.

    Raises:
        TypeRuleError: no map, or an index that says not of each number of g where it goes.
    """
    g, at = operands
    made = Type(shape_of(attributes))
    map_of(g)
    map_of(made)
    if at != Type(g.shape, DType.INT) or g.shape[:2] != made.shape[:2]:
        raise TypeRuleError(f"{at} does not say where {g} goes in {made}")
    return made


def to_input(b: Builder, op: Op, g: Value) -> Value:
    """The error goes to the numbers that won."""
    (x,) = op.operands
    return b.emit("unpick", g, b.emit("max_pool2d_index", x, **window(op)), shape=x.type.shape)


def from_index(b: Builder, op: Op) -> Value:
    """The numbers that won, by where they stand."""
    (x,) = op.operands
    return b.emit("pick", x, b.emit("max_pool2d_index", x, **window(op)))


POOLS = (
    OpDef("max_pool2d", pooled, (to_input,), WINDOW, selects=True, finer=from_index),
    OpDef("max_pool2d_index", index, (DISCRETE,), WINDOW),
    OpDef(
        "pick",
        pick,
        (lambda b, op, g: b.emit("unpick", g, op.operands[1], shape=op.operands[0].type.shape), DISCRETE),
        selects=True,
    ),
    OpDef(
        "unpick",
        unpick,
        (lambda b, op, h: b.emit("pick", h, op.operands[1]), DISCRETE),
        frozenset({"shape"}),
    ),
)
