"""What sources have in common whose arrays are the user's own: names of arrays and of classes, and how x is scaled."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from fac.spec.data import Data
from fac.spec.relations import kept_with
from fac.training.dataset import Dataset, Split

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fac.backend import Precision

Names = Annotated[tuple[str, ...], Field(min_length=1)]


class Own(Data):
    """Arrays by name."""

    model_config = ConfigDict(json_schema_extra=kept_with("names", x="x", y="y"))

    x: str = Field(
        default="x",
        description="Key of the samples, shape (n, …). They are taken as they are: bytes of images are numbers from 0 "
        "to 255, unless `standardise` scales them.",
    )
    y: str = Field(
        default="y",
        description="Key of the class labels (integers, shape (n,)) or targets (floats, shape (n, *output)); for a "
        "loss on targets from 0 to 1 these may be integers or truth values.",
    )
    names: Names | None = Field(
        default=None,
        description="Keys of all arrays, for a network with `inputs`: each has the name of the input or target that it "
        "is for. Instead of `x` and `y`.",
    )
    class_names: Names | None = Field(
        default=None, description="What the classes are called, in the order of their numbers."
    )
    standardise: Literal["each", "channels", "all"] | None = Field(
        default=None,
        description="x less its mean, over its standard deviation: of each number of a sample, of each of its channels "
        "(its first axis), or of all. Both are those of the training samples that are not held out, and kept with the "
        "state.",
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> Own:
        if self.names is not None and (self.x, self.y) != ("x", "y"):
            raise ValueError("`names` holds the keys of all arrays, so `x` and `y` say nothing: remove them")
        if self.names is not None and self.standardise is not None:
            raise ValueError("`standardise` is for `x`, and with `names` there is none: remove it")
        return self


def arrays(data: Own) -> tuple[str, ...]:
    """How the arrays of a split are called."""
    return data.names or ("x", "y")


def named(data: Own, found: dict[str, NDArray[Any]], precision: Precision) -> Split:
    """A split: floats in the precision, integers and truth values as they are; targets (n,) stand for (n, 1).

    Args:
        data: what the spec says of them.
        found: all arrays that it names.
        precision: of the floats.
    """
    import numpy as np

    if data.names is not None:
        return Split(**{key: found[key] for key in data.names})
    x, y = found[data.x], found[data.y]
    with np.errstate(over="ignore"):  # an overflow becomes inf, which `fitted` reports with its place
        x = x.astype(precision, copy=False) if x.dtype.kind == "f" else x
        if y.dtype.kind in "iub":
            return Split(x, y)
        y = y.astype(precision, copy=False)
    return Split(x, y[:, None] if y.ndim == 1 else y)


def to_be_scaled(data: Own, made: Dataset) -> Dataset:
    """The data set, with what is to be done to x."""
    if data.standardise is None:
        return made
    axes = made.train.x.ndim - 1
    pooled = {"each": (), "channels": tuple(range(1, axes)), "all": tuple(range(axes))}[data.standardise]
    return replace(made, scale={"x": pooled})
