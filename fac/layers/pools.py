"""Pools: of each window of a map, channel by channel, one number."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, ClassVar, Literal

from pydantic import Field

from fac.layers.inputs import Room, Size, both, by, channels, only
from fac.layers.windows import Window, beyond, places, window
from fac.program.kinds import (
    Counterpart,
    Facts,
    LayerKind,
    Mode,
    NoCounterpartError,
    Seen,
    ShapeError,
    State,
    same,
)
from fac.program.program import Shape
from fac.program.traits import Traits
from fac.spec.layers import Layer
from fac.step.builder import Builder
from fac.step.ir import Attribute, Value
from fac.step.ops.maps import map_of

FAR = 1e30
"""How far below the map is what stands behind it: a maximum of less in a window there is lost."""


class Pool(Layer):
    """A layer that moves a window over maps."""

    other_keys: ClassVar = {
        "kernel_size": "kernel",
        "pool_size": "kernel",
        "size": "kernel",
        "strides": "stride",
    }

    kernel: Size = Field(description="Height and width of the window.")
    stride: Size | None = Field(None, description="By how much the window moves. Default: by its own size.")
    padding: Room = Field(
        0, description="Rows at the top and at the bottom, columns at the left and at the right."
    )
    ceil_mode: bool = Field(
        False,
        description="Whether there is one more window where it begins in the map, or before it, and ends behind.",
    )

    @property
    def window(self) -> Window:
        """Its settings along both axes."""
        kernel = both(self.kernel)
        return window(kernel, kernel if self.stride is None else both(self.stride), both(self.padding))


class MaxPool2d(Pool):
    """The largest number of each window. What is padded never wins; of equal numbers the first does, row by row.

    Of H rows it makes floor((H + 2 padding - kernel) / stride) + 1, and so of columns.
    """

    kind: Literal["max_pool2d"] = "max_pool2d"
    other_kinds: ClassVar = {"maxpooling2d": "", "maxpooling": ""}


class AvgPool2d(Pool):
    """The mean of each window. What is padded counts as zeros, as PyTorch has it by default, or not at all.

    Of H rows it makes floor((H + 2 padding - kernel) / stride) + 1, and so of columns.
    """

    kind: Literal["avg_pool2d"] = "avg_pool2d"
    other_kinds: ClassVar = {"averagepooling2d": "", "averagepooling": ""}
    count_include_pad: bool = Field(
        True,
        description="Whether zeros that are padded count; if not, a mean is one of the numbers of the map alone.",
    )


class AdaptiveAvgPool2d(Layer):
    """Means over the cells of a grid of a given size, whatever the size of the map.

    Where that does not divide, cells share rows and columns, as in PyTorch: of n cells along a size H cell i goes from
    floor(i H / n) to ceil((i + 1) H / n).
    """

    kind: Literal["adaptive_avg_pool2d"] = "adaptive_avg_pool2d"
    other_keys: ClassVar = {"output_size": "out"}
    out: Size = Field(description="Height and width of what it makes.")


class GlobalAvgPool(Layer):
    """The mean of each channel over all of its places: [C, H, W] becomes [C]."""

    kind: Literal["global_avg_pool"] = "global_avg_pool"
    other_kinds: ClassVar = {"globalaveragepooling2d": "", "gap": ""}


def infer_window(layer: Pool, name: str, inputs: Sequence[Shape]) -> Facts:
    """[C, H, W] -> [C, h, w], with h = (H + 2 padding - kernel) // stride + 1."""
    c, size = channels(name, inputs)
    moved = layer.window
    rows, columns = (k // 2 for k in moved.kernel)
    if moved.padding[0] > rows or moved.padding[2] > columns:
        raise ShapeError(
            f"`{name}` pads by {by(both(layer.padding))}, which is more than half of its kernel, {by(moved.kernel)}",
            f"use a padding of at most {by((rows, columns))}",
            "padding",
        )
    fitting = places(name, moved, size)
    more = beyond(moved, size) if layer.ceil_mode else (0,) * len(size)
    return Facts((c, *(n + bool(rows) for n, rows in zip(fitting, more, strict=True))), channels=0)


def attributes(layer: Pool) -> dict[str, Attribute]:
    """Of its op."""
    return {"kernel": layer.window.kernel, "stride": layer.window.stride, "padding": both(layer.padding)}


def max_pool2d(b: Builder, layer: MaxPool2d, inputs: Sequence[Value], state: State, mode: Mode) -> Value:
    """The op of that name; beyond the edge is what never wins."""
    (x,) = inputs
    if not any(more := reach(layer, x)):
        return b.emit("max_pool2d", x, **attributes(layer))
    outside = b.mul(b.sub(behind(b, ones(b, map_of(x.type)[2]), more), 1.0), FAR)
    return b.emit("max_pool2d", b.add(behind(b, x, more), outside), **attributes(layer))


def avg_pool2d(b: Builder, layer: AvgPool2d, inputs: Sequence[Value], state: State, mode: Mode) -> Value:
    """The op of that name, divided by the share of each window that counts, where that is not all of it."""
    (x,) = inputs
    more, settings = reach(layer, x), attributes(layer)
    mean = b.emit("avg_pool2d", behind(b, x, more), **settings)
    if not any(more) and (layer.count_include_pad or not any(layer.window.padding)):
        return mean
    counted: Sequence[int] = map_of(x.type)[2]
    if layer.count_include_pad:
        counted = [n + 2 * p for n, p in zip(counted, both(layer.padding), strict=True)]
        settings["padding"] = (0, 0)
    share = b.emit("avg_pool2d", behind(b, ones(b, counted), more), **settings)
    return b.div(mean, b.label(share, "share"))


def reach(layer: Pool, x: Value) -> Sequence[int]:
    """How many rows and columns behind a map its last windows see."""
    return beyond(layer.window, map_of(x.type)[2]) if layer.ceil_mode else (0, 0)


def behind(b: Builder, x: Value, more: Sequence[int]) -> Value:
    """A map with so many rows and columns of zeros behind it."""
    return b.emit("pad", x, before=(0, 0, 0, 0), after=(0, 0, *more)) if any(more) else x


def ones(b: Builder, size: Sequence[int]) -> Value:
    """A map of them."""
    return b.emit("broadcast_to", b.constant(1.0), shape=(1, 1, *size))


def infer_adaptive(layer: AdaptiveAvgPool2d, name: str, inputs: Sequence[Shape]) -> Facts:
    """[C, H, W] -> [C, *out]."""
    c, _ = channels(name, inputs)
    return Facts((c, *both(layer.out)), channels=0)


def adaptive(
    b: Builder, layer: AdaptiveAvgPool2d, inputs: Sequence[Value], state: State, mode: Mode
) -> Value:
    """Windows that lie side by side, if the sizes divide; else an op of its own."""
    (x,) = inputs
    _, _, size = map_of(x.type)
    if (cell := _cell(size, both(layer.out))) is not None:
        return b.emit("avg_pool2d", x, kernel=cell, stride=cell, padding=(0, 0))
    return b.emit("adaptive_avg_pool2d", x, size=both(layer.out))


def _cell(size: Sequence[int], out: Sequence[int]) -> tuple[int, ...] | None:
    """Rows and columns of each cell of a grid; None if they are not all equal."""
    if any(a % n for a, n in zip(size, out, strict=True)):
        return None
    return tuple(a // n for a, n in zip(size, out, strict=True))


def infer_global(layer: GlobalAvgPool, name: str, inputs: Sequence[Shape]) -> Facts:
    """[C, ...] -> [C]."""
    shape = only(name, inputs)
    if len(shape) < 2:
        raise ShapeError(
            f"`{name}` reads {list(shape)}: there is nothing behind the channels to average over",
            "take it out, or put it before the layer that flattens the map",
        )
    return Facts(shape[:1], channels=0, axes=(0,))


def global_avg_pool(
    b: Builder, layer: GlobalAvgPool, inputs: Sequence[Value], state: State, mode: Mode
) -> Value:
    """The mean over all axes but those of samples and channels."""
    (x,) = inputs
    return b.mean(x, range(2, len(x.type.shape)))


def largest(layer: MaxPool2d, facts: Facts | None) -> Traits:
    """Each error goes to one number; where windows overlap, several may meet there."""
    apart = all(s >= k for s, k in zip(layer.window.stride, layer.window.kernel, strict=True))
    return Traits(zero=True, homogeneous=True, sign=True, error=1.0 if apart else None)


def averaged(numbers: float | None) -> Traits:
    """Of means over so many numbers each, which are taken for independent: as large as one in so many of them."""
    part = None if numbers is None else 1 / numbers
    return Traits(zero=True, homogeneous=True, sign=True, value=part, error=part)


def windows(layer: AvgPool2d, facts: Facts | None) -> Traits:
    """Zeros make the means at the edges smaller than the others."""
    return averaged(None if any(layer.window.padding) or layer.ceil_mode else prod(layer.window.kernel))


def cells(layer: AdaptiveAvgPool2d, facts: Facts | None) -> Traits:
    """Of a grid."""
    cell = None if facts is None else _cell(facts.reads[0][1:], both(layer.out))
    return averaged(None if cell is None else prod(cell))


def whole(layer: GlobalAvgPool, facts: Facts | None) -> Traits:
    """Of a channel."""
    return averaged(None if facts is None else prod(facts.reads[0][1:]))


def from_max_pool2d(seen: Seen) -> MaxPool2d:
    """Of `torch.nn.functional.max_pool2d`."""
    if {*seen.args["dilation"]} != {1}:
        raise NoCounterpartError("a window whose numbers lie side by side, `dilation=1`")
    return MaxPool2d(**_moved(seen))


def from_avg_pool2d(seen: Seen) -> AvgPool2d:
    """Of `torch.nn.functional.avg_pool2d`."""
    if seen.args["divisor_override"] is not None:
        raise NoCounterpartError("means, and no sums over another divisor")
    # without padding it says nothing
    counts = bool(seen.args["count_include_pad"]) or not any(seen.args["padding"])
    return AvgPool2d(**_moved(seen), count_include_pad=counts)


def from_adaptive(seen: Seen) -> AdaptiveAvgPool2d:
    """Of `torch.nn.functional.adaptive_avg_pool2d`."""
    return AdaptiveAvgPool2d(out=same(seen.args["output_size"]))


def _moved(seen: Seen) -> dict[str, Any]:
    kernel, stride = same(seen.args["kernel_size"]), same(seen.args["stride"] or None)
    padding = same(seen.args["padding"])
    moved = window(both(kernel), both(stride or kernel), both(padding))
    return {
        "kernel": kernel,
        "stride": None if stride == kernel else stride,
        "padding": padding,
        # where no window reaches over the edge it says nothing
        "ceil_mode": bool(seen.args["ceil_mode"]) and any(beyond(moved, seen.shapes["self"][-2:])),
    }


MAX_POOL2D = LayerKind(
    "max_pool2d",
    MaxPool2d,
    infer_window,
    max_pool2d,
    traits=largest,
    counterparts=(Counterpart("aten.max_pool2d", from_max_pool2d, "sample", input="self"),),
)
AVG_POOL2D = LayerKind(
    "avg_pool2d",
    AvgPool2d,
    infer_window,
    avg_pool2d,
    traits=windows,
    counterparts=(Counterpart("aten.avg_pool2d", from_avg_pool2d, "sample", input="self"),),
)
ADAPTIVE_AVG_POOL2D = LayerKind(
    "adaptive_avg_pool2d",
    AdaptiveAvgPool2d,
    infer_adaptive,
    adaptive,
    traits=cells,
    counterparts=(Counterpart("aten.adaptive_avg_pool2d", from_adaptive, "sample", input="self"),),
)
GLOBAL_AVG_POOL = LayerKind("global_avg_pool", GlobalAvgPool, infer_global, global_avg_pool, traits=whole)
POOLS = (MAX_POOL2D, AVG_POOL2D, ADAPTIVE_AVG_POOL2D, GLOBAL_AVG_POOL)
