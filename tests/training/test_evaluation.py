"""Evaluations and predictions, beside counts that are made label by label."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import fac
from fac.backend import Session
from fac.diagnostics import FacError
from fac.losses.cross_entropy import CROSS_ENTROPY
from fac.losses.mse import MSE
from fac.pipeline import lowered
from fac.training import evaluation
from fac.training.dataset import Split
from fac.training.evaluation import BINS, Classes, evaluated
from fac.training.prediction import predicted

Opened = tuple[Session, Any]


def opened(**sections: Any) -> Opened:
    spec = {
        "fac": 1,
        "name": "net",
        "feedback": {"rule": "bp"},
        "update": {"rule": "sgd", "lr": 0.1},
    } | sections
    model = fac.load(spec)
    return fac.compile(model, backend="reference", precision="float64").open(), lowered(model)


def classifier() -> Opened:
    return opened(
        input={"shape": [4]},
        layers=[{"kind": "linear", "name": "logits", "out": 3}],
        loss={"kind": "cross_entropy"},
    )


def tokens() -> Opened:
    """A label for each of five places, of which some do not count for two reasons."""
    return opened(
        inputs={"x": {"shape": [5, 4]}, "there": {"shape": [5], "mask": True}},
        layers=[{"kind": "linear", "name": "logits", "out": 3, "from": "x"}],
        loss={"kind": "cross_entropy", "ignore_index": -1, "mask": "there"},
    )


def numbers(n: int, *shape: int) -> NDArray[np.float64]:
    return np.random.default_rng(n).standard_normal((n, *shape))


def counted(outputs: NDArray[Any], labels: NDArray[Any]) -> tuple[list[list[int]], float]:
    """The confusion, and the calibration error, of [M, 3] outputs, one by one."""
    confusion = [[0] * 3 for _ in range(3)]
    bins: dict[int, list[tuple[bool, float]]] = {}
    for z, label in zip(outputs.tolist(), labels.tolist(), strict=True):
        powers = [np.exp(value) for value in z]
        named = z.index(max(z))
        confusion[label][named] += 1
        p = powers[named] / sum(powers)
        place = next(b for b in range(BINS) if p <= (b + 1) / BINS)
        bins.setdefault(place, []).append((named == label, p))
    off = (abs(np.mean([r for r, _ in b]) - np.mean([p for _, p in b])) * len(b) for b in bins.values())
    return confusion, float(sum(off)) / len(labels)


def check(found: Classes | None, outputs: NDArray[Any], labels: NDArray[Any]) -> None:
    confusion, error = counted(outputs, labels)
    assert found is not None
    assert found.confusion is not None
    assert found.calibration is not None
    assert found.confusion.tolist() == confusion
    assert found.labels.tolist() == [sum(row) for row in confusion]
    assert found.named.tolist() == [sum(column) for column in zip(*confusion, strict=True)]
    assert found.calibration.count.sum() == len(labels)
    assert found.calibration.error == pytest.approx(error, abs=1e-12)


@pytest.fixture(params=[7, 2048])
def chunk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Samples in parts of which the last is smaller, and all at once."""
    monkeypatch.setattr("fac.backend.session.CHUNK", request.param)


@pytest.mark.usefixtures("chunk")
def test_classes_and_calibration_are_what_counting_gives() -> None:
    session, _ = classifier()
    x, y = 3 * numbers(200, 4), np.random.default_rng(1).integers(3, size=200)
    found = evaluated(session, Split(x, y), CROSS_ENTROPY)
    check(found.classes, session.forward(x), y)
    assert found.samples == 200
    assert found.means == session.evaluate(x, y)
    assert found.classes is not None
    assert found.classes.right.sum() / 200 == pytest.approx(found.means["accuracy"])


@pytest.mark.usefixtures("chunk")
def test_only_places_that_count_are_counted() -> None:
    session, _ = tokens()
    draw = np.random.default_rng(3)
    x, y = numbers(30, 5, 4), draw.integers(-1, 3, size=(30, 5))
    there = draw.integers(0, 2, size=(30, 5)).astype(float)
    found = evaluated(session, Split(x=x, there=there, y=y), CROSS_ENTROPY)
    kept = (y != -1) & (there == 1)
    check(found.classes, session.forward({"x": x, "there": there})[kept], y[kept])
    assert found.classes is not None
    assert found.classes.right.sum() / kept.sum() == pytest.approx(found.means["accuracy"])


def test_what_counts_nowhere_is_no_accuracy_of_zero() -> None:
    session, _ = tokens()
    split = Split(x=numbers(2, 5, 4), there=np.ones((2, 5)), y=np.full((2, 5), -1))
    with pytest.raises(FacError, match="no label of these samples counts"):
        evaluated(session, split, CROSS_ENTROPY)


def test_shares_of_what_is_not_there_are_undefined() -> None:
    nothing = np.zeros(2, np.int64)
    one = np.array([4, 0])
    found = Classes(one, one, np.array([3, 0]), None, None)
    assert found.recall[0] == found.precision[0] == 0.75
    assert np.isnan(found.recall[1])
    assert np.isnan(found.precision[1])
    assert found.mistaken(0) is None
    assert np.isnan(Classes(nothing, nothing, nothing, None, None).recall).all()


def test_the_class_that_is_mostly_taken_for_another() -> None:
    confusion = np.array([[5, 1, 2], [0, 3, 0], [1, 1, 9]])
    found = Classes(confusion.sum(1), confusion.sum(0), confusion.diagonal(), confusion, None)
    assert [found.mistaken(label) for label in range(3)] == [(2, 2), None, (0, 1)]


def test_many_classes_are_counted_without_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "SHOWN", 2)
    session, _ = classifier()
    found = evaluated(session, Split(numbers(20, 4), np.arange(20) % 3), CROSS_ENTROPY)
    assert found.classes is not None
    assert found.classes.confusion is None
    assert found.classes.labels.tolist() == [7, 7, 6]


def test_a_loss_on_targets_has_no_classes() -> None:
    session, program = opened(
        input={"shape": [4]}, layers=[{"kind": "linear", "name": "out", "out": 2}], loss={"kind": "mse"}
    )
    x, y = numbers(9, 4), numbers(9, 2)
    found = evaluated(session, Split(x, y), MSE)
    assert (found.classes, found.means) == (None, session.evaluate(x, y))
    assert list(predicted(session, Split(x=x), program)) == ["output"]


@pytest.mark.usefixtures("chunk")
@pytest.mark.parametrize("net", [classifier, tokens])
def test_predictions_are_outputs_and_the_likeliest_class(net: Callable[[], Opened]) -> None:
    session, program = net()
    shape = session.compiled.inputs[0].shape
    given = {"x": numbers(30, *shape)} | ({"there": np.ones((30, 5))} if len(shape) > 1 else {})
    found = predicted(session, Split(**given), program)
    z = session.forward(given)
    assert np.array_equal(found["output"], z)
    assert np.array_equal(found["label"], z.argmax(-1))
    p = np.exp(z) / np.exp(z).sum(-1, keepdims=True)
    assert found["probability"] == pytest.approx(p.max(-1), abs=1e-12)
