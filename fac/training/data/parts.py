"""What sources of files have in common: from which file, or by which draw, the test and the validation samples are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, model_validator

from fac.diagnostics import FacError
from fac.spec.data import Data, Place
from fac.training.dataset import Dataset, HeldOut, Split

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fac.training.scaling import Scaling

NAMES = {"train": "train", "training": "train", "validation": "validation", "valid": "validation",
         "val": "validation", "test": "test", "0": "train", "1": "validation", "2": "test"}  # fmt: skip
"""How a split may be called where each sample says to which it belongs, in small letters."""


class Parts(Data):
    """A file for each split, or one file that is parted: by a share, or by what each sample says."""

    train: Annotated[str, Place()] = Field(
        description="File of the training samples, or of all; relative to the folder of the spec."
    )
    test: Annotated[str | None, Place()] = Field(
        default=None, description="File of the test samples; relative to the folder of the spec."
    )
    validation_file: Annotated[str | None, Place()] = Field(
        default=None,
        description="File of the samples that are evaluated beside the test samples, in place of a share of the "
        "training samples by `validation`.",
    )
    test_share: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="Which part of the samples of `train` is for testing, where there is no file for it: drawn by "
        "`split_seed`, each class giving its share.",
    )
    split: str | None = Field(
        default=None,
        min_length=1,
        description="What says of each sample of `train`, to which split it belongs: `train`, `validation` or "
        "`test`, or 0, 1 or 2.",
    )

    @model_validator(mode="after")
    def _tested_once(self) -> Parts:
        ways = [name for name in ("test", "test_share", "split") if getattr(self, name) is not None]
        if len(ways) != 1:
            raise ValueError(
                "nothing says which samples are for testing: write `test`, a file, or `test_share: 0.2`, or `split`"
                if not ways
                else f"`{ways[0]}` and `{ways[1]}` both say which samples are for testing: remove one"
            )
        if self.validation is not None and self.validation_file is not None:
            raise ValueError("`validation` and `validation_file` both say what is held out: remove one")
        return self


def dataset(
    data: Parts,
    name: str,
    read: Callable[[str, str], tuple[Split, NDArray[Any] | None]],
    *,
    scale: dict[str, tuple[int, ...] | Scaling] | None = None,
    classes: tuple[str, ...] = (),
) -> Dataset:
    """The splits of a source of files.

    Args:
        data: what the spec says of them.
        name: of the source.
        read: the samples of a file, by what the spec calls it and what messages call it; and of each to which split it
            belongs, if `data.split` asks.
        scale: see `Dataset`.
        classes: likewise.

    Raises:
        FacError: a split is empty, or of an unknown name.
    """
    place = f"`{data.train}` (`data.train`)"
    train, said = read(data.train, place)
    made = Dataset(name, train, train, scale=scale or {}, classes=classes)
    if said is not None:
        made = _told(made, said, f"`{data.split}` (`data.split`)")
    elif data.test is not None:
        made = replace(made, test=read(data.test, f"`{data.test}` (`data.test`)")[0])
    else:
        made = _drawn(made, HeldOut(data.test_share or 0.0, data.split_seed), place)
    if data.validation_file is not None:
        file = data.validation_file
        made = replace(made, validation=read(file, f"`{file}` (`data.validation_file`)")[0])
    return made


def _drawn(made: Dataset, held: HeldOut, place: str) -> Dataset:
    from fac.training.holdout import parted

    if len(made.train) < 2:
        raise FacError(f"{place} has a single sample, which cannot be parted: give a file of test samples")
    labels = made.train.arrays.get("y")
    one_each = labels if labels is not None and labels.ndim == 1 and labels.dtype.kind in "iu" else None
    train, test = parted(made.train, held, one_each)
    return replace(made, train=train, test=test)


def _told(made: Dataset, said: NDArray[Any], what: str) -> Dataset:
    import numpy as np

    from fac.training.holdout import some

    words = [str(word).strip().lower() for word in said.tolist()]
    for number, word in enumerate(words):
        if word not in NAMES:
            raise FacError(
                f"{what} of sample {number} is `{said[number]}`: write `train`, `validation` or `test`"
            )
    parts = np.array([NAMES[word] for word in words])
    for part in ("train", "test"):
        if not (parts == part).any():
            raise FacError(f"{what} is `{part}` of no sample: give each split some")
    held = some(made.train, parts == "validation") if (parts == "validation").any() else None
    return replace(
        made,
        train=some(made.train, parts == "train"),
        test=some(made.train, parts == "test"),
        validation=held,
    )
