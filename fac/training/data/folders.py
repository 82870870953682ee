"""Folders of image files: which there are, to which classes they belong, and their pixels."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fac.diagnostics import FacError
from fac.opening import DATA, MissingError, opened, unreadable
from fac.training.data.images import ENDINGS, Alike, Pictures
from fac.training.data.table import SHOWN, listed, short

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Files:
    """Images of a folder."""

    names: tuple[str, ...]
    """Seen from the folder."""
    labels: tuple[int, ...]
    """The class of each; empty if nobody asked for them."""
    told: str
    """What is to be said of files that are left out; empty if there are none."""


def classes_of(folder: Path, place: str) -> tuple[str, ...]:
    """The folders within, in the order of their names.

    Args:
        folder: that of all images.
        place: what messages call it.

    Raises:
        MissingError: it does not exist.
        FacError: it cannot be read, or has no folders.
    """
    try:
        with os.scandir(folder) as entries:
            found = sorted(
                entry.name for entry in entries if entry.is_dir() and not entry.name.startswith(".")
            )
    except FileNotFoundError as error:
        raise MissingError(f"{place} is not a folder") from error
    except OSError as error:
        raise unreadable(place, error) from error
    if not found:
        raise FacError(f"{place} has no folders, which would be its classes: put the images of each into one")
    return tuple(found)


def by_class(folder: Path, place: str, classes: Sequence[str]) -> Files:
    """Each image below the folders of classes, in the order of classes and names.

    Args:
        folder: see `classes_of`.
        place: likewise.
        classes: of the training, in the order of their numbers.

    Raises:
        FacError: a folder is none of them, or has no image; or as in `classes_of`.
    """
    names: list[str] = []
    labels: list[int] = []
    others: list[str] = []
    for name in classes_of(folder, place):
        if name not in classes:
            raise FacError(
                f"{place} has a folder `{short(name)}`, which is no class of the training images: these are "
                f"{listed(classes)}"
            )
        found, left = _below(folder, name, place)
        if not found:
            raise _empty(f"folder `{short(name)}` of {place}")
        names += found
        labels += [classes.index(name)] * len(found)
        others += left
    loose = sorted(file for file in os.listdir(folder) if file.lower().endswith(ENDINGS))
    told = (
        _left_out(place, others, "of other kinds than images"),
        _left_out(place, loose, "in no folder of a class"),
    )
    return Files(tuple(names), tuple(labels), "; ".join(filter(None, told)))


def all_of(folder: Path, place: str) -> Files:
    """Each image in a folder or below, in the order of names.

    Raises:
        FacError: there is none, or the folder cannot be read.
    """
    found, others = _below(folder, ".", place)
    if not found:
        raise _empty(place)
    return Files(tuple(found), (), _left_out(place, others, "of other kinds than images"))


def read(folder: Path, names: Sequence[str], place: str, data: Pictures, alike: Alike) -> NDArray[np.uint8]:
    """(n, channels, height, width) of images that are all alike.

    Args:
        folder: that of all images.
        names: of the files, at least one.
        place: what messages call the folder.
        data: says how images are read.
        alike: holds the first of them, which may be of another folder.

    Raises:
        FacError: an image is damaged, or another one than the first; or memory is too small.
    """
    import numpy as np

    from fac.memory import require_room

    def image(file: str) -> NDArray[np.uint8]:
        name = f"`{file}` in {place}"
        with opened(folder / file, DATA, place=name, within=folder) as content:
            return alike.required(data.pixels(content, name), name)

    first = image(names[0])
    what = f"{len(names):,} images of {list(first.shape)} in {place}"
    require_room(what, first.size * len(names), "give fewer, or smaller ones, as by `data.size`")
    x = np.empty((len(names), *first.shape), np.uint8)
    for row, file in zip(x, names, strict=True):
        row[:] = image(file)
    return x


def _below(folder: Path, start: str, place: str) -> tuple[list[str], list[str]]:
    """The images below a part of a folder, and the other files."""
    found: list[str] = []
    others: list[str] = []
    for top, files in _walked(folder / start, place):
        for file in files:
            kind = found if file.lower().endswith(ENDINGS) else others
            if kind is found or not file.startswith("."):
                kind.append(os.path.relpath(os.path.join(top, file), folder))
    return found, others


def _walked(start: Path, place: str) -> Iterator[tuple[str, list[str]]]:
    def refuse(error: OSError) -> None:
        raise unreadable(place, error) from error

    for top, folders, files in os.walk(start, onerror=refuse):
        folders.sort()
        yield top, sorted(files)


def _empty(what: str) -> FacError:
    return FacError(f"{what} holds no image, which ends in {', '.join(ENDINGS)}: give it some, or remove it")


def _left_out(place: str, names: Sequence[str], which: str) -> str:
    many = len(names)
    return (
        f"{place}: {many:,} file{'s' * (many > 1)} {which} left out, {listed(names, SHOWN)}" if many else ""
    )
