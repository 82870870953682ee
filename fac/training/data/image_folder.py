"""Folders of images: one folder for each class, as torchvision's `ImageFolder` and many archives have them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from fac.diagnostics import FacError
from fac.opening import MissingError, placed
from fac.spec.data import Place
from fac.training.data.folders import by_class, classes_of, read
from fac.training.data.images import Alike, Resized
from fac.training.data.parts import Parts, dataset
from fac.training.dataset import DataKind, Dataset, Split

if TYPE_CHECKING:
    from logging import Logger

    from fac.backend import Precision


class ImageFolder(Parts, Resized):
    """Folders `CLASS/anything.png`: a folder for each class, its images in it or below.

    Classes have the names of folders. A sample is [channels, height, width].
    """

    source: Literal["image_folder"] = Field(
        default="image_folder",
        description="Folders of images, one for each class; needs `fac-compiler[images]`.",
    )
    train: Annotated[str, Place()] = Field(
        description="Folder of the training images, or of all; relative to the folder of the spec."
    )
    test: Annotated[str | None, Place()] = Field(default=None, description="Folder of the test images.")
    validation_file: Annotated[str | None, Place()] = Field(
        default=None,
        description="Folder of the images that are held out, in place of a share by `validation`.",
    )

    @model_validator(mode="after")
    def _by_folders(self) -> ImageFolder:
        if self.split is not None:
            raise ValueError(
                "no image says to which split it belongs: write `test`, a folder, or `test_share: 0.2`"
            )
        return self


def load(data: ImageFolder, base: Path, precision: Precision) -> Dataset:
    """x (n, channels, height, width), bytes that are still to be scaled; y (n,) classes.

    Raises:
        FacError: Pillow is not installed, a folder is missing or has no images, classes differ between folders, an
            image is damaged, or images differ in size or colours.
    """
    alike = Alike()

    def found(written: str, place: str) -> tuple[Split, None]:
        import numpy as np

        folder = Path(placed(base, written, place))
        files = by_class(folder, place, classes)
        if files.told:
            _log().info("%s", files.told)
        return Split(read(folder, files.names, place, data, alike), np.array(files.labels, np.int64)), None

    try:
        place = f"`{data.train}` (`data.train`)"
        classes = classes_of(Path(placed(base, data.train, place)), place)
        made = dataset(data, "image_folder", found, scale=data.scale, classes=classes)
    except MissingError as error:
        raise FacError(f"{error}: paths in a spec start from its own folder, here `{base}`") from error
    return replace(made, augment=data.changes)


def _log() -> Logger:
    import logging

    return logging.getLogger(__name__)


KIND = DataKind("image_folder", ImageFolder, load)
