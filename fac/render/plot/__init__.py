"""Plots of what runs have logged.

`figure` picks curves out of tables and `layout` places them; what writes pictures of a program (`fac.render.graph`)
writes these, too.
"""

from __future__ import annotations

from fac.render.plot.figure import Figure, Trial, figure
from fac.render.plot.sheet import POINT, SCREEN, Sheet, sheet
from fac.render.plot.topics import TOPICS

FORMATS = ("svg", "png", "pdf")
"""The suffixes that `fac plot -o` takes."""


def render(
    found: Figure, name: str, *, bare: bool = False, light: bool = False, sheet: Sheet = SCREEN
) -> bytes:
    """The picture of a figure.

    Args:
        found: what to draw.
        name: one of `FORMATS`.
        bare: without title and ground.
        light: SVG that stays light where its reader's setting is dark. The other formats are light.
        sheet: how wide it is, and how large its letters are.

    Raises:
        FacError: PNG and PDF need a package that is not installed, or the picture is too large for them.
    """
    from fac.render.graph import image, svg
    from fac.render.plot.layout import laid_out

    picture = laid_out(found, bare, sheet)
    # a unit of a PDF is a point, and a paper takes a picture for as wide as it says
    zoom = 1 / POINT if name == "pdf" and sheet.width is not None else 1.0
    text = svg.render(picture, light, zoom=zoom)
    return text.encode() if name == "svg" else image.convert(picture, text, name)


__all__ = ["FORMATS", "TOPICS", "Figure", "Sheet", "Trial", "figure", "render", "sheet"]
