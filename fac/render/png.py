"""Pixels as a PNG file (ISO/IEC 15948): what a picture of samples is put together of."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, COLOUR = 0, 2


def png(pixels: NDArray[np.uint8]) -> bytes:
    """The file of an image.

    Args:
        pixels: (height, width) of grey values, or (height, width, 3) of red, green and blue.
    """
    height, width = pixels.shape[:2]
    # before each row stands how it is filtered: not at all
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    head = struct.pack(">2I5B", width, height, 8, GREY if pixels.ndim == 2 else COLOUR, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return SIGNATURE + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in parts
    )
