"""Samples that are standardised: by whom, by what, and that the same numbers are used ever after."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fac.backend import Session
from fac.diagnostics import FacError
from fac.spec.model import ModelSpec
from fac.step.feed import Feed
from fac.training import checkpoint, metadata
from fac.training.dataset import AT_ONCE, Dataset, HeldOut, Split
from fac.training.fitting import fitted
from fac.training.folder import RunFolder
from fac.training.holding import Held
from fac.training.holdout import parted
from fac.training.loop import StoppedError, train
from fac.training.scaling import Scaling, from_text, measured, to_text
from fac.training.stored import scaled

FEEDS = (Feed("x", (6,)), Feed("y", (), classes=4, loss="cross_entropy"))


def test_of_each_number_and_of_pooled_axes() -> None:
    """More samples than are read at once, far from 0: against NumPy."""
    x = np.random.default_rng(0).normal(1e3, 2.0, (AT_ONCE + 7, 3, 2, 4))
    each = measured(x, (), "x")
    np.testing.assert_allclose(each.mean, x.mean(0), rtol=1e-13)
    np.testing.assert_allclose(each.deviation, x.std(0), rtol=1e-10)
    channels = measured(x, (1, 2), "x")
    assert channels.mean.shape == (3, 1, 1)
    np.testing.assert_allclose(channels.mean[:, 0, 0], x.mean((0, 2, 3)), rtol=1e-13)
    made = channels.applied(x, "float64")
    np.testing.assert_allclose(made.mean((0, 2, 3)), 0, atol=1e-9)
    np.testing.assert_allclose(made.std((0, 2, 3)), 1, rtol=1e-9)


def test_bytes_and_numbers_that_never_move() -> None:
    x = np.array([[0, 7, 255], [100, 7, 0]], np.uint8)
    made = measured(x, (), "x").applied(x, "float32")
    np.testing.assert_allclose(made, [[-1, 0, 1], [1, 0, -1]])
    assert made.dtype == np.float32
    same = np.full((1000, 1), 0.1)
    flat = measured(same, (), "x").applied(same, "float64")
    np.testing.assert_allclose(flat, 0, atol=1e-12, err_msg="rounding of a mean is no deviation")


def test_what_is_not_finite_is_told_by_its_sample() -> None:
    x = np.zeros((AT_ONCE + 3, 2))
    x[AT_ONCE + 1, 1] = np.nan
    with pytest.raises(
        FacError, match=f"sample {AT_ONCE + 1} of the `train` split holds a number that is not"
    ):
        measured(x, (), "the `train` split")


def test_by_the_samples_alone_that_are_trained_on(dataset: Dataset) -> None:
    held = HeldOut(0.25, 0)
    left, taken = parted(dataset.train, held, dataset.train.y)
    found = fitted(replace(dataset, held_out=held, scale={"x": ()}), FEEDS, "float64")
    mean, deviation = left.x.mean(0, dtype=float), left.x.std(0, dtype=float)
    assert found.validation is not None
    for part, raw in ((found.train, left), (found.validation, taken), (found.test, dataset.test)):
        np.testing.assert_allclose(part.x, (raw.x - mean) / deviation, rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(found.scalings["x"].mean, measured(left.x, (), "").mean)


def test_numbers_that_a_training_kept_go_before(dataset: Dataset) -> None:
    kept = {"x": Scaling(np.full(6, 2.0), np.full(6, 4.0))}
    found = fitted(replace(dataset, scale={"x": ()}), FEEDS, "float64", kept)
    np.testing.assert_allclose(found.test.x, (dataset.test.x - 2.0) / 4)


@pytest.mark.parametrize("read", [(1, 4, 6), (4, 6), (24,)])
@pytest.mark.parametrize("pooled", [(), (0, 1)])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_samples_of_any_shape_that_fits_become_the_same_numbers(
    read: tuple[int, ...], pooled: tuple[int, ...], dtype: str
) -> None:
    """Those that were measured have one of three shapes, those that are scaled another, and so has the network."""
    x = np.random.default_rng(0).integers(0, 256, (5, 4, 6)).astype(dtype)
    exact, axis = x.astype(float), None if pooled else 0
    wanted = (exact - exact.mean(axis)) / exact.std(axis)
    for trained in ((4, 6), (1, 4, 6), (24,)):
        axes = tuple(range(len(trained))) if pooled else ()
        by = {"x": measured(x.reshape(5, *trained), axes, "x")}
        for given in ((4, 6), (1, 4, 6), (24,), (4, 1, 6)):
            found = scaled(Split(x.reshape(5, *given)), by, "x", "float64", {"x": read}).x
            np.testing.assert_allclose(np.asarray(found).reshape(x.shape), wanted, rtol=1e-12, atol=1e-12)


def test_channels_keep_their_means_whatever_axes_of_one_there_are() -> None:
    x = np.random.default_rng(0).normal(size=(5, 3, 4, 1)) + np.arange(3).reshape(3, 1, 1)
    by = {"x": measured(x, (1, 2), "x")}
    wanted = (x - x.mean((0, 2, 3), keepdims=True)) / x.std((0, 2, 3), keepdims=True)
    for given in ((3, 4, 1), (3, 4), (1, 3, 4)):
        found = scaled(Split(x.reshape(5, *given)), by, "x", "float64", {"x": (3, 4, 1)}).x
        np.testing.assert_allclose(found.reshape(x.shape), wanted, rtol=1e-12)


def test_samples_of_another_shape_are_refused() -> None:
    by = {"x": Scaling(np.zeros((3, 1, 1)), np.ones((3, 1, 1)))}
    read = {"x": (3, 4, 4)}
    scaled(Split(np.zeros((2, 3, 4, 4))), by, "", "float32", read)
    for shape in ((1, 4, 4), (3,), (3, 4, 4, 4)):
        with pytest.raises(FacError, match="give samples as the training read them"):
            scaled(Split(np.zeros((2, *shape))), by, "`a.npz`", "float32", read)


def test_text_keeps_all_digits() -> None:
    draw = np.random.default_rng(0)
    before = {"x": Scaling(draw.normal(size=(3, 1)), draw.uniform(0.1, 1, (3, 1)))}
    after = from_text(to_text(before))
    np.testing.assert_array_equal(after["x"].mean, before["x"].mean)
    np.testing.assert_array_equal(after["x"].deviation, before["x"].deviation)
    for text in (
        "[]", "1", '{"x": 1}', '{"x": {"mean": [1]}}', '{"x": {"mean": [1], "deviation": [0]}}',
        '{"x": {"mean": [NaN], "deviation": [1]}}', '{"x": {"mean": ["a"], "deviation": [1]}}',
        '{"x": {"mean": [[1], [1, 2]], "deviation": [1]}}', "[" * 5000,
    ):  # fmt: skip
        with pytest.raises(ValueError):  # noqa: PT011 - whatever the text holds
            from_text(text)


def test_a_run_keeps_them_and_goes_on_with_them(
    spec: ModelSpec, dataset: Dataset, open_session: Callable[..., Session], tmp_path: Path
) -> None:
    """What is measured anew from changed data would be another network's input."""
    raw = replace(dataset, scale={"x": ()}, classes=("a", "b", "c", "d"))
    session, steps = open_session(spec), iter(range(100))
    with pytest.raises(StoppedError):
        train(session, raw, spec, RunFolder(Held(tmp_path), {}), stop=lambda: next(steps) == 6)
    found = checkpoint.load(tmp_path)
    assert metadata.kept(found.about).classes == ("a", "b", "c", "d")
    kept = metadata.scalings(found.about)
    np.testing.assert_array_equal(kept["x"].mean, measured(dataset.train.x, (), "").mean)
    on, unbroken = open_session(spec, found.state), open_session(spec)
    train(on, raw, spec, RunFolder(Held(tmp_path), {}), since=found)
    train(unbroken, raw, spec)
    for name, value in unbroken.state().items():
        np.testing.assert_array_equal(on.state()[name], value)
