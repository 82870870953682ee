"""Results that are finite and hardly ones: the loss rose, or the network tells no more than a constant does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import fac
from fac.backend import Session
from fac.losses.cross_entropy import CROSS_ENTROPY
from fac.losses.mse import MSE
from fac.plugins import kinds as kinds_of
from fac.program.kinds import LossKind
from fac.program.lower import kind_of
from fac.spec.model import ModelSpec
from fac.training.dataset import Dataset, Split, order
from fac.training.logs import EpochRecord
from fac.training.loop import Report, train
from fac.training.outcome import RISEN, SHARE, Concern, concerns
from fac.training.stepping import Stepping

Opener = Callable[..., Session]
Specs = Callable[..., ModelSpec]


def constant_output(session: Session, output: np.ndarray[Any, Any]) -> Session:
    """The network that answers `output` whatever it is asked."""
    state = {name: np.zeros_like(array) for name, array in session.state().items()}
    session.load_state(state | {"logits.bias": output})
    return session


def judged(
    family: Stepping, kind: LossKind, test: Split, train_loss: float, test_loss: float, accuracy: float | None
) -> tuple[Concern, ...]:
    loss: Any = kind.spec()
    tested = {"loss": test_loss, "accuracy": accuracy}
    return concerns(family, [(kind, loss)], test, train={"loss": train_loss}, tested=tested)


def linear(make_spec: Specs, out: int) -> ModelSpec:
    """logits = x W + b, and one epoch of steps that move nothing: the planted network is what training ends in."""
    return make_spec(
        layers=[{"kind": "linear", "name": "logits", "out": out}],
        feedback={"rule": "bp"},
        update={"lr": 1e-300},
        train={"epochs": 1, "batch": 100},
    )


def planted(session: Session, weight: np.ndarray[Any, Any], bias: np.ndarray[Any, Any]) -> Session:
    """With a W of (6, outputs)."""
    session.load_state(dict(session.state()) | {"logits.weight": weight.T, "logits.bias": bias})
    return session


def kinds(report: Report) -> list[str]:
    return [concern.kind for concern in report.concerns]


def test_the_best_constant_output_has_the_loss_that_the_kind_of_loss_says(
    make_spec: Specs, open_session: Opener
) -> None:
    """Closed form against the compiled loss, in float64; every other constant is worse."""
    rng = np.random.default_rng(1)
    x = np.zeros((50, 6), np.float32)
    labels = rng.choice(4, 50, p=[0.5, 0.3, 0.15, 0.05])
    targets = rng.standard_normal((50, 4)).astype(np.float32) * [1, 2, 3, 4] + [5, 0, 0, -5]
    grey = rng.uniform(0, 1, (50, 4)).astype(np.float32) ** [1, 2, 3, 9]
    p, m = np.bincount(labels, minlength=4) / 50, grey.mean(0, dtype=np.float64)
    w, yes = (0.5, 2.0, 3.0, 0.0), (2.0, 1.0, 0.5, 7.0)
    smooth = {"label_smoothing": 0.2}
    with np.errstate(divide="ignore"):
        cases: list[tuple[dict[str, Any], Any, Any]] = [
            ({"kind": "cross_entropy"}, labels, np.log(p)),
            ({"kind": "cross_entropy", **smooth}, labels, np.log(0.8 * p + 0.05)),
            (
                {"kind": "cross_entropy", **smooth, "weight": w},
                labels,
                np.log(np.array(w) * (0.8 * p + 0.05)).clip(-50),
            ),
            ({"kind": "mse"}, targets, targets.mean(0)),
            ({"kind": "bce"}, grey, np.log(m / (1 - m))),
            ({"kind": "bce", "pos_weight": yes}, grey, np.log(np.array(yes) * m / (1 - m))),
        ]
    for loss, y, output in cases:
        least = constant_of(loss, y)
        session = open_session(make_spec(loss=loss))
        assert constant_output(session, output).evaluate(x, y)["loss"] == pytest.approx(least, rel=1e-6)
        for _ in range(5):
            other = output + 0.1 * rng.standard_normal(4)
            assert constant_output(session, other).evaluate(x, y)["loss"] > least


def test_the_best_constant_of_a_huber_loss_is_where_its_gradient_vanishes(
    make_spec: Specs, open_session: Opener
) -> None:
    """No closed form: the loss is convex, so that a gradient of nothing is the minimum. Bisected here per output."""
    rng = np.random.default_rng(1)
    x, y = np.zeros((51, 6)), rng.standard_cauchy((51, 4)) * [0.1, 1, 10, 100]
    best = []
    for column in y.T:
        knots = np.sort(np.concatenate([column - 0.5, column + 0.5]))
        pulls = np.array([np.clip(column - knot, -0.5, 0.5).sum() for knot in knots])
        at = int(np.argmax(pulls <= 0))  # linear between two knots
        share = pulls[at - 1] / (pulls[at - 1] - pulls[at])
        best.append(knots[at - 1] + share * (knots[at] - knots[at - 1]))
    loss = {"kind": "huber", "delta": 0.5}
    session = constant_output(open_session(make_spec(loss=loss)), np.array(best))
    assert session.evaluate(x, y)["loss"] == pytest.approx(constant_of(loss, y), rel=1e-6)


@pytest.mark.parametrize("loss", [{"kind": "bce", "pos_weight": 3.0}, {"kind": "bce"}], ids=str)
def test_grey_targets_leave_a_rest_which_no_network_gets_below(
    make_spec: Specs, dataset: Dataset, open_session: Opener, loss: dict[str, Any]
) -> None:
    """One that answers each sample as well as can be has the loss of a constant, nearly, and learned all there is."""
    y = np.random.default_rng(3).uniform(0.45, 0.55, (60, 4)).astype(np.float32)
    p = loss.get("pos_weight", 1.0)
    z, data = np.log(p * y / (1 - y)), Split(dataset.train.x, y[:43])
    best = (p * y * np.log1p(np.exp(-z)) + (1 - y) * np.log1p(np.exp(z)))[:43].mean()
    spec = make_spec(loss=loss)
    session = open_session(spec)
    kind = kind_of("fac.losses", spec.minimised[0])
    constant = kind.constant(spec.minimised[0], data.y, (4,))
    assert best > SHARE * constant
    assert kind.least(spec.minimised[0], data.y, (4,)) == pytest.approx(best, rel=1e-6)
    family = Stepping(session, data, spec)
    losses, figures = [(kind, spec.minimised[0])], {"loss": 1e-9 + best}
    assert concerns(family, losses, data, train=figures, tested={"loss": best * (1 + 1e-6)}) == ()
    at_chance = family_at(family, np.log(p))
    (concern,) = concerns(at_chance, losses, data, train=figures, tested={"loss": constant})
    assert concern.kind == "chance"


def family_at(family: Stepping, output: float) -> Stepping:
    """With a network that answers one number."""
    constant_output(family.session, np.full(4, output))
    return family


def constant_of(loss: dict[str, Any], y: Any) -> float:
    """What the kind says of the loss."""
    kind = next(k for k in kinds_of("fac.losses") if k.name == loss["kind"])
    assert kind.constant is not None
    found: float = kind.constant(kind.spec(**loss), y, (4,))
    return found


def test_a_classifier_at_chance_is_told_with_both_numbers(
    make_spec: Specs, dataset: Dataset, open_session: Opener
) -> None:
    """A dead network: its output is the logarithm of the class frequencies, its loss their entropy."""
    spec = make_spec(update={"lr": 1e-300})
    p = np.bincount(dataset.train.y, minlength=4) / 43
    session = constant_output(open_session(spec), np.log(p))
    (concern,) = train(session, dataset, spec).concerns
    assert concern.kind == "chance"
    entropy = -(p * np.log(p)).sum()
    assert concern.figures["train_loss"] == pytest.approx(entropy, rel=1e-9)
    assert concern.figures["constant_train_loss"] == pytest.approx(entropy, rel=1e-12)
    share = np.bincount(dataset.test.y).max() / 17
    named = (dataset.test.y == p.argmax()).mean()
    assert concern.figures["most_frequent_class"] == pytest.approx(share)
    assert concern.figures["constant_test_accuracy"] == concern.figures["test_accuracy"] == named
    assert concern.message.startswith("no better than predicting the class frequencies: loss ")
    assert f"loss {entropy:.4g} on training samples, where that has {entropy:.4g}" in concern.message
    assert concern.message.endswith(
        f"test accuracy {100 * named:.1f} %, where always naming the most frequent class of the training data "
        f"has {100 * named:.1f} %, and any one class at most {100 * share:.1f} %"
    ), "± stands for a deviation over seeds wherever fac writes it"


def test_a_regression_at_the_mean_is_told_with_both_numbers(
    make_spec: Specs, dataset: Dataset, open_session: Opener
) -> None:
    y = np.random.default_rng(2).standard_normal((60, 4)).astype(np.float32)
    data = Dataset("made up", Split(dataset.train.x, y[:43]), Split(dataset.test.x, y[43:]))
    spec = make_spec(loss={"kind": "mse"}, update={"lr": 1e-300})
    session = constant_output(open_session(spec), y[:43].mean(0))
    (concern,) = train(session, data, spec).concerns
    assert concern.kind == "chance"
    assert concern.figures["train_loss"] == pytest.approx(y[:43].var(0).mean(), rel=1e-5)
    assert concern.message.startswith("no better than predicting the same for all samples: loss ")
    flat = Split(dataset.train.x, np.ones_like(y[:43]))
    report = train(constant_output(open_session(spec), np.ones(4)), Dataset("flat", flat, flat), spec)
    assert kinds(report) == [], "where all targets are one value there is nothing to learn"


@pytest.mark.parametrize("backend", ["reference", "torch"])
def test_a_loss_that_rose_is_told_and_nothing_is_changed_by_looking(
    make_spec: Specs, dataset: Dataset, open_session: Opener, backend: str
) -> None:
    spec = make_spec(update={"lr": 20.0, "momentum": 0, "schedule": "constant"}, feedback={"rule": "bp"})
    session = open_session(spec, backend=backend)
    report = train(session, dataset, spec)
    risen = report.concerns[0]
    assert risen.kind == "risen"
    rows = np.arange(43)
    untrained = open_session(spec, backend=backend).evaluate(dataset.train.x[rows], dataset.train.y[rows])
    assert risen.figures["untrained_loss"] == pytest.approx(untrained["loss"], rel=1e-5)
    now = session.evaluate(dataset.train.x, dataset.train.y)["loss"]
    assert risen.figures["train_loss"] == pytest.approx(now, rel=1e-5)
    assert now > RISEN * untrained["loss"]
    unlooked = open_session(spec, backend=backend)
    family = Stepping(unlooked, dataset.train, spec)
    for _ in range(15):
        family.once()
    assert all(np.array_equal(unlooked.state()[k], v) for k, v in session.state().items())


@pytest.mark.parametrize("rule", ["bp", "dfa", "shallow"])
@pytest.mark.parametrize("epochs", [1, 3])
def test_short_healthy_trainings_are_not_called_risen(
    make_spec: Specs, dataset: Dataset, open_session: Opener, rule: str, epochs: int
) -> None:
    for seed in range(5):
        spec = make_spec(feedback={"rule": rule}, train={"epochs": epochs, "seed": seed})
        assert "risen" not in kinds(train(open_session(spec), dataset, spec))


def test_a_few_training_samples_that_carry_the_loss_are_not_missed(
    make_spec: Specs, open_session: Opener
) -> None:
    """3 of 3000 have a loss of 1e5 each, and no test sample is like them: a mean of 100, at an accuracy of 99.9 %."""
    spec = linear(make_spec, 4)
    y = np.arange(3000) % 4
    x = np.zeros((3000, 6), np.float32)
    x[np.arange(3000), y] = 1
    missed = order(spec.train.seed, 0, 3000)[2000:2003]
    x[missed] = np.eye(6)[5]
    weight = np.zeros((6, 4))
    weight[:4] = 5 * np.eye(4)
    weight[5] = -1e5 * np.eye(4)[y[missed[0]]]
    y[missed] = y[missed[0]]
    clean = np.setdiff1d(np.arange(3000), missed)
    data = Dataset("planted", Split(x, y), Split(x[clean], y[clean]))
    session = planted(open_session(spec), weight, np.zeros(4))
    report = train(session, data, spec)
    assert report.test_loss < 0.1, "the test data tell nothing of it"
    assert report.test_accuracy == 1
    assert kinds(report) == ["risen"]
    assert report.concerns[0].figures["train_loss"] == pytest.approx(100, rel=1e-2)
    family = Stepping(session, data.train, spec)
    again = judged(family, CROSS_ENTROPY, data.test, np.nan, report.test_loss, report.test_accuracy)
    assert again == report.concerns, "so says a training that is resumed without its log"


def test_one_answer_for_nearly_all_samples_is_chance(make_spec: Specs, open_session: Opener) -> None:
    """33 of 1400 training samples are right beyond that: the loss ends at 0.976 of the entropy of ten classes."""
    spec = linear(make_spec, 10)
    y = np.arange(1400) % 10
    x = np.zeros((1400, 6), np.float32)
    x[np.flatnonzero(y == 7)[:33], 0] = 1
    test = Split(np.zeros((400, 6), np.float32), np.arange(400) % 10)
    weight = np.zeros((6, 10))
    weight[0, 7] = 30
    report = train(
        planted(open_session(spec), weight, 1e-6 * np.eye(10)[0]),
        Dataset("planted", Split(x, y), test),
        spec,
    )
    (concern,) = report.concerns
    assert concern.kind == "chance"
    assert concern.figures["train_loss"] == pytest.approx(np.log(10) * 1367 / 1400, rel=1e-3)
    assert concern.figures["train_loss"] < 0.98 * np.log(10)
    assert concern.figures["test_accuracy"] == pytest.approx(0.1)


def test_a_majority_that_is_rightly_named_always_is_no_concern(
    make_spec: Specs, open_session: Opener
) -> None:
    """90 % are of one class, in either group of x: the best answer is that class, and 0.968 C the best loss."""
    spec = linear(make_spec, 2)
    x, y = np.zeros((4000, 6), np.float32), np.zeros(4000, np.int64)
    x[:1000, 0] = 1
    y[:180] = y[1000:1220] = 1
    odds = np.array([np.log(180 / 820), np.log(220 / 2780)])
    weight = np.zeros((6, 2))
    weight[0, 1] = odds[0] - odds[1]
    both = Split(x, y)
    session = planted(open_session(spec), weight, np.array([0, odds[1]]))
    report = train(session, Dataset("planted", both, both), spec)
    assert report.test_accuracy == pytest.approx(0.9)
    assert report.test_loss == pytest.approx(
        -(0.18 * np.log(0.18) + 0.82 * np.log(0.82)) / 4
        - 0.75 * (11 / 150 * np.log(11 / 150) + 139 / 150 * np.log(139 / 150)),
        rel=1e-6,
    )
    assert kinds(report) == []


def test_random_labels_that_are_learned_by_heart_are_no_concern(
    make_spec: Specs, dataset: Dataset, open_session: Opener
) -> None:
    """The test loss ends far above that of a constant: the training samples tell that the network works."""
    rng = np.random.default_rng(3)
    data = replace(
        dataset,
        train=Split(dataset.train.x, rng.integers(0, 4, 43)),
        test=Split(dataset.test.x, rng.integers(0, 4, 17)),
    )
    spec = make_spec(
        feedback={"rule": "bp"},
        train={"epochs": 300},
        update={"lr": 0.1},
        layers=[
            {"kind": "linear", "name": "fc1", "out": 32},
            {"kind": "relu"},
            {"kind": "linear", "name": "logits", "out": 4},
        ],
    )
    report = train(open_session(spec), data, spec)
    assert report.test_loss > RISEN * np.log(4)
    assert report.train_loss < 0.1
    assert kinds(report) == []


def test_a_loss_of_a_plug_in_needs_to_say_nothing(
    spec: ModelSpec, dataset: Dataset, open_session: Opener
) -> None:
    """Then classes are judged by the accuracy, and the loss beside that of the untrained network."""
    silent = replace(CROSS_ENTROPY, constant=None)
    session = constant_output(open_session(spec), np.array([50.0, 0, 0, 0]))
    family = Stepping(session, dataset.train, spec)
    found = session.evaluate(dataset.test.x, dataset.test.y)
    told = judged(family, silent, dataset.test, found["loss"], found["loss"], found["accuracy"])
    assert [concern.kind for concern in told] == ["risen", "chance"]
    assert "constant_train_loss" not in told[1].figures
    session.load_state(session.compiled.initial())
    assert judged(family, silent, dataset.test, 1.0, 1.0, 1.0) == ()


def test_a_test_loss_that_is_not_finite_is_told(
    make_spec: Specs, open_session: Opener, dataset: Dataset
) -> None:
    """One test sample of 1e30: its squared error is beyond float32, which the parameters are not."""
    y = np.random.default_rng(4).standard_normal((60, 4)).astype(np.float32)
    test = Split(dataset.test.x, y[43:].copy())
    test.y[0] = 1e30
    spec = make_spec(loss={"kind": "mse"})
    session = fac.compile(spec, "torch", "float32").open()
    report = train(session, Dataset("made up", Split(dataset.train.x, y[:43]), test), spec)
    assert kinds(report) == ["overflow"]
    assert report.concerns[0].message.startswith("the loss on the test data is inf")
    assert isinstance(report.history[-1], EpochRecord)


def test_a_training_loss_that_is_not_finite_is_told(
    make_spec: Specs, open_session: Opener, dataset: Dataset
) -> None:
    """The same of a training sample: the steps may not have seen it, for the last partial batch is left out."""
    y = np.random.default_rng(4).standard_normal((60, 4)).astype(np.float32)
    targets = y[:43].copy()
    targets[0] = 1e30
    spec = make_spec(loss={"kind": "mse"})
    session = fac.compile(spec, "torch", "float32").open()
    family = Stepping(session, Split(dataset.train.x, targets), spec)
    found = session.evaluate(dataset.test.x, y[43:])["loss"]
    (concern,) = judged(family, MSE, Split(dataset.test.x, y[43:]), np.nan, found, None)
    assert (concern.kind, concern.figures) == ("overflow", {"train_loss": np.inf})
    assert concern.message.startswith("the loss on the training samples is inf")
