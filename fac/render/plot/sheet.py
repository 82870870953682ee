"""The measures of a plot: one that is looked at on a screen, or one of the width and the letters of a paper."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import ceil, sqrt

from fac.diagnostics import FacError

INCH, POINT = 96.0, 96.0 / 72
"""In units of a picture, which are the pixels of CSS and 1/96 in."""
UNITS = {"in": INCH, "cm": INCH / 2.54, "mm": INCH / 25.4, "pt": POINT, "px": 1.0}
COLUMNS = 3
NARROWEST = 110.0
"""Of the ground of a panel, for letters of the usual size."""
SIZE = 11.0
"""Of letters that nobody has asked to be other."""
WIDTHS, SIZES = (1.0, 40.0), (4.0, 40.0)
"""Inches, and points, between which a paper has its figures and its letters."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """What the parts of a plot measure, in units of a picture."""

    width: float | None = None
    """Of the whole; None leaves each panel as wide as it is on a screen."""
    size: float = SIZE
    """Of letters."""

    @property
    def scale(self) -> float:
        """By which all is larger that goes with the letters."""
        return self.size / SIZE

    @property
    def small(self) -> float:
        """Letters of numbers."""
        return 9.5 * self.scale

    @property
    def large(self) -> float:
        """Letters of the title."""
        return 15.0 * self.scale

    @property
    def edge(self) -> float:
        """Around everything."""
        return (18.0 if self.width is None else 3.0) * self.scale

    @property
    def left(self) -> float:
        """Of the ground of a panel, for numbers."""
        return 52.0 * self.scale

    @property
    def right(self) -> float:
        """Of the ground of a panel."""
        return (16.0 if self.width is None else 8.0) * self.scale

    @property
    def above(self) -> float:
        """The ground of a panel, for its title."""
        return 26.0 * self.scale

    @property
    def below(self) -> float:
        """The ground of a panel, for steps."""
        return 30.0 * self.scale

    @property
    def entry(self) -> float:
        """A line of the legend."""
        return 18.0 * self.scale

    @property
    def swatch(self) -> float:
        """The sample of a line in it."""
        return 22.0 * self.scale

    def columns(self, panels: int) -> int:
        """How many panels stand side by side."""
        usual = min(COLUMNS, ceil(sqrt(panels)))
        if self.width is None:
            return usual
        room = self.width - 2 * self.edge
        return max(1, min(usual, int(room / (self.left + NARROWEST * self.scale + self.right))))

    def panel(self, columns: int) -> tuple[float, float]:
        """Width and height of the ground of a panel.

        Raises:
            FacError: the letters leave no room for it.
        """
        if self.width is None:
            return 250.0 * self.scale, 150.0 * self.scale
        width = (self.width - 2 * self.edge) / columns - self.left - self.right
        if width < NARROWEST * self.scale / 2:
            raise FacError(
                f"letters of {self.size / POINT:g} pt leave no room for curves in {self.width / INCH:.2f} in: "
                "ask for a larger `--width` or a smaller `--font-size`"
            )
        return width, 0.6 * width


SCREEN = Sheet()


def sheet(width: str | None = None, points: float | None = None) -> Sheet:
    """The sheet of a width such as `3.25in`, with letters of that many points.

    Raises:
        FacError: it is no width, or no paper has such a one, or such letters.
    """
    if points is not None and not SIZES[0] <= points <= SIZES[1]:
        raise FacError(f"letters of {points:g} pt: say {SIZES[0]:g} to {SIZES[1]:g}, such as 8")
    size = SIZE if points is None else points * POINT
    if width is None:
        return Sheet(size=size)
    known = ", ".join(f"`{unit}`" for unit in UNITS)
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) ?([a-z]+)", width)
    if found is None or found[2] not in UNITS:
        raise FacError(f"`{width}` is no width: write a number and one of {known}, such as `3.25in`")
    units = float(found[1]) * UNITS[found[2]]
    if not WIDTHS[0] <= units / INCH <= WIDTHS[1]:
        raise FacError(
            f"a picture of `{width}`: say {WIDTHS[0]:g} to {WIDTHS[1]:g} inches, such as `3.25in` for a column"
        )
    return Sheet(units, size)
