"""CIFAR-10 and CIFAR-100 in their own files: the binary version of the archives (Krizhevsky 2009).

A record is the label, of CIFAR-100 first a coarse one of 20 and then a fine one of 100, and 3072 bytes: the red, green
and blue values of 32 x 32 pixels, row by row. `data_batch_1.bin` to `data_batch_5.bin` and `test_batch.bin`, or
`train.bin` and `test.bin`, with the names of classes in files of text beside them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from fac.diagnostics import FacError
from fac.opening import DATA, MissingError, opened, placed, there, unreadable
from fac.spec.data import Place
from fac.training.data.images import Pictures
from fac.training.data.incoming import read_data
from fac.training.dataset import DataKind, Dataset, Facts, Split

if TYPE_CHECKING:
    from fac.backend import Precision

SHAPE = (3, 32, 32)
PIXELS = 3072
ROOM = 6
"""Bytes of memory that a byte of a file takes, as such and as a number."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The files of one of the sets."""

    train: tuple[str, ...]
    test: str
    names: str
    classes: int
    labels: int
    """Bytes before the pixels, the last of which is the label."""
    folder: str
    """That of the archive."""
    pickled: tuple[str, ...]
    """What is there of another version of the set."""


LAYOUTS = {
    10: Layout(
        train=tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
        test="test_batch.bin",
        names="batches.meta.txt",
        classes=10,
        labels=1,
        folder="cifar-10-batches-bin",
        pickled=("cifar-10-batches-py", "data_batch_1"),
    ),
    100: Layout(
        train=("train.bin",),
        test="test.bin",
        names="fine_label_names.txt",
        classes=100,
        labels=2,
        folder="cifar-100-binary",
        pickled=("cifar-100-python", "train"),
    ),
}


class Cifar(Pictures):
    """CIFAR-10 or CIFAR-100, 3 x 32 x 32 pixels in colours: nothing is fetched, the files have to be there."""

    source: Literal["cifar"] = Field(
        default="cifar", description="CIFAR-10 or CIFAR-100, in the binary files of their archives."
    )
    classes: Literal[10, 100] = Field(default=10, description="Which of the two sets.")
    root: Annotated[str, Place()] = Field(
        description="Folder of the binary files, or the one that holds the folder of the archive; relative to that of "
        "the spec."
    )


def load(data: Cifar, base: Path, precision: Precision) -> Dataset:
    """x (n, 3, 32, 32), bytes that are still to be scaled; y (n,) classes.

    Raises:
        FacError: the folder lacks a file, or a file is not in the format.
    """
    import numpy as np

    layout, place = LAYOUTS[data.classes], f"`{data.root}` (`data.root`)"
    folder = Path(placed(base, data.root, place))
    if there(folder / layout.folder):
        folder = folder / layout.folder
    parts = [_records(folder, name, layout, place) for name in (*layout.train, layout.test)]
    x, y = (np.concatenate([part.arrays[name] for part in parts[:-1]]) for name in ("x", "y"))
    return Dataset(
        f"cifar of {data.classes} classes",
        Split(x, y),
        parts[-1],
        scale=data.scale,
        augment=data.changes,
        classes=_names(folder, layout, place),
    )


def _records(folder: Path, name: str, layout: Layout, place: str) -> Split:
    import numpy as np

    what, size = f"`{name}` in {place}", layout.labels + PIXELS
    try:
        raw = read_data(opened(folder / name, DATA, place=what, within=folder), what, ROOM)
    except MissingError as error:
        pickled = " (files of the version for Python are pickles, which could run code)"
        raise FacError(
            f"{place} has no `{name}`: give the folder of the binary version, `{layout.folder}`"
            + pickled * any(there(folder / inside) for inside in layout.pickled)
        ) from error
    if not raw or len(raw) % size:
        raise FacError(
            f"{what} has {len(raw):,} bytes, and a record of CIFAR-{layout.classes} takes {size:,}: it is cut off, "
            "or another file"
        )
    rows = np.frombuffer(raw, np.uint8).reshape(-1, size)
    labels = rows[:, layout.labels - 1].astype(np.int64)
    if (labels >= layout.classes).any():
        at = int((labels >= layout.classes).argmax())
        raise FacError(
            f"{what} has label {labels[at]} in record {at}, and there are {layout.classes} classes: it is another "
            f"file than that of CIFAR-{layout.classes}"
        )
    return Split(rows[:, layout.labels :].reshape(-1, *SHAPE), labels)


def _names(folder: Path, layout: Layout, place: str) -> tuple[str, ...]:
    """Of the classes; none where the file is not there."""
    if not there(folder / layout.names):
        return ()
    what = f"`{layout.names}` in {place}"
    with opened(folder / layout.names, DATA, place=what, within=folder) as file:
        try:
            lines = file.read(1 << 16).decode(errors="replace").split("\n")
        except OSError as error:
            raise unreadable(what, error) from error
    names = tuple(line.strip() for line in lines if line.strip())
    if len(names) != layout.classes:
        raise FacError(
            f"{what} has {len(names)} names of {layout.classes} classes: give each a line, or remove it"
        )
    return names


def _facts(data: Cifar) -> Facts:
    return Facts(SHAPE, data.classes, classes=True, train=None)


KIND = DataKind("cifar", Cifar, load, facts=_facts)
