"""Arrays of one's own, from two `.npz` files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from fac.spec.data import Data, Place
from fac.spec.relations import kept_with
from fac.training.data import npz
from fac.training.data.incoming import opened_data
from fac.training.dataset import DataKind, Dataset, Split

if TYPE_CHECKING:
    from fac.backend import Precision


class Arrays(Data):
    """Two `.npz` files with samples x, batch first, and labels or targets y; or with arrays for several inputs."""

    model_config = ConfigDict(json_schema_extra=kept_with("names", x="x", y="y"))

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

    @model_validator(mode="after")
    def _one_of_both(self) -> Arrays:
        if self.names is not None and (self.x, self.y) != ("x", "y"):
            raise ValueError("`names` holds the keys of all arrays, so `x` and `y` say nothing: remove them")
        return self


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
    with npz.stored(opened_data(base, name, place), place) as found:
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
