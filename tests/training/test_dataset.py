"""Fitting a data set to a network: shapes, and one clear message for all that is wrong with the data."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fac.backend import Feed, Precision
from fac.diagnostics import FacError
from fac.losses.bce import BCE
from fac.losses.cross_entropy import CROSS_ENTROPY
from fac.losses.mse import MSE
from fac.program.kinds import LossKind
from fac.training.dataset import Dataset, Split, order
from fac.training.fitting import fitted

Array = NDArray[Any]


def samples(n: int = 4) -> Array:
    return np.arange(n * 6, dtype=np.float32).reshape(n, 2, 3)


def with_test(x: Array, y: Array) -> Dataset:
    """A data set whose training split is in order."""
    good = np.zeros((4, *y.shape[1:]), y.dtype)
    return Dataset("toy", Split(samples(), good), Split(x, y))


def asked(sample: tuple[int, ...], output: tuple[int, ...], loss: LossKind) -> tuple[Feed, Feed]:
    """What a network with one input is fed with."""
    if loss.classes:
        return Feed("x", sample), Feed("y", output[:-1], loss.name, output[-1])
    return Feed("x", sample), Feed("y", output, loss.name, within=loss.within)


def fit(
    data: Dataset, sample: tuple[int, ...], output: tuple[int, ...], loss: LossKind, precision: Precision
) -> Dataset:
    """The data as such a network reads them."""
    return fitted(data, asked(sample, output, loss), precision)


LABELS = np.array([0, 1, 2, 1])
TARGETS = np.arange(12, dtype=np.float32).reshape(4, 3)


def shaped(*sample: int) -> Array:
    """Three samples in which all values differ."""
    return np.arange(3 * np.prod(sample, dtype=int), dtype=np.float32).reshape(3, *sample)


SHAPES = [
    (192,),
    (3, 8, 8),
    (8, 8, 3),
    (8, 3, 8),
    (64, 3),
    (1, 3, 8, 8),
    (3, 8, 8, 1),
    (3, 64),
    (1, 192),
    (191,),
]


@pytest.mark.parametrize("stored", SHAPES)
@pytest.mark.parametrize("wanted", SHAPES)
def test_no_sample_is_scrambled(stored: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    """What is taken has every value at the coordinates that it had, or one side has no coordinates to speak of."""
    x, y = shaped(*stored), np.array([0, 1, 2])
    data = Dataset("toy", Split(x, y), Split(x, y))
    flat = 1 in (len(stored), len(wanted))
    kept = x.size == 3 * np.prod(wanted) and (
        flat or np.squeeze(x.reshape(3, *wanted)).shape == np.squeeze(x).shape
    )
    if kept:
        taken = fit(data, wanted, (3,), CROSS_ENTROPY, "float32").test.x
        assert taken.shape == (3, *wanted)
        np.testing.assert_array_equal(taken.ravel(), x.ravel())
    else:
        message = re.escape(f"have shape {list(stored)}, but `input.shape` is {list(wanted)}")
        with pytest.raises(FacError, match=message):
            fit(data, wanted, (3,), CROSS_ENTROPY, "float32")


def test_channels_last_are_told_how_to_become_first() -> None:
    x, y = shaped(8, 8, 3), np.array([0, 1, 2])
    message = (
        "samples in the `train` split of `toy` have shape [8, 8, 3], but `input.shape` is [3, 8, 8]: if only the axes "
        "are in another order, store `x.transpose(0, 3, 1, 2)`; else write `input: {shape: [8, 8, 3]}` or `[192]`"
    )
    with pytest.raises(FacError, match=f"^{re.escape(message)}$"):
        fit(Dataset("toy", Split(x, y), Split(x, y)), (3, 8, 8), (3,), CROSS_ENTROPY, "float32")
    turned = x.transpose(0, 3, 1, 2)
    taken = fit(
        Dataset("toy", Split(turned, y), Split(turned, y)), (3, 8, 8), (3,), CROSS_ENTROPY, "float32"
    ).train.x
    assert taken[2, 1, 4, 7] == x[2, 4, 7, 1]


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_floats_have_the_precision_of_the_run_and_labels_are_int64(precision: Precision) -> None:
    third = samples().astype(np.float64) / 3
    data = fit(with_test(third, LABELS.astype(np.uint8)), (6,), (3,), CROSS_ENTROPY, precision)
    assert data.test.x.dtype == precision
    np.testing.assert_array_equal(data.test.x, third.reshape(4, 6).astype(precision))
    assert data.test.y.dtype == np.int64
    targets = fit(with_test(samples(), TARGETS.astype(np.float64) / 3), (6,), (3,), MSE, precision)
    np.testing.assert_array_equal(targets.test.y, (TARGETS.astype(np.float64) / 3).astype(precision))
    assert targets.test.y.dtype == precision


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
            "x of sample 2 in the `test` split of `toy` holds nan at [1, 0]: "
            "remove or replace values that are not finite in float32",
        ),
        (
            broken(-np.inf),
            LABELS,
            "x of sample 2 in the `test` split of `toy` holds -inf at [1, 0]: "
            "remove or replace values that are not finite in float32",
        ),
        (
            samples().astype(np.float64) * 1e40,
            LABELS,
            "x of sample 0 in the `test` split of `toy` holds inf at [0, 1]: "
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
        fit(with_test(x, y), (6,), (3,), CROSS_ENTROPY, "float32")


@pytest.mark.parametrize("y", [LABELS.astype(np.float32), LABELS[:, None], LABELS > 0])
def test_labels_are_a_row_of_integers(y: Array) -> None:
    with pytest.raises(FacError, match=r"but the loss needs integer labels of shape"):
        fit(with_test(samples(), y), (6,), (3,), CROSS_ENTROPY, "float32")


def test_samples_must_fill_the_input() -> None:
    message = (
        "samples in the `train` split of `toy` have shape [2, 3], but `input.shape` is [5]: "
        "write `input: {shape: [2, 3]}` or `[6]`"
    )
    with pytest.raises(FacError, match=f"^{re.escape(message)}$"):
        fit(with_test(samples(), LABELS), (5,), (3,), CROSS_ENTROPY, "float32")


def test_mse_refuses_labels() -> None:
    message = (
        "y in the `train` split of `toy` holds int64 labels, but `mse` needs float targets "
        "of shape (n, 3): give such targets, or write `loss: {kind: cross_entropy}`"
    )
    with pytest.raises(FacError, match=f"^{re.escape(message)}$"):
        fit(with_test(samples(), LABELS), (6,), (3,), MSE, "float32")


@pytest.mark.parametrize("y", [TARGETS[:, :2], TARGETS[:, 0]])
def test_targets_have_one_column_for_each_output(y: Array) -> None:
    with pytest.raises(
        FacError, match=r"has shape \[4.*\], but the network has 3 outputs: give targets of shape"
    ):
        fit(with_test(samples(), y), (6,), (3,), MSE, "float32")


def test_targets_are_finite() -> None:
    y = TARGETS.copy()
    y[3, 1] = np.nan
    with pytest.raises(FacError, match=r"^y of sample 3 in the `test` split of `toy` holds nan at \[1\]: "):
        fit(with_test(samples(), y), (6,), (3,), MSE, "float32")


MASKS = np.arange(4 * 6).reshape(4, 1, 2, 3) % 3 == 0


@pytest.mark.parametrize("kind", ["bool", "uint8", "int64"])
def test_masks_of_integers_and_truth_values_are_targets_from_0_to_1(kind: str) -> None:
    for y, output in ((MASKS, (1, 2, 3)), (MASKS[:, 0], (1, 2, 3)), (MASKS[:, 0, 0, 0], (1,))):
        data = fit(with_test(samples(), y.astype(kind)), (6,), output, BCE, "float32")
        assert data.test.y.dtype == np.float32
        assert np.array_equal(data.test.y, y.reshape(4, *output).astype(np.float32))


BYTES = MASKS.astype(np.uint8) * 255


@pytest.mark.parametrize(
    ("y", "loss", "output", "message"),
    [
        (
            BYTES,
            BCE,
            (1, 2, 3),
            "target 255.0 of sample 0 in the `train` split of `toy` is out of range: `bce` needs targets from 0 to 1",
        ),
        (
            BYTES,
            MSE,
            (1, 2, 3),
            "y in the `train` split of `toy` holds uint8, but `mse` needs float targets of shape (n, 1, 2, 3): "
            "give such targets",
        ),
        (
            MASKS[:, 0, 0, 0],
            MSE,
            (1,),
            "y in the `train` split of `toy` holds bool, but `mse` needs float targets of shape (n, 1): "
            "give such targets",
        ),
        (
            LABELS.astype(np.uint8),
            BCE,
            (3,),
            "y in the `train` split of `toy` holds uint8 labels, but `bce` needs float targets of shape (n, 3): "
            "give such targets, or write `loss: {kind: cross_entropy}`",
        ),
        (
            MASKS,
            CROSS_ENTROPY,
            (3,),
            "y in the `train` split of `toy` holds shape [4, 1, 2, 3] of bool, but the loss needs integer labels of "
            "shape (n,): give such labels, or a loss on targets such as `mse`",
        ),
        (
            LABELS > 0,
            CROSS_ENTROPY,
            (3,),
            "y in the `train` split of `toy` holds bool, but the loss needs integer labels of shape (n,): "
            "give such labels, or a loss on targets such as `mse`",
        ),
    ],
)
def test_what_no_loss_reads_that_way_is_called_what_it_is(
    y: Array, loss: Any, output: tuple[int, ...], message: str
) -> None:
    data = Dataset("toy", Split(samples(), y), Split(samples(), y))
    with pytest.raises(FacError, match=f"^{re.escape(message)}$"):
        fit(data, (6,), output, loss, "float32")


@pytest.mark.parametrize("value", [-0.25, 1.5])
def test_targets_lie_where_the_loss_reads_them(value: float) -> None:
    y = TARGETS / 11  # both ends are allowed
    fit(with_test(samples(), y), (6,), (3,), BCE, "float32")
    y[2, 1] = value
    place = "sample 2 in the `test` split of `toy`"
    message = f"target {value} of {place} is out of range: `bce` needs targets from 0 to 1"
    with pytest.raises(FacError, match=f"^{re.escape(message)}$"):
        fit(with_test(samples(), y), (6,), (3,), BCE, "float32")
    fit(with_test(samples(), y), (6,), (3,), MSE, "float32")


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
