"""Windows that move over a map [channels, height, width]: their settings, and how many places they take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fac.layers.inputs import Natural, both, by
from fac.program.kinds import ShapeError

Padding = Natural | tuple[Natural, Natural] | Literal["same", "valid"]


@dataclass(frozen=True, slots=True)
class Window:
    """Settings along both axes."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]
    """Top, bottom, left, right."""
    dilation: tuple[int, int] = (1, 1)

    @property
    def extent(self) -> tuple[int, int]:
        """The rows and columns that it spans."""
        height, width = (d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation, strict=True))
        return height, width


def window(
    kernel: int | tuple[int, int],
    stride: int | tuple[int, int],
    padding: int | tuple[int, int] | Literal["same", "valid"],
    dilation: int | tuple[int, int] = 1,
) -> Window:
    """The settings of a layer along both axes. `same` adds what a stride of 1 needs to keep the size.

    Of an odd number of rows the one more is at the bottom, of columns at the right, as in PyTorch.

    Raises:
        ShapeError: `same` with another stride.
    """
    bare = Window(both(kernel), both(stride), (0, 0, 0, 0), both(dilation))
    if padding == "valid":
        return bare
    if padding != "same":
        (rows, columns) = both(padding)
        return Window(bare.kernel, bare.stride, (rows, rows, columns, columns), bare.dilation)
    if bare.stride != (1, 1):
        raise ShapeError(
            f"`same` keeps the size of a map, which a stride of {by(bare.stride)} does not",
            "write the padding as a number",
            "padding",
        )
    height, width = (extent - 1 for extent in bare.extent)
    sides = height // 2, height - height // 2, width // 2, width - width // 2
    return Window(bare.kernel, bare.stride, sides, bare.dilation)


def places(name: str, window: Window, size: tuple[int, int]) -> tuple[int, int]:
    """How many the window takes along each axis.

    Raises:
        ShapeError: it is larger than the map.
    """
    top, bottom, left, right = window.padding
    room = size[0] + top + bottom, size[1] + left + right
    extent = window.extent
    if extent[0] > room[0] or extent[1] > room[1]:
        spread = "" if extent == window.kernel else f", spread over {by(extent)}"
        padded = "" if room == size else f", {by(room)} with its padding"
        raise ShapeError(
            f"the kernel of `{name}`, {by(window.kernel)}{spread}, is larger than the map that it reads, "
            f"{by(size)}{padded}",
            "use a smaller kernel or more padding, or shrink the map less before",
            "kernel",
        )
    h, w = ((r - e) // s + 1 for r, e, s in zip(room, extent, window.stride, strict=True))
    return h, w
