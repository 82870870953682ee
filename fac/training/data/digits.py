"""The 1797 handwritten digits of 8×8 pixels that ship with the package: real data without a download."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from fac.spec.data import Data
from fac.training.dataset import DataKind, Dataset, Facts, Split

if TYPE_CHECKING:
    from fac.backend import Precision

TRAIN = 1400


class Digits(Data):
    """Handwritten digits, 8×8 grey values, 10 classes: 1400 samples to train on, 397 to test on."""

    source: Literal["digits"] = Field(
        default="digits", description="1797 handwritten digits of 8×8 pixels, shipped with fac."
    )


def load(data: Digits, base: Path, precision: Precision) -> Dataset:
    """Samples of shape (n, 8, 8), each pixel standardised with its training mean and standard deviation.

    1e-3 is added to the deviation: some pixels of the border are the same in every training image.
    """
    import numpy as np

    with (resources.files("fac.training.data") / "digits.npz").open("rb") as file, np.load(file) as stored:
        images, labels = stored["images"], stored["labels"]
    shuffled = np.random.default_rng(0).permutation(len(images))
    x, y = images[shuffled].astype(np.float64), labels[shuffled].astype(np.int64)
    x = ((x - x[:TRAIN].mean(0)) / (x[:TRAIN].std(0) + 1e-3)).astype(precision)
    return Dataset("digits", Split(x[:TRAIN], y[:TRAIN]), Split(x[TRAIN:], y[TRAIN:]))


KIND = DataKind("digits", Digits, load, facts=lambda _: Facts((8, 8), 10, classes=True, train=TRAIN))
