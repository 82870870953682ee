"""Fitting a data set to a network: shapes, and one clear message for all that is wrong with the data."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fac.diagnostics import FacError
from fac.training.dataset import Dataset, Split, fitted, order

Array = NDArray[Any]


def samples(n: int = 4) -> Array:
    return np.arange(n * 6, dtype=np.float32).reshape(n, 2, 3)


def with_test(x: Array, y: Array) -> Dataset:
    """A data set whose training split is in order."""
    good = np.zeros((4, *y.shape[1:]), y.dtype)
    return Dataset("toy", Split(samples(), good), Split(x, y))


LABELS = np.array([0, 1, 2, 1])
TARGETS = np.arange(12, dtype=np.float32).reshape(4, 3)


def test_x_takes_the_shape_of_the_input() -> None:
    flat = fitted(with_test(samples(), LABELS), (6,), 3, classes=True)
    assert flat.train.x.shape == (4, 6)
    np.testing.assert_array_equal(flat.test.x, np.arange(24).reshape(4, 6))
    image = fitted(with_test(samples(), LABELS), (1, 2, 3), 3, classes=True)
    np.testing.assert_array_equal(image.test.x[:, 0], samples())


def test_types_are_float32_and_int64() -> None:
    data = fitted(with_test(samples().astype(np.float64), LABELS.astype(np.uint8)), (6,), 3, classes=True)
    assert data.test.x.dtype == np.float32
    assert data.test.y.dtype == np.int64
    targets = fitted(with_test(samples(), TARGETS.astype(np.float64)), (6,), 3, classes=False)
    assert targets.test.y.dtype == np.float32
    np.testing.assert_array_equal(targets.test.y, TARGETS)


def broken(value: float) -> Array:
    x = samples()
    x[2, 1, 0] = value
    return x


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (
            samples(3),
            LABELS,
            "the `test` split of `toy` has 3 samples in x but 4 in y: give each x exactly one y",
        ),
        (samples(0), LABELS[:0], "the `test` split of `toy` is empty: give it at least one sample"),
        (
            broken(np.nan),
            LABELS,
            "x of sample 2 in the `test` split of `toy` holds nan: "
            "remove or replace values that are not finite in float32",
        ),
        (
            broken(-np.inf),
            LABELS,
            "x of sample 2 in the `test` split of `toy` holds -inf: "
            "remove or replace values that are not finite in float32",
        ),
        (
            samples().astype(np.float64) * 1e40,
            LABELS,
            "x of sample 0 in the `test` split of `toy` holds inf: "
            "remove or replace values that are not finite in float32",
        ),
        (
            samples(),
            np.array([0, 1, 3, -1]),
            "label 3 of sample 2 in the `test` split of `toy` is out of range: "
            "the network has 3 outputs, so labels must be 0 to 2",
        ),
        (
            samples(),
            np.array([0, -1, 3, -1]),
            "label -1 of sample 1 in the `test` split of `toy` is out of range: "
            "the network has 3 outputs, so labels must be 0 to 2",
        ),
    ],
)
def test_classes_are_checked(x: Array, y: Array, message: str) -> None:
    with pytest.raises(FacError, match=f"^{re.escape(message)}$"):
        fitted(with_test(x, y), (6,), 3, classes=True)


@pytest.mark.parametrize("y", [LABELS.astype(np.float32), LABELS[:, None], LABELS > 0])
def test_labels_are_a_row_of_integers(y: Array) -> None:
    with pytest.raises(FacError, match=r"but the loss needs integer labels of shape"):
        fitted(with_test(samples(), y), (6,), 3, classes=True)


def test_samples_must_fill_the_input() -> None:
    message = (
        "samples in the `train` split of `toy` have shape [2, 3], but `input.shape` is [5]: "
        "write `input: {shape: [2, 3]}` or another shape of 6 values"
    )
    with pytest.raises(FacError, match=f"^{re.escape(message)}$"):
        fitted(with_test(samples(), LABELS), (5,), 3, classes=True)


def test_mse_refuses_labels() -> None:
    message = (
        "y in the `train` split of `toy` holds int64 labels, but a loss such as `mse` needs float targets "
        "of shape (n, 3): give such targets, or write `loss: {kind: cross_entropy}`"
    )
    with pytest.raises(FacError, match=f"^{re.escape(message)}$"):
        fitted(with_test(samples(), LABELS), (6,), 3, classes=False)


@pytest.mark.parametrize("y", [TARGETS[:, :2], TARGETS[:, 0]])
def test_targets_have_one_column_for_each_output(y: Array) -> None:
    with pytest.raises(
        FacError, match=r"has shape \[4.*\], but the network has 3 outputs: give targets of shape"
    ):
        fitted(with_test(samples(), y), (6,), 3, classes=False)


def test_targets_are_finite() -> None:
    y = TARGETS.copy()
    y[3, 1] = np.nan
    with pytest.raises(FacError, match=r"^y of sample 3 in the `test` split of `toy` holds nan"):
        fitted(with_test(samples(), y), (6,), 3, classes=False)


def test_order_is_a_permutation_pinned_for_good() -> None:
    assert order(0, 0, 8).tolist() == [0, 2, 1, 5, 4, 3, 6, 7]
    assert order(0, 1, 8).tolist() == [5, 3, 7, 2, 4, 1, 0, 6]
    assert order(7, 3, 8).tolist() == [2, 5, 7, 3, 0, 6, 4, 1]
    assert order(0, 0, 8).dtype == np.int64
    assert sorted(order(3, 9, 1000).tolist()) == list(range(1000))


def test_order_mixes_evenly() -> None:
    """Over 2000 epochs each of 5 samples comes first about 400 times (standard deviation 18)."""
    first = np.bincount([order(1, epoch, 5)[0] for epoch in range(2000)], minlength=5)
    assert abs(first - 400).max() < 90
