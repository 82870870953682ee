"""Arrays of one's own: `.npz` and `.safetensors` files, and folders of `.npy` files that may be larger than memory."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol

from pydantic import Field

from fac.diagnostics import FacError
from fac.opening import placed
from fac.spec.data import Place
from fac.training.data import npz
from fac.training.data.incoming import opened_data
from fac.training.data.npy import Folder
from fac.training.data.own import Own, arrays, named, to_be_scaled
from fac.training.data.parts import Parts, dataset
from fac.training.dataset import DataKind, Dataset, Split

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fac.backend import Precision

SAFETENSORS = ".safetensors"


class Arrays(Parts, Own):
    """Samples x, batch first, and labels or targets y; or arrays for several inputs.

    Each split is an `.npz` or `.safetensors` file, or a folder with `x.npy` and `y.npy`, whose arrays are mapped into
    memory: those of the precision of the run stay on the disk, and may be larger than the memory.
    """

    source: Literal["arrays"] = Field(
        default="arrays", description="Arrays in `.npz`, `.safetensors` and `.npy` files."
    )
    train: Annotated[str, Place()] = Field(
        description="`.npz` or `.safetensors` file of the training split, or of all, or folder of `.npy` files; "
        "relative to the folder of the spec."
    )


class Source(Protocol):
    """What holds arrays by name."""

    @property
    def names(self) -> Sequence[str]:
        """Of all of them."""

    def array(self, key: str, *, text: bool = False) -> NDArray[Any]:
        """One of them.

        Args:
            key: its name.
            text: whether it may hold text instead of numbers, where the format can.

        Raises:
            FacError: there is none of that name, or it cannot be read.
        """


def load(data: Arrays, base: Path, precision: Precision) -> Dataset:
    """Floats in the precision, integers and truth values as they are; targets (n,) stand for (n, 1).

    Raises:
        FacError: a file is missing or not of its kind, a key is missing, or an array does not hold plain numbers.

    """

    def read(written: str, place: str) -> tuple[Split, NDArray[Any] | None]:
        with _source(base, written, place) as found:
            said = None if data.split is None else found.array(data.split)
            keys = data.names or (data.x, data.y)
            return named(data, {key: found.array(key) for key in keys}, precision), said

    return to_be_scaled(data, dataset(data, "arrays", read, classes=data.class_names or ()))


@contextmanager
def _source(base: Path, written: str, place: str) -> Iterator[Source]:
    path = placed(base, written, place)
    if os.path.isdir(path):
        yield Folder(Path(path), place)
    elif written.endswith(SAFETENSORS):
        yield Safetensors(opened_data(base, written, place), place)
    else:
        with npz.stored(opened_data(base, written, place), place) as found:
            yield found


class Safetensors:
    """All arrays of such a file."""

    def __init__(self, file: BufferedReader, place: str) -> None:
        """The file is at its start, and is closed; `place` is what messages call it."""
        from fac.backend import DamagedError, from_file

        self.place = place
        with file:
            try:
                self.arrays, _ = from_file(file, os.fstat(file.fileno()).st_size, place)
            except DamagedError as error:
                raise FacError(f"{place} is no safetensors file, or is damaged: {error}") from error
        self.names = list(self.arrays)

    def array(self, key: str, *, text: bool = False) -> NDArray[Any]:
        """One of them; no such file holds text."""
        if key not in self.arrays:
            raise npz.missing(key, list(self.arrays), self.place)
        found = self.arrays[key]
        npz.require_numbers(key, self.place, found.dtype, found.shape)
        return found


KIND = DataKind("arrays", Arrays, load, arrays=arrays)
