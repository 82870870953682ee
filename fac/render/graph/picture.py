"""A picture as plain data: boxes, lines and words with coordinates. x grows to the right and y downwards."""

from __future__ import annotations

from dataclasses import dataclass

from fac.program.program import Route
from fac.render.graph.pens import Pen

Point = tuple[float, float]
Tip = tuple[Point, str]
"""An arrowhead: its tip, and where it points: `l`, `r`, `u` or `d`."""
TIP = 7.0
"""Length of an arrowhead."""


@dataclass(frozen=True, slots=True)
class Rect:
    """A rectangle."""

    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        """Its right edge."""
        return self.x + self.width

    @property
    def bottom(self) -> float:
        """Its lower edge."""
        return self.y + self.height


@dataclass(frozen=True, slots=True)
class Words:
    """A line of text."""

    text: str
    size: float = 11.5
    bold: bool = False
    tone: str = "ink"


@dataclass(frozen=True, slots=True)
class Box:
    """A thing with a border and centred words. `look` says which: `layer`, `error`, `subspace`, ..."""

    rect: Rect
    look: str
    words: tuple[Words, ...] = ()
    title: str = ""
    stacked: bool = False
    """Whether it stands for several."""
    opens: str = ""
    """The sides that have no border, `l` and `r`: there it goes on in another row."""


@dataclass(frozen=True, slots=True)
class Label:
    """Words without a border, one below the other; `align` is `start`, `middle` or `end`."""

    rect: Rect
    words: tuple[Words, ...]
    align: str = "start"
    title: str = ""


@dataclass(frozen=True, slots=True)
class Wire:
    """Lines of one pen, their arrowheads and junctions."""

    lines: tuple[tuple[Point, ...], ...]
    pen: Pen
    tips: tuple[Tip, ...] = ()
    dots: tuple[Point, ...] = ()
    title: str = ""
    routes: tuple[Route, ...] = ()
    """The routes that it stands for."""


@dataclass(frozen=True, slots=True)
class Area:
    """A shape without a border, through which one sees what lies under it."""

    corners: tuple[Point, ...]
    tone: str
    opacity: float = 0.18


@dataclass(frozen=True, slots=True)
class Raster:
    """Pixels that fill a rectangle, each a square of one colour."""

    rect: Rect
    png: bytes
    title: str = ""


@dataclass(frozen=True, slots=True)
class Picture:
    """What is drawn, the first things undermost. Without words above and below the drawing it has no ground, too."""

    width: float
    height: float
    name: str
    summary: str
    story: str
    """The same in words."""
    boxes: tuple[Box, ...]
    wires: tuple[Wire, ...]
    labels: tuple[Label, ...]
    bare: bool = False
    areas: tuple[Area, ...] = ()
    rasters: tuple[Raster, ...] = ()
