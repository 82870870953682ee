"""A picture of samples: rows of a class each, of images as they look and of other numbers as stripes of grey."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from typing import TYPE_CHECKING

from fac.render.graph import image, svg
from fac.render.graph.picture import Label, Picture, Raster, Rect, Words
from fac.render.png import png

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FORMATS = ("svg", "png", "pdf")
"""The suffixes that `fac data --picture` takes."""
EACH = 10
"""Samples of a row."""
ROWS = 20
"""Classes that are shown."""
SIDE, GAP, LEFT, TOP, LINE = 48.0, 4.0, 110.0, 54.0, 11.5
WIDEST = 1024
"""Numbers of a sample without shape that are drawn."""
SHORT = 16
"""Letters of a name."""


def render(
    x: NDArray[np.floating], labels: NDArray[np.int64] | None, names: Sequence[str], title: str, kind: str
) -> bytes:
    """The picture of the first samples, of each class if there are some.

    Args:
        x: (n, *sample) numbers: (height, width) and (1 or 3, height, width) are images, all else is one row.
        labels: (n,) of whole numbers, if each sample has one.
        names: what classes are called, in the order of their numbers.
        title: what is shown.
        kind: one of `FORMATS`.

    Raises:
        FacError: PNG and PDF need a package that is not installed.
    """
    picture = _picture(x, _rows(len(x), labels, names), title)
    text = svg.render(picture)
    return text.encode() if kind == "svg" else image.convert(picture, text, kind)


def _rows(n: int, labels: NDArray[np.int64] | None, names: Sequence[str]) -> Mapping[str, Sequence[int]]:
    """The samples of each row, by what stands before it."""
    import numpy as np

    if labels is None:
        few = range(min(n, EACH * 3))
        return {f"from {start}": few[start : start + EACH] for start in range(0, len(few), EACH)}
    found = {}
    for label in np.unique(labels)[:ROWS].tolist():
        name = names[label] if 0 <= label < len(names) else str(label)
        found[f"{label}: {name}" if name in found else name] = np.flatnonzero(labels == label)[:EACH].tolist()
    return found


def _picture(x: NDArray[np.floating], rows: Mapping[str, Sequence[int]], title: str) -> Picture:
    shown = [row for each in rows.values() for row in each]
    images = pixels(x[shown])
    height, width = images[0].shape[:2]
    high, wide = SIDE * min(1.0, height / width), SIDE * min(1.0, width / height)
    if height == 1:
        high, wide = 12.0, SIDE * 2
    labels = [Label(Rect(10, 10, 0, 18), (Words(title, 14, bold=True),))]
    rasters = []
    left = iter(zip(shown, images, strict=True))
    for number, (name, each) in enumerate(rows.items()):
        y = TOP + number * (high + GAP)
        short = name if len(name) <= SHORT else f"{name[: SHORT - 1]}…"
        labels.append(Label(Rect(10, y, LEFT - 20, high), (Words(short, LINE),), title=name))
        for place, (sample, found) in zip(range(len(each)), left, strict=False):
            rect = Rect(LEFT + place * (wide + GAP), y, wide, high)
            rasters.append(Raster(rect, png(found), f"sample {sample}"))
    most = max(len(each) for each in rows.values())
    return Picture(
        max(LEFT + most * (wide + GAP) + 10, 10 + 8.0 * len(title)),
        TOP + len(rows) * (high + GAP) + 10,
        title,
        f"{len(shown)} samples",
        f"Samples of {', '.join(rows)}; black is the smallest number of each, white the largest.",
        (),
        (),
        tuple(labels),
        rasters=tuple(rasters),
    )


def pixels(x: NDArray[np.floating]) -> list[NDArray[np.uint8]]:
    """Each sample as (height, width) of grey or (height, width, 3), from its smallest number to its largest."""
    import numpy as np

    shape = x.shape[1:]
    if len(shape) == 3 and shape[0] == 3:
        maps = x.transpose(0, 2, 3, 1)
    elif len(shape) == 3 and shape[0] == 1:
        maps = x[:, 0]
    elif len(shape) == 2:
        maps = x
    else:
        flat = x.reshape(len(x), -1)
        maps = flat[:, None, :: max(1, ceil(flat.shape[1] / WIDEST))]
    made = []
    for one in maps.astype(np.float64):
        low, high = one.min(), one.max()
        made.append(np.rint((one - low) * (255 / (high - low) if high > low else 0.0)).astype(np.uint8))
    return made
