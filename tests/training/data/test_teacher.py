"""The synthetic teacher: dimension, scale, determinism."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

import fac
from fac.training.data import load
from fac.training.data.teacher import Teacher


def test_targets_are_linear_in_x_with_the_declared_rank() -> None:
    data = load(Teacher(n=500, test=100, inputs=20, outputs=8, rank=3))
    weights, *_ = np.linalg.lstsq(
        data.train.x.astype(np.float64), data.train.y.astype(np.float64), rcond=None
    )
    values = np.linalg.svd(weights, compute_uv=False)
    assert values[2] > 0.1
    assert values[3] < 1e-6
    # the test split has the same teacher
    np.testing.assert_allclose(data.test.x @ weights, data.test.y, atol=1e-5)


def test_targets_have_variance_one_plus_noise() -> None:
    clean = load(Teacher(n=4000, inputs=256, outputs=32, rank=8)).train.y
    assert clean.var(0).mean() == pytest.approx(1, abs=0.15)
    noisy = load(Teacher(n=4000, inputs=256, outputs=32, rank=8, noise=0.5)).train.y
    assert (noisy - clean).std() == pytest.approx(0.5, abs=0.01)


def test_classes_depend_on_rank_directions_only() -> None:
    """For rank 1 the two classes that occur are told apart by the sign of one projection."""
    data = load(Teacher(task="classification", n=2000, inputs=10, outputs=5, rank=1))
    first, second = np.unique(data.train.y)
    side = data.train.x[data.train.y == first].mean(0) - data.train.x[data.train.y == second].mean(0)
    agree = (data.train.x @ side > 0) == (data.train.y == first)
    assert agree.mean() > 0.95


def test_all_classes_occur() -> None:
    data = load(Teacher(task="classification"))
    assert data.train.y.dtype == np.int64
    assert np.bincount(data.train.y, minlength=10).min() > 0


def test_more_samples_change_neither_teacher_nor_test_split() -> None:
    small, large = load(Teacher(n=50)), load(Teacher(n=80))
    np.testing.assert_array_equal(small.train.x, large.train.x[:50])
    np.testing.assert_array_equal(small.test.x, large.test.x)
    np.testing.assert_array_equal(small.test.y, large.test.y)


def test_seeds_differ_and_repeat() -> None:
    first, again, other = load(Teacher(seed=1)), load(Teacher(seed=1)), load(Teacher(seed=2))
    np.testing.assert_array_equal(first.train.y, again.train.y)
    assert abs(np.corrcoef(first.train.x.ravel(), other.train.x.ravel())[0, 1]) < 0.01
    assert first.train.x[0, :3] == pytest.approx([-0.66741544, 1.0114901, -0.60581684])


@pytest.mark.parametrize("task", ["regression", "classification"])
def test_rank_is_at_most_the_number_of_inputs(task: Literal["regression", "classification"]) -> None:
    with pytest.raises(fac.SpecError, match="rank 5 exceeds the 4 directions that the teacher has"):
        Teacher(task=task, inputs=4, rank=5)


def test_rank_of_a_linear_teacher_is_at_most_the_number_of_outputs() -> None:
    with pytest.raises(fac.SpecError, match="rank 5 exceeds the 2 directions that the teacher has"):
        Teacher(outputs=2, rank=5)
    assert load(Teacher(task="classification", outputs=2, rank=5)).train.y.max() == 1
