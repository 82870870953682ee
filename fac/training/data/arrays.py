"""Arrays of one's own, from two `.npz` files."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from fac.diagnostics import FacError
from fac.spec.data import Data, Place
from fac.training.dataset import DataKind, Dataset, Split

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fac.backend import Precision


class Arrays(Data):
    """Two `.npz` files with samples x, batch first, and labels or targets y; or with arrays for several inputs."""

    source: Literal["arrays"] = Field(default="arrays", description="Arrays in `.npz` files.")
    train: Annotated[str, Place()] = Field(
        description="`.npz` file of the training split; relative to the folder of the spec."
    )
    test: Annotated[str, Place()] = Field(
        description="`.npz` file of the test split; relative to the folder of the spec."
    )
    x: str = Field(
        default="x",
        description="Key of the samples in both files, shape (n, …). They are taken as they are: bytes of images are "
        "numbers from 0 to 255, which nothing scales.",
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


def load(data: Arrays, base: Path, precision: Precision) -> Dataset:
    """Floats in the precision, integers and truth values as they are; targets (n,) stand for (n, 1).

    Raises:
        FacError: a file is missing or is no npz, a key is missing, or an array does not hold plain numbers.

    """
    return Dataset("arrays", *(_split(data, part, base, precision) for part in ("train", "test")))


def _split(data: Arrays, part: Literal["train", "test"], base: Path, precision: Precision) -> Split:
    import numpy as np

    name = data.train if part == "train" else data.test
    place = f"`{name}` (`data.{part}`)"
    path = base / Path(name).expanduser()
    if not path.is_file():
        raise FacError(f"{place} is not a file: paths in a spec start from its own folder, here `{base}`")
    try:
        # np.load guesses from the content and would take a bare `.npy`, or offer to unpickle anything else
        if not zipfile.is_zipfile(path):
            raise FacError(f"{place} is not an npz file: write it with `numpy.savez`")
        with np.load(path, allow_pickle=False) as stored:
            if data.names is not None:
                return Split(**{key: _array(stored, key, place) for key in data.names})
            x, y = (_array(stored, key, place) for key in (data.x, data.y))
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise FacError(f"{place} cannot be read: {error}") from error
    with np.errstate(over="ignore"):  # an overflow becomes inf, which `fitted` reports with its place
        x = x.astype(precision, copy=False) if x.dtype.kind == "f" else x
        if y.dtype.kind in "iub":
            return Split(x, y)
        y = y.astype(precision, copy=False)
    return Split(x, y[:, None] if y.ndim == 1 else y)


def _array(stored: Mapping[str, NDArray[Any]], key: str, place: str) -> NDArray[Any]:
    if key not in stored:
        near = get_close_matches(key, stored, n=1)
        hint = f"did you mean `{near[0]}`?" if near else "it has " + ", ".join(f"`{k}`" for k in stored)
        raise FacError(f"{place} has no array `{key}`: {hint}")
    try:
        array = stored[key]
    except ValueError as error:
        # what NumPy raises for object arrays, which only unpickling could read
        raise FacError(f"array `{key}` in {place} cannot be read as plain numbers: {error}") from error
    if array.dtype.kind not in "iufb" or array.ndim == 0:
        raise FacError(
            f"array `{key}` in {place} has shape {list(array.shape)} of {array.dtype}: "
            "give numbers with one row for each sample"
        )
    return array


KIND = DataKind("arrays", Arrays, load, arrays=lambda data: data.names or ("x", "y"))
