"""Arrays of one's own: `.npz` and `.safetensors` files, and folders of `.npy` files that may be larger than memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol

from pydantic import ConfigDict, Field, model_validator

from fac.diagnostics import FacError
from fac.opening import placed
from fac.spec.data import Place
from fac.spec.relations import kept_with
from fac.training.data import npz
from fac.training.data.incoming import opened_data
from fac.training.data.npy import Folder
from fac.training.data.parts import Parts, dataset
from fac.training.dataset import DataKind, Dataset, Split

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fac.backend import Precision

SAFETENSORS = ".safetensors"


class Arrays(Parts):
    """Samples x, batch first, and labels or targets y; or arrays for several inputs.

    Each split is an `.npz` or `.safetensors` file, or a folder with `x.npy` and `y.npy`, whose arrays are mapped into
    memory: those of the precision of the run stay on the disk, and may be larger than the memory.
    """

    model_config = ConfigDict(json_schema_extra=kept_with("names", x="x", y="y"))

    source: Literal["arrays"] = Field(
        default="arrays", description="Arrays in `.npz`, `.safetensors` and `.npy` files."
    )
    train: Annotated[str, Place()] = Field(
        description="`.npz` or `.safetensors` file of the training split, or of all, or folder of `.npy` files; "
        "relative to the folder of the spec."
    )
    x: str = Field(
        default="x",
        description="Key of the samples in both files, shape (n, …). They are taken as they are: bytes of images are "
        "numbers from 0 to 255, unless `standardise` scales them.",
    )
    y: str = Field(
        default="y",
        description="Key of the class labels (integers, shape (n,)) or targets (floats, shape (n, *output)); for a "
        "loss on targets from 0 to 1 these may be integers or truth values.",
    )
    names: Annotated[tuple[str, ...], Field(min_length=1)] | None = Field(
        default=None,
        description="Keys of all arrays, for a network with `inputs`: each has the name of the input or target that it "
        "is for. Instead of `x` and `y`.",
    )
    class_names: Annotated[tuple[str, ...], Field(min_length=1)] | None = Field(
        default=None, description="What the classes are called, in the order of their numbers."
    )
    standardise: Literal["each", "channels", "all"] | None = Field(
        default=None,
        description="x less its mean, over its standard deviation: of each number of a sample, of each of its channels "
        "(its first axis), or of all. Both are those of the training samples that are not held out, and kept with the "
        "state.",
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> Arrays:
        if self.names is not None and (self.x, self.y) != ("x", "y"):
            raise ValueError("`names` holds the keys of all arrays, so `x` and `y` say nothing: remove them")
        if self.names is not None and self.standardise is not None:
            raise ValueError("`standardise` is for `x`, and with `names` there is none: remove it")
        return self


class Source(Protocol):
    """What holds arrays by name."""

    def array(self, key: str) -> NDArray[Any]:
        """One of them.

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
            return _split(data, found, place, precision), said

    made = dataset(data, "arrays", read, classes=data.class_names or ())
    if data.standardise is None:
        return made
    return replace(made, scale={"x": _pooled(data.standardise, made.train.x.ndim - 1)})


def _pooled(how: Literal["each", "channels", "all"], axes: int) -> tuple[int, ...]:
    """The axes of a sample over which one mean is taken."""
    return {"each": (), "channels": tuple(range(1, axes)), "all": tuple(range(axes))}[how]


@contextmanager
def _source(base: Path, written: str, place: str) -> Iterator[Source]:
    path = placed(base, written, place)
    if os.path.isdir(path):
        yield Folder(Path(path), place)
    elif written.endswith(SAFETENSORS):
        yield _Safetensors(base, written, place)
    else:
        with npz.stored(opened_data(base, written, place), place) as found:
            yield found


class _Safetensors:
    """All arrays of such a file."""

    def __init__(self, base: Path, written: str, place: str) -> None:
        from fac.backend import DamagedError, from_file

        self.place = place
        with opened_data(base, written, place) as file:
            try:
                self.arrays, _ = from_file(file, os.fstat(file.fileno()).st_size, place)
            except DamagedError as error:
                raise FacError(f"{place} is no safetensors file, or is damaged: {error}") from error

    def array(self, key: str) -> NDArray[Any]:
        if key not in self.arrays:
            raise npz.missing(key, list(self.arrays), self.place)
        found = self.arrays[key]
        npz.require_numbers(key, self.place, found.dtype, found.shape)
        return found


def _split(data: Arrays, found: Source, place: str, precision: Precision) -> Split:
    import numpy as np

    if data.names is not None:
        return Split(**{key: found.array(key) for key in data.names})
    x, y = (found.array(key) for key in (data.x, data.y))
    with np.errstate(over="ignore"):  # an overflow becomes inf, which `fitted` reports with its place
        x = x.astype(precision, copy=False) if x.dtype.kind == "f" else x
        if y.dtype.kind in "iub":
            return Split(x, y)
        y = y.astype(precision, copy=False)
    return Split(x, y[:, None] if y.ndim == 1 else y)


KIND = DataKind("arrays", Arrays, load, arrays=lambda data: data.names or ("x", "y"))
