"""Images as they come in: files of Pillow's formats, as bytes of one size and one number of channels."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, BinaryIO, Literal

from pydantic import Field

from fac.diagnostics import FacError
from fac.spec.data import Data
from fac.spec.train import Positive
from fac.training.data.augment import Transform
from fac.training.dataset import Augment

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    from fac.training.scaling import Scaling

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
CHANNELS = {"grey": "L", "colour": "RGB"}
GREY = frozenset(("1", "L", "LA", "I", "I;16", "F"))
"""What Pillow calls pictures without colours."""
LARGEST = 1 << 28
"""Pixels of an image that is still unpacked: a small file may hold many."""


class Pictures(Data):
    """What sources of images have in common."""

    standardise: bool = Field(
        default=True,
        description="Each channel less its mean, over its standard deviation, both over the training images that are "
        "not held out, and kept with the state. If not, bytes from 0 to 255 are numbers from 0 to 1.",
    )
    flip: bool = Field(
        default=False,
        description="Training sees every second image with left and right changed, drawn anew each time.",
    )
    crop: int = Field(
        default=0,
        ge=0,
        description="Training sees images moved by up to so many pixels each way, drawn anew each time; what comes in "
        "is black.",
    )
    augment: tuple[Transform, ...] = Field(
        default=(),
        description="What else training changes in images, each time anew, by the names of "
        "`torchvision.transforms.v2`: `RandomHorizontalFlip`, `{ColorJitter: {brightness: 0.2}}`; needs torchvision.",
    )

    @property
    def scale(self) -> dict[str, tuple[int, ...] | Scaling]:
        """How their bytes become numbers, see `Dataset.scale`."""
        from fac.training.scaling import of_bytes

        return {"x": (1, 2) if self.standardise else of_bytes()}

    @property
    def by_step(self) -> tuple[str, ...]:
        """What training changes in them."""
        return tuple(name for name in ("flip", "crop", "augment") if getattr(self, name))

    @property
    def changes(self) -> Augment:
        """What training changes in them."""
        from fac.training.transforms import Transforms

        return Augment(self.flip, self.crop, Transforms(self.augment) if self.augment else None)

    def pixels(self, source: bytes | BinaryIO, place: str) -> NDArray[np.uint8]:
        """(channels, height, width) of an image as these are read, see `pixels`."""
        return pixels(source, place, None, None)


class Resized(Pictures):
    """Images that may be of many sizes, grey or in colours, and are made alike."""

    size: tuple[Positive, Positive] | None = Field(
        default=None,
        description="Height and width to which images are resized. Left out, all have to be of one size.",
    )
    channels: Literal["grey", "colour"] | None = Field(
        default=None, description="How images are read. Left out, all have to be grey, or all in colours."
    )

    def pixels(self, source: bytes | BinaryIO, place: str) -> NDArray[np.uint8]:
        """(channels, height, width) of an image as these are read, see `pixels`."""
        return pixels(source, place, self.channels, self.size)


def pixels(
    source: bytes | BinaryIO,
    place: str,
    channels: Literal["grey", "colour"] | None,
    size: tuple[int, int] | None,
) -> NDArray[np.uint8]:
    """The pixels of an image, (channels, height, width).

    Args:
        source: the file.
        place: what messages call it.
        channels: how it is read, or None for as it is: 1 of grey, 3 of colours.
        size: (height, width) to which it is resized, by bilinear interpolation; None if it is taken as it is.

    Raises:
        FacError: Pillow is not installed; it is no image, damaged or cut off, or too large.
    """
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        raise FacError(f'{place} needs Pillow: pip install "fac-compiler[images]"') from error
    try:
        with Image.open(BytesIO(source) if isinstance(source, bytes) else source, formats=FORMATS) as image:
            if image.width * image.height > LARGEST:
                raise FacError(f"{place} has {image.width} x {image.height} pixels: give a smaller one")
            return of_image(image, channels, size)
    except UnidentifiedImageError as error:  # Pillow's own words name an object of Python
        raise FacError(
            f"{place} is no image, or is damaged: it begins as none of {', '.join(FORMATS)}"
        ) from error
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        # whatever the bytes of a file can make Pillow say
        raise FacError(
            f"{place} is no image, or is damaged: {str(error)[:200] or type(error).__name__}"
        ) from error


def of_image(
    image: Image, channels: Literal["grey", "colour"] | None, size: tuple[int, int] | None
) -> NDArray[np.uint8]:
    """The pixels of an image that Pillow has opened, see `pixels`."""
    import numpy as np
    from PIL import Image

    mode = CHANNELS[channels] if channels else "L" if image.mode in GREY else "RGB"
    read = image.convert(mode)
    if size is not None and read.size != (size[1], size[0]):
        read = read.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    found = np.asarray(read, np.uint8)
    return found[None] if found.ndim == 2 else found.transpose(2, 0, 1)


class Alike:
    """Images that all have to be as the first one is."""

    def __init__(self, *, trained: bool = False) -> None:
        """`trained`: they are for a network that is trained, so that no setting can change how they are read."""
        self.first: tuple[str, tuple[int, ...]] | None = None
        self.trained = trained

    def required(self, found: NDArray[np.uint8], name: str) -> NDArray[np.uint8]:
        """An image, if it is so.

        Raises:
            FacError: it has another size, or is grey among colours.
        """
        if self.first is None:
            self.first = name, found.shape
        first, shape = self.first
        if found.shape == shape:
            return found
        if found.shape[0] != shape[0]:
            kinds = {1: "grey", 3: "in colours"}
            remedy = "give all alike" if self.trained else "write `channels: grey` or `channels: colour`"
            raise FacError(f"{name} is {kinds[found.shape[0]]}, and {first} is {kinds[shape[0]]}: {remedy}")
        remedy = "give all alike" if self.trained else f"write `size: [{shape[1]}, {shape[2]}]` to resize all"
        raise FacError(
            f"{name} has {found.shape[1]} x {found.shape[2]} pixels, and {first} {shape[1]} x {shape[2]}: {remedy}"
        )
