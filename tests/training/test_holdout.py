"""Samples that are held out for validation: how many of each class, which, and that no step sees them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fac
from fac.backend import Session
from fac.cli.progress import quality
from fac.diagnostics import FacError
from fac.spec.model import ModelSpec
from fac.step.feed import Feed
from fac.training import data
from fac.training.dataset import Dataset, HeldOut, Split
from fac.training.fitting import fitted
from fac.training.holdout import drawn, parted
from fac.training.logs import EpochRecord
from fac.training.loop import train

FEEDS = (Feed("x", (6,)), Feed("y", (), classes=4, loss="cross_entropy"))


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 0.9])
@pytest.mark.parametrize("seed", [0, 1, (1 << 64) - 1])
def test_each_class_gives_its_share(share: float, seed: int) -> None:
    """Of n_c samples n_c k / n, up to less than one; k of n in all; and each sample is in one of both parts."""
    labels = np.random.default_rng(seed).choice(5, 237, p=[0.5, 0.3, 0.1, 0.07, 0.03])
    held = HeldOut(share, seed)
    rows = drawn(labels, held)
    k = round(237 * share)
    assert len(rows) == len(set(rows.tolist())) == held.count(237) == k
    sizes, taken = np.bincount(labels, minlength=5), np.bincount(labels[rows], minlength=5)
    assert (np.abs(taken - sizes * k / 237) < 1).all()


def test_labels_need_not_count_from_zero() -> None:
    labels = np.repeat([-100, 7, 9], [10, 20, 70])
    taken = labels[drawn(labels, HeldOut(0.1, 0))]
    assert [(taken == label).sum() for label in (-100, 7, 9)] == [1, 2, 7]


def test_no_class_gives_its_last_sample_while_others_can_give_one() -> None:
    """10 classes of one sample, and one of 11: all quotas are below 1 but that."""
    labels = np.array([*range(10), *[10] * 11])
    assert set(labels[drawn(labels, HeldOut(0.3, 5))].tolist()) == {10}
    alone = np.arange(4)
    assert len(drawn(alone, HeldOut(0.5, 0))) == 2


def test_which_ones_is_the_seed_alone() -> None:
    labels = np.repeat([0, 1], 500)
    first, again, other = (sorted(drawn(labels, HeldOut(0.2, s)).tolist()) for s in (3, 3, 4))
    assert first == again != other
    # about as many of each half of a class as of the other: the draw does not favour a place
    assert 30 < sum(row % 500 < 250 for row in first) / 2 < 70


def test_the_parts_keep_their_order_and_their_pairs() -> None:
    x, y = np.arange(20.0)[:, None], np.arange(20) % 2
    left, taken = parted(Split(x, y), HeldOut(0.3, 1), y)
    for part in (left, taken):
        assert (np.diff(part.x[:, 0]) > 0).all()
        np.testing.assert_array_equal(part.x[:, 0] % 2, part.y)
    assert sorted([*left.x[:, 0], *taken.x[:, 0]]) == list(range(20))


def test_what_is_fitted_is_held_out_by_its_labels(dataset: Dataset) -> None:
    found = fitted(replace(dataset, held_out=HeldOut(0.25, 0)), FEEDS, "float32")
    assert found.validation is not None
    assert (len(found.train), len(found.validation), len(found.test)) == (32, 11, 17)
    expected, _ = parted(dataset.train, HeldOut(0.25, 0), dataset.train.y)
    np.testing.assert_array_equal(found.train.x, expected.x)


def test_targets_are_drawn_from_all_alike() -> None:
    split = Split(np.zeros((10, 6)), np.arange(10.0)[:, None])
    found = fitted(
        Dataset("toy", split, split, held_out=HeldOut(0.3, 0)),
        (Feed("x", (6,)), Feed("y", (1,), loss="mse")),
        "float32",
    )
    assert found.validation is not None
    assert len(found.validation) == 3


def test_a_single_sample_cannot_be_parted() -> None:
    one = Split(np.zeros((1, 6)), np.zeros(1, int))
    with pytest.raises(FacError, match="the `train` split of `toy` has a single sample"):
        fitted(Dataset("toy", one, one, held_out=HeldOut(0.3, 0)), FEEDS, "float32")


def test_no_step_sees_what_is_held_out(
    spec: ModelSpec, dataset: Dataset, open_session: Callable[..., Session]
) -> None:
    """Training is that on the samples which are left, to the bit; and what is said of the others is so."""
    held = HeldOut(0.25, 0)
    left, taken = parted(dataset.train, held, dataset.train.y)
    with_them, without = open_session(spec), open_session(spec)
    report = train(with_them, replace(dataset, held_out=held), spec)
    train(without, Dataset("left", left, dataset.test), spec)
    for name, value in without.state().items():
        np.testing.assert_array_equal(with_them.state()[name], value)
    assert report.history[-1].validation == pytest.approx(without.evaluate(taken.x, taken.y), rel=1e-12)


RECORD: Mapping[str, Any] = {
    "epoch": 1, "step": 5, "lr": 0.1, "train_loss": 1.0, "test_loss": 2.0, "test_accuracy": 0.5,
    "seconds": 1.0, "step_ms": 2.0,
}  # fmt: skip


def test_a_line_of_the_log_is_read_as_it_was_written() -> None:
    held = {"loss": 1.5, "accuracy": 0.25, "aux.loss": 3.0}
    record = EpochRecord(**RECORD, probes={"fc1.error.cosine": 0.5}, validation=held)
    flat = json.loads(record.to_json())
    assert (flat["validation_loss"], flat["validation_accuracy"], flat["validation.aux.loss"]) == (
        1.5,
        0.25,
        3,
    )
    assert EpochRecord.from_json(record.to_json()) == record
    assert not EpochRecord.from_json(json.dumps(RECORD)).validation


def test_a_line_of_progress_has_it_beside_the_test() -> None:
    shown = quality(EpochRecord(**RECORD, validation={"loss": 1.5, "accuracy": 0.25}))
    assert shown == "acc 50.0 %  validation 25.0 %"
    targets = EpochRecord(**{**RECORD, "test_accuracy": None}, validation={"loss": 1.5})
    assert quality(targets) == "test loss 2  validation loss 1.5"


def test_any_source_holds_out(tmp_path: Path) -> None:
    """What the check knows of the number of samples is what the training has."""
    for section in (
        {"source": "digits"},
        {"source": "teacher", "n": 50, "test": 10, "inputs": 64, "outputs": 10, "task": "classification"},
    ):
        spec = fac.load(
            {
                "fac": 1,
                "name": "held",
                "input": {"shape": [64]},
                "layers": [{"kind": "linear", "out": 10}],
                "loss": {"kind": "cross_entropy"},
                "feedback": {"rule": "bp"},
                "update": {"rule": "sgd", "lr": 0.1},
                "train": {"batch": 8},
                "data": {**section, "validation": 0.17, "split_seed": 3},
            }
        )
        assert spec.data is not None
        kind = next(kind for kind in data.KINDS if kind.name == section["source"])
        facts = kind.known(spec.data)
        whole = kind.facts(spec.data)
        assert facts is not None
        assert whole is not None
        feeds = fac.pipeline.compiled(fac.pipeline.lowered(spec)).feeds
        found = fitted(data.load(spec.data, tmp_path), feeds, "float32")
        assert found.validation is not None
        assert facts.train == len(found.train) == (whole.train or 0) - len(found.validation)
