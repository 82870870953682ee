"""The shipped digits: pinned to the bytes and statistics of scikit-learn's `load_digits`."""

from __future__ import annotations

import hashlib
from importlib import resources

import numpy as np
import pytest

from fac.training.data import load
from fac.training.data.digits import Digits


def test_the_shipped_file_is_the_published_data() -> None:
    folder = resources.files("fac.training.data")
    with (folder / "digits.npz").open("rb") as file, np.load(file) as stored:
        images, labels = stored["images"], stored["labels"]
    assert images.shape == (1797, 8, 8)
    assert images.dtype == labels.dtype == np.uint8
    # SHA-256 of `load_digits()`, its images and its target as bytes
    assert hashlib.sha256(images.tobytes()).hexdigest() == (
        "8f26b2bd9d135c256808f68f14fdabddde6d9c7f869ae419704b051f0f14b3b3"
    )
    assert hashlib.sha256(labels.tobytes()).hexdigest() == (
        "8ba4f891220f5e4c9c819638d1602d74b83618f167043c6da52a2a247841ddf0"
    )
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert "CC BY 4.0" in (folder / "digits.LICENSE.txt").read_text(encoding="utf-8")


def test_the_split_is_the_published_one() -> None:
    data = load(Digits())
    assert data.train.x.shape == (1400, 8, 8)
    assert data.test.x.shape == (397, 8, 8)
    labels = np.concatenate([data.train.y, data.test.y])
    assert labels.dtype == np.int64
    assert hashlib.sha256(labels.astype(np.uint8).tobytes()).hexdigest() == (
        "99c3fa75ee18cae97ff47da2ffc12fc2b86fb210c20b266cdf6a1fad9496e10b"
    )
    assert np.bincount(data.test.y).tolist() == [43, 39, 51, 33, 48, 37, 41, 30, 32, 43]


def test_values_are_standardised_with_training_statistics() -> None:
    """Figures computed once from scikit-learn's own arrays, in float64."""
    data = load(Digits())
    train, test = (split.x.reshape(len(split.x), -1).astype(np.float64) for split in (data.train, data.test))
    assert train[0, :5] == pytest.approx([0, -0.33220363, -0.89637126, 0.27196582, -1.1620201], abs=1e-6)
    assert test[0, 20] == pytest.approx(1.443353578290195, abs=1e-6)
    assert test[396, 43] == pytest.approx(-1.1178832015310243, abs=1e-6)
    assert np.abs(train).sum() == pytest.approx(58871.45756119475, rel=1e-7)
    assert np.abs(test).sum() == pytest.approx(16943.208558129314, rel=1e-7)
    assert np.abs(train.mean(0)).max() < 1e-6
