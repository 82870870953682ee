"""PNG and PDF, made of the SVG text by a library that brings its own fonts."""

from __future__ import annotations

from fac.diagnostics import FacError
from fac.render.graph.picture import Picture

SCALE = 2.0
"""Pixels of a PNG for one unit: sharp on dense screens, and in print at half the size."""
LARGEST = 80_000_000
"""Pixels: what programs that show pictures still open."""


def convert(picture: Picture, svg: str, name: str) -> bytes:
    """The bytes of a `png` or `pdf` file.

    Raises:
        FacError: the library is not installed, or the PNG would be too large.
    """
    try:
        import vl_convert
    except ImportError as error:
        raise FacError(
            f'a picture as {name.upper()} needs vl-convert-python: pip install "fac-compiler[viz]"'
        ) from error
    if name == "pdf":
        return bytes(vl_convert.svg_to_pdf(svg))
    pixels = picture.width * picture.height
    if pixels > LARGEST:
        size = f"{picture.width:.0f} x {picture.height:.0f}"
        raise FacError(f"the picture is too large for PNG ({size} units): write it as SVG or PDF")
    scale = min(SCALE, (LARGEST / pixels) ** 0.5)
    return bytes(vl_convert.svg_to_png(svg, scale=scale))
