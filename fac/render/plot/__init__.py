"""Plots of what runs have logged.

`figure` picks curves out of tables and `layout` places them; what writes pictures of a program (`fac.render.graph`)
writes these, too.
"""

from __future__ import annotations

from fac.render.plot.figure import Figure, Trial, figure

FORMATS = ("svg", "png", "pdf")
"""The suffixes that `fac plot -o` takes."""


def render(found: Figure, name: str, *, bare: bool = False, light: bool = False) -> bytes:
    """The picture of a figure.

    Args:
        found: what to draw.
        name: one of `FORMATS`.
        bare: without title and ground.
        light: SVG that stays light where its reader's setting is dark. The other formats are light.

    Raises:
        FacError: PNG and PDF need a package that is not installed, or the picture is too large for them.
    """
    from fac.render.graph import image, svg
    from fac.render.plot.layout import laid_out

    picture = laid_out(found, bare)
    text = svg.render(picture, light)
    return text.encode() if name == "svg" else image.convert(picture, text, name)


__all__ = ["FORMATS", "Figure", "Trial", "figure", "render"]
