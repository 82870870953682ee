"""Folders of images: one folder for each class, as torchvision's `ImageFolder` and many archives have them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from fac.diagnostics import FacError
from fac.opening import DATA, opened, placed, unreadable
from fac.spec.data import Place
from fac.spec.train import Positive
from fac.training.data.images import ENDINGS, Alike, Pictures, pixels
from fac.training.data.parts import Parts, dataset
from fac.training.data.table import listed, short
from fac.training.dataset import DataKind, Dataset, Split

if TYPE_CHECKING:
    from logging import Logger

    import numpy as np
    from numpy.typing import NDArray

    from fac.backend import Precision


class ImageFolder(Parts, Pictures):
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
    size: tuple[Positive, Positive] | None = Field(
        default=None,
        description="Height and width to which images are resized. Left out, all have to be of one size.",
    )
    channels: Literal["grey", "colour"] | None = Field(
        default=None, description="How images are read. Left out, all have to be grey, or all in colours."
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
    place = f"`{data.train}` (`data.train`)"
    classes = _classes(base, data.train, place)
    read = _Reader(data, base, classes)
    made = dataset(data, "image_folder", read, scale=data.scale, classes=classes)
    return replace(made, augment=data.augment)


def _classes(base: Path, written: str, place: str) -> tuple[str, ...]:
    """The folders within, in the order of their names."""
    folder = placed(base, written, place)
    try:
        with os.scandir(folder) as entries:
            found = sorted(
                entry.name for entry in entries if entry.is_dir() and not entry.name.startswith(".")
            )
    except FileNotFoundError as error:
        raise FacError(
            f"{place} is not a folder: paths in a spec start from its own folder, here `{base}`"
        ) from error
    except OSError as error:
        raise unreadable(place, error) from error
    if not found:
        raise FacError(f"{place} has no folders, which would be its classes: put the images of each into one")
    return tuple(found)


class _Reader:
    """Reads folders; all images have to be as the first one is."""

    def __init__(self, data: ImageFolder, base: Path, classes: Sequence[str]) -> None:
        self.data, self.base, self.classes = data, base, classes
        self.alike = Alike()

    def __call__(self, written: str, place: str) -> tuple[Split, None]:
        """The samples of a folder."""
        import numpy as np

        from fac.memory import require_room

        folder = Path(placed(self.base, written, place))
        files = self._files(folder, written, place)
        first = self._image(folder, files[0][0], place)
        what = f"{len(files):,} images of {list(first.shape)} in {place}"
        require_room(what, first.size * len(files), "give fewer, or a smaller `data.size`")
        x = np.empty((len(files), *first.shape), np.uint8)
        for row, (file, _) in zip(x, files, strict=True):
            row[:] = self._image(folder, file, place)
        return Split(x, np.array([label for _, label in files], np.int64)), None

    def _files(self, folder: Path, written: str, place: str) -> list[tuple[str, int]]:
        """Each image below the folder and its class, in the order of classes and names."""
        found: list[tuple[str, int]] = []
        others = 0
        for name in _classes(self.base, written, place):
            if name not in self.classes:
                raise FacError(
                    f"{place} has a folder `{short(name)}`, which is no class of the training images: these are "
                    f"{listed(self.classes)}"
                )
            label, before = self.classes.index(name), len(found)
            for top, folders, files in os.walk(folder / name, onerror=_refuse(place)):
                folders.sort()
                for file in sorted(files):
                    if file.lower().endswith(ENDINGS):
                        found.append((os.path.relpath(os.path.join(top, file), folder), label))
                    elif not file.startswith("."):
                        others += 1
            if len(found) == before:
                raise FacError(
                    f"folder `{short(name)}` of {place} holds no image, which ends in {', '.join(ENDINGS)}: give it "
                    "some, or remove it"
                )
        if others:
            _log().info(
                "%s: %s of other kinds than images left out", place, f"{others:,} file{'s' * (others > 1)}"
            )
        return found

    def _image(self, folder: Path, file: str, place: str) -> NDArray[np.uint8]:
        name = f"`{file}` in {place}"
        with opened(folder / file, DATA, place=name, within=folder) as content:
            found = pixels(content, name, self.data.channels, self.data.size)
        return self.alike.required(found, name)


def _refuse(place: str) -> Callable[[OSError], None]:
    def refuse(error: OSError) -> None:
        raise unreadable(place, error) from error

    return refuse


def _log() -> Logger:
    import logging

    return logging.getLogger(__name__)


KIND = DataKind("image_folder", ImageFolder, load)
