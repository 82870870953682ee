"""PNG and PDF, made of the SVG text by a library that brings its own fonts."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

from fac.diagnostics import FacError
from fac.render.graph.picture import Picture

if TYPE_CHECKING:
    from PIL.Image import Image as Pixels

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
        raise _missing(name, "vl-convert-python") from error
    if name == "pdf":
        return bytes(vl_convert.svg_to_pdf(svg))
    pixels = picture.width * picture.height
    if pixels > LARGEST:
        size = f"{picture.width:.0f} x {picture.height:.0f}"
        raise FacError(f"the picture is too large for PNG ({size} units): write it as SVG or PDF")
    scale = min(SCALE, (LARGEST / pixels) ** 0.5)
    if not picture.bare:
        return bytes(vl_convert.svg_to_png(svg, scale=scale))
    white, black = (
        bytes(vl_convert.svg_to_png(_grounded(svg, picture, ground), scale=scale))
        for ground in ("white", "black")
    )
    return _without_ground(white, black)


def _grounded(svg: str, picture: Picture, ground: str) -> str:
    size = f'width="{picture.width}" height="{picture.height}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}><rect {size} fill="{ground}"/>{svg}</svg>'


def _without_ground(white: bytes, black: bytes) -> bytes:
    """The picture that looks so on white and on black.

    The library itself cuts the colours of what is translucent off at their opacity, which makes all bands grey. On a
    ground g a colour c of opacity a is a c + (1 - a) g (Porter and Duff 1984): on black that is a c, and 1 - a is the
    difference of both.

    Raises:
        FacError: what takes pixels apart is not installed.
    """
    try:
        from PIL import Image, ImageChops
    except ImportError as error:
        raise _missing("png", "pillow") from error

    def opened(png: bytes) -> Pixels:
        with Image.open(BytesIO(png)) as image:
            return image.convert("RGB")

    light, dark = opened(white), opened(black)
    opacity = ImageChops.invert(ImageChops.difference(light, dark)).getchannel("G")
    made = BytesIO()
    Image.merge("RGBa", (*dark.split(), opacity)).convert("RGBA").save(made, "PNG")
    return made.getvalue()


def _missing(name: str, package: str) -> FacError:
    return FacError(f'a picture as {name.upper()} needs {package}: pip install "fac-compiler[viz]"')
