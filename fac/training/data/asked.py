"""Files of samples that a trained network is asked about, read as the source of its training reads files."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from fac.diagnostics import FacError
from fac.opening import DATA, opened, unreadable
from fac.spec.data import Data
from fac.step.feed import Feed, matched
from fac.training.data import arrays, csv, folders, images, npy, npz, parquet
from fac.training.data.images import Alike, Pictures
from fac.training.data.own import Own
from fac.training.data.tabular import Tabular, later
from fac.training.dataset import Split
from fac.training.metadata import Kept
from fac.training.naming import labels

if TYPE_CHECKING:
    from io import BufferedReader

    from fac.backend import Precision

NPY, NPZ, CSV, PARQUET = ".npy", ".npz", ".csv", ".parquet"
READ = f"`{NPZ}`, `{NPY}`, `{arrays.SAFETENSORS}`, `{CSV}`, `{PARQUET}`, images and folders"
ZIP = b"PK"
"""How an archive begins, whatever it is called."""


@dataclass(frozen=True, eq=False, slots=True)
class Asked:
    """Samples as a file has them."""

    split: Split
    kept: Kept
    """What of the training is still to be done to them: standardise, and number the classes."""
    told: str = ""
    """What of the file is left out; empty if nothing is."""
    bytes_alike: bool = False
    """Whether they are images, whose bytes are those that the training read: one image may well be dark, or plain."""
    marks: Mapping[str, Sequence[str | int]] = field(default_factory=dict)
    """How the file tells its samples apart, if it does: the `name` of its file, or the number of its `line`."""


@dataclass(frozen=True, slots=True)
class Asking:
    """What is known of a network when somebody asks it."""

    data: Data | None
    """Of its training; None of arrays that were handed over."""
    kept: Kept
    """How the samples of the training were read."""
    feeds: Sequence[Feed]
    """What the network and its losses are fed with."""
    targets: bool
    """Whether the targets of its losses are needed. If not, those that are there are left alone."""
    precision: Precision

    @property
    def needed(self) -> tuple[Feed, ...]:
        """What a file has to hold."""
        return tuple(feed for feed in self.feeds if self.targets or feed.loss is None)

    def wanted(self, names: Sequence[str], place: str) -> list[str]:
        """Which of these arrays are meant: all but targets that nobody asks for.

        Raises:
            FacError: none is left.
        """
        goals = [] if self.targets else [feed for feed in self.feeds if feed.loss is not None]
        aside = set(matched(names, goals).values())
        found = [name for name in names if name not in aside]
        if not found:
            reads = ", ".join(f"`{feed.name}`" for feed in self.needed)
            raise FacError(f"{place} has nothing that the network reads, which is {reads}")
        return found


def read(path: Path, asking: Asking) -> Asked:
    """The samples of a file or a folder: which format it is, its ending tells.

    Args:
        path: where it is.
        asking: what is known of the network.

    Raises:
        FacError: it cannot be read, or is of a format that says nothing to this network.
    """
    place = f"`{path}`"
    ending = path.suffix.lower()
    if os.path.isdir(path):
        try:
            holds_arrays = any(name.endswith(NPY) for name in os.listdir(path))
        except OSError as error:
            raise unreadable(place, error) from error
        if holds_arrays:
            return _arrays(npy.Folder(path, place), place, asking)
        return _images(path, place, asking)
    if ending in images.ENDINGS:
        return _images(path, place, asking)
    file = opened(path, DATA)
    if ending == arrays.SAFETENSORS:
        return _arrays(arrays.Safetensors(file, place), place, asking)
    if ending == NPY:
        return _single(file, path, place, asking)
    if ending == PARQUET:
        return _table(file, place, asking, packed=True)
    if ending == CSV or (ending != NPZ and isinstance(asking.data, csv.Csv)):
        return _table(file, place, asking)
    if ending != NPZ and file.peek(len(ZIP))[: len(ZIP)] != ZIP:
        file.close()
        raise FacError(f"{place} is of a kind that is not read: give {READ}")
    with npz.stored(file, place) as found:
        return _arrays(found, place, asking, standardised=found.archive.comment == npz.AS_READ)


def _arrays(source: arrays.Source, place: str, asking: Asking, *, standardised: bool = False) -> Asked:
    """Arrays by the names of what the network is fed with, or by those that its training read them by."""
    data = asking.data
    aside = data.split if isinstance(data, arrays.Arrays) else None
    there = [name for name in source.names if name != aside]
    own = {data.x: "x", data.y: "y"} if isinstance(data, Own) and data.names is None else {}
    called = {own.get(name, name): name for name in there}
    if len(called) < len(there):  # an array is called `x` that the training does not call so
        called = {name: name for name in there}
    names = asking.wanted(list(called), place)
    named = labels(names, asking.needed)
    text = None if named is None else named[0]
    split = Split(**{name: source.array(called[name], text=name == text) for name in names})
    return Asked(split, Kept() if standardised else asking.kept)


def _single(file: BufferedReader, path: Path, place: str, asking: Asking) -> Asked:
    """One array, which is what the network reads if that is all that it needs."""
    needed = asking.needed
    name = needed[0].name if len(needed) == 1 else path.stem
    return Asked(Split(**{name: npy.mapped(file, name, place)}), asking.kept)


def _table(file: BufferedReader, place: str, asking: Asking, *, packed: bool = False) -> Asked:
    data, kept = asking.data, asking.kept
    if not isinstance(data, Tabular) or not kept.columns:
        file.close()
        raise FacError(
            f"{place} is a table, and this network was trained on none, so that no column is known to it: give "
            f"{_as_trained(data)}"
        )
    layout = data.layout if isinstance(data, csv.Csv) else csv.Layout()
    table = (
        parquet.table(file, place, trained=True) if packed else csv.table(file, place, layout, trained=True)
    )
    split, told = later(data, table, kept, asking.precision, targets=asking.targets)
    return Asked(split, replace(kept, classes=()), told, marks={table.row: list(table.lines)})


def _images(path: Path, place: str, asking: Asking) -> Asked:
    import numpy as np

    data, kept, one = asking.data, replace(asking.kept, classes=()), not os.path.isdir(path)
    if not isinstance(data, Pictures):
        raise FacError(
            f"{place} {'is an image' if one else 'holds no arrays'}, and this network was trained on no images in "
            f"files, so that nobody knows how their bytes become numbers: give {_as_trained(data)}"
        )
    if one:
        if asking.targets:
            raise FacError(f"{place} is an image without a label: give a folder with a folder for each class")
        with opened(path, DATA) as content:
            return Asked(
                Split(data.pixels(content, place)[None]), kept, bytes_alike=True, marks={"name": [path.name]}
            )
    if asking.targets and not asking.kept.classes:
        raise FacError(
            f"{place}: the classes of this network have no names, which folders could have: give arrays, as in an "
            f"`{NPZ}`"
        )
    files = (
        folders.by_class(path, place, asking.kept.classes) if asking.targets else folders.all_of(path, place)
    )
    x = folders.read(path, files.names, place, data, Alike(trained=True))
    split = Split(x, np.array(files.labels, np.int64)) if asking.targets else Split(x)
    return Asked(split, kept, files.told, bytes_alike=True, marks={"name": files.names})


def _as_trained(data: Data | None) -> str:
    """What to give a network that was trained on such data."""
    match data:
        case Pictures():
            return "an image, or a folder of images"
        case Tabular():
            return f"a table, a `{CSV}` or a `{PARQUET}`"
    return f"arrays, as in an `{NPZ}`"
