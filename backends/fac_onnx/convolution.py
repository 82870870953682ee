"""Convolutions in standard ONNX. onnxruntime has `Conv` and `ConvTranspose` for float32 alone on CPUs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fac.step.ir import Op
from fac.step.types import Shape
from fac_onnx.graph import INT64

if TYPE_CHECKING:
    from fac_onnx.emit import Emitter


def window(op: Op) -> dict[str, Any]:
    """The attributes of `Conv` and `ConvTranspose`."""
    top, bottom, left, right = settings(op, "padding")
    return {
        "strides": settings(op, "stride"),
        "pads": [top, left, bottom, right],
        "dilations": settings(op, "dilation"),
        "group": op["groups"],
    }


def settings(op: Op, name: str) -> list[int]:
    """A setting of several numbers."""
    value = op[name]
    assert isinstance(value, tuple)
    return [number for number in value if isinstance(number, int)]


def numbers(shape: Shape) -> list[int]:
    """A shape for `Reshape`: -1 stands for the one dimension that depends on N."""
    return [dim if isinstance(dim, int) else -1 for dim in shape]


def conv2d(e: Emitter, op: Op) -> str:
    """`Conv`."""
    return e.node("Conv", e.operands(op), op, **window(op))


def conv2d_input(e: Emitter, op: Op) -> str:
    """`ConvTranspose`, told how many rows and columns at the end no window reaches."""
    y, w = op.operands
    top, bottom, left, right = settings(op, "padding")
    axes = zip(
        settings(op, "size"),
        numbers(y.type.shape[2:]),
        numbers(w.type.shape[2:]),
        settings(op, "stride"),
        settings(op, "dilation"),
        (top + bottom, left + right),
        strict=True,
    )
    rest = [size + pad - (count - 1) * s - d * (k - 1) - 1 for size, count, k, s, d, pad in axes]
    return e.node("ConvTranspose", e.operands(op), op, output_padding=rest, **window(op))


def unfold(e: Emitter, op: Op) -> str:
    """One strided slice of the padded map for each number under the window, [u v, N, c, h, w], and these turned."""
    (x,), (name,) = op.operands, e.operands(op)
    n, c, height, width = x.type.shape
    top, bottom, left, right = settings(op, "padding")
    h, w = places(op, x.type.shape)
    if any((top, bottom, left, right)):
        pads = e.graph.constant([0, 0, top, left, 0, 0, bottom, right], INT64)
        tall, wide = numbers((height, width))
        shape = (n, c, tall + top + bottom, wide + left + right)
        name = e.part("Pad", [name, pads], op, "padded", e.float, shape)
    strides = settings(op, "stride")
    axes, steps = e.graph.constant([2, 3], INT64), e.graph.constant(strides, INT64)
    row = e.graph.constant([0], INT64)
    parts = []
    for tap, (i, j) in taps(op):
        start = e.graph.constant([i, j], INT64)
        end = e.graph.constant([i + strides[0] * (h - 1) + 1, j + strides[1] * (w - 1) + 1], INT64)
        part = e.part("Slice", [name, start, end, axes, steps], op, tap, e.float, (n, c, h, w))
        parts.append(e.part("Unsqueeze", [part, row], op, f"{tap}.row", e.float, (1, n, c, h, w)))
    whole = e.part("Concat", parts, op, "taps", e.float, (len(parts), n, c, h, w), axis=0)
    turned = e.part(
        "Transpose", [whole], op, "turned", e.float, (c, len(parts), n, h, w), perm=[2, 0, 1, 3, 4]
    )
    return e.node("Reshape", [turned, e.graph.constant(numbers(op.result.type.shape), INT64)], op)


def fold(e: Emitter, op: Op) -> str:
    """For each number under the window a map of what goes back there, and their sum."""
    n, c, height, width = op.result.type.shape
    tall, wide = numbers((height, width))
    top, _, left, _ = settings(op, "padding")
    (h, w), (s, t) = places(op, op.result.type.shape), settings(op, "stride")
    count = len(list(taps(op)))
    apart = e.graph.constant([*numbers((c,)), count, -1, h, w], INT64)
    given = e.part("Reshape", [*e.operands(op), apart], op, "apart", e.float, (c, count, n, h, w))
    whole = e.part("Transpose", [given], op, "taps", e.float, (count, n, c, h, w), perm=[1, 2, 0, 3, 4])
    first, maps = e.graph.constant([0], INT64), []
    for index, (tap, (i, j)) in enumerate(taps(op)):
        ends = [e.graph.constant([at], INT64) for at in (index, index + 1)]
        part = e.part("Slice", [whole, *ends, first], op, tap, e.float, (1, n, c, h, w))
        shape: Shape = (n, c, h, 1, w, 1)
        part = _reshaped(e, op, part, f"{tap}.numbers", shape)
        if (s, t) != (1, 1):  # zeros between them
            pads = e.graph.constant([*[0] * 9, s - 1, 0, t - 1], INT64)
            part = e.part("Pad", [part, pads], op, f"{tap}.spread", e.float, (n, c, h, s, w, t))
        part = _reshaped(e, op, part, f"{tap}.rows", (n, c, h * s, w * t))
        y, x = i - top, j - left
        around = [0, 0, y, x, 0, 0, tall - h * s - y, wide - w * t - x]  # below zero it is cut off
        pads = e.graph.constant(around, INT64)
        maps.append(e.part("Pad", [part, pads], op, f"{tap}.map", e.float, (n, c, tall, wide)))
    return e.node("Sum", maps, op)


def places(op: Op, shape: Shape) -> tuple[int, int]:
    """How many there are along each axis of a map."""
    top, bottom, left, right = settings(op, "padding")
    axes = zip(
        numbers(shape[2:]),
        settings(op, "kernel"),
        settings(op, "stride"),
        settings(op, "dilation"),
        (top + bottom, left + right),
        strict=True,
    )
    h, w = (1 + (size + pad - d * (k - 1) - 1) // s for size, k, s, d, pad in axes)
    return h, w


def taps(op: Op) -> Iterator[tuple[str, tuple[int, int]]]:
    """The numbers under the window: a name, and where it is from the window's corner."""
    (u, v), (d, f) = settings(op, "kernel"), settings(op, "dilation")
    for i in range(u):
        for j in range(v):
            yield f"{i}_{j}", (i * d, j * f)


def _reshaped(e: Emitter, op: Op, name: str, part: str, shape: Shape) -> str:
    return e.part("Reshape", [name, e.graph.constant(numbers(shape), INT64)], op, part, e.float, shape)
