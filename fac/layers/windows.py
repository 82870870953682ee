"""Windows that move over maps [channels, height, width] or sequences [channels, length]: settings and places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from fac.layers.inputs import Natural, by
from fac.program.kinds import ShapeError
from fac.step.ir import Attribute

Padding = Natural | tuple[Natural, Natural] | Literal["same", "valid"]
Axes = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Window:
    """Settings along each axis."""

    kernel: Axes
    stride: Axes
    sides: tuple[tuple[int, int], ...]
    """How many zeros stand before and behind the map."""
    dilation: Axes

    @property
    def extent(self) -> Axes:
        """How many rows and columns it spans."""
        return tuple(d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation, strict=True))

    @property
    def padding(self) -> Axes:
        """Before and behind, axis by axis."""
        return tuple(zeros for sides in self.sides for zeros in sides)

    def attributes(self) -> dict[str, Attribute]:
        """Of the ops on maps, of which a sequence is one of height 1."""
        lead = 2 - len(self.kernel)
        return {
            "stride": (1,) * lead + self.stride,
            "padding": (0, 0) * lead + self.padding,
            "dilation": (1,) * lead + self.dilation,
        }


def window(
    kernel: Axes, stride: Axes, padding: Axes | Literal["same", "valid"], dilation: Axes | None = None
) -> Window:
    """The settings of a layer, axis by axis. `same` adds what a stride of 1 needs to keep the size.

    Of an odd number of zeros the one more stands behind the map, as in PyTorch.

    Raises:
        ShapeError: `same` with another stride.
    """
    dilation = dilation or (1,) * len(kernel)
    none = Window(kernel, stride, ((0, 0),) * len(kernel), dilation)
    if padding == "valid":
        return none
    if padding != "same":
        return Window(kernel, stride, tuple((zeros, zeros) for zeros in padding), dilation)
    if any(step > 1 for step in stride):
        raise ShapeError(
            f"`same` keeps the size of what is read, which a stride of {by(stride)} does not",
            _instead(none),
            "padding",
        )
    zeros = [extent - 1 for extent in none.extent]
    return Window(kernel, stride, tuple((z // 2, z - z // 2) for z in zeros), dilation)


def _instead(moved: Window) -> str:
    """What to write for `same` at a stride: numbers that make of n rows n / stride, rounded up, where there are any."""
    half = [extent // 2 for extent in moved.extent]
    number = str(half[0] if len(set(half)) == 1 else half)
    if any(extent % 2 == 0 for extent in moved.extent):
        return f"write the padding as a number, such as {number}"
    return f"write `padding: {number}`, which keeps one number of {by(moved.stride)}, rounded up"


def places(name: str, window: Window, size: Sequence[int]) -> Axes:
    """How many the window takes along each axis.

    Raises:
        ShapeError: it is larger than what it moves over.
    """
    extent, room = window.extent, [s + sum(zeros) for s, zeros in zip(size, window.sides, strict=True)]
    if any(e > r for e, r in zip(extent, room, strict=True)):
        what = "map" if len(size) > 1 else "sequence"
        spread = "" if extent == window.kernel else f", spread over {by(extent)}"
        padded = "" if room == list(size) else f", {by(room)} with its padding"
        raise ShapeError(
            f"the kernel of `{name}`, {by(window.kernel)}{spread}, is larger than the {what} that it reads, "
            f"{by(size)}{padded}",
            f"use a smaller kernel or more padding, or shrink the {what} less before",
            "kernel",
        )
    return tuple((r - e) // s + 1 for r, e, s in zip(room, extent, window.stride, strict=True))


def beyond(window: Window, size: Sequence[int]) -> Axes:
    """By how much one more window along each axis ends behind a map, if it begins in it or before it; else 0."""
    found = []
    for n, k, s, (before, after) in zip(size, window.extent, window.stride, window.sides, strict=True):
        fitting, left = divmod(n + before + after - k, s)
        found.append(s - left if left and (fitting + 1) * s < n + before else 0)
    return tuple(found)
