"""The best epoch is kept, a training ends early, single steps are logged; and all of it survives an interruption."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fac
from fac.backend import Session
from fac.cli.progress import opening, quality
from fac.diagnostics import FacError
from fac.spec.model import ModelSpec
from fac.training import checkpoint
from fac.training.best import Judge
from fac.training.dataset import Dataset, Split
from fac.training.folder import RunFolder
from fac.training.holding import Held
from fac.training.logs import EpochRecord, Listener, Plan, StepRecord
from fac.training.loop import Report, train

Specs = Callable[..., ModelSpec]
Opener = Callable[..., Session]
ALL = {
    "epochs": 12,
    "keep": "best",
    "stop": {"patience": 3},
    "log_every": 2,
    "probe_every": 3,
    "accumulate": 2,
}
STEEP = {"lr": 1.5, "momentum": 0.9}
"""A rate at which the validation loss soon rises."""


@pytest.fixture
def held(dataset: Dataset) -> Dataset:
    """With validation samples: those of the test, in another order."""
    test = dataset.test
    return replace(dataset, validation=Split(test.x[::-1].copy(), test.y[::-1].copy()))


def lines(folder: Path, name: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in (folder / name).read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in ("seconds", "step_ms")} for line in found]


class Killed(Listener):
    """The training ends at a step as by `kill`: what was written so far is there, and no more."""

    def __init__(self, step: int) -> None:
        self.step = step

    def noted(self, record: StepRecord) -> None:
        if record.step == self.step:
            raise KeyboardInterrupt


def test_the_best_epoch_is_what_its_log_says_and_the_session_has_it(
    make_spec: Specs, held: Dataset, open_session: Opener, tmp_path: Path
) -> None:
    spec = make_spec(train=ALL, update=STEEP)
    session = open_session(spec)
    report = train(session, held, spec, RunFolder(Held(tmp_path), {}))
    losses = [record.validation["loss"] for record in report.history]
    assert report.best is not None
    assert (report.best.epoch, report.best.value) == (int(np.argmin(losses)) + 1, min(losses))
    assert report.epochs == report.best.epoch + 3 < 12, "patience has ended it"
    assert report.stopped is not None
    assert held.validation is not None
    assert session.evaluate(held.validation.x, held.validation.y)["loss"] == report.best.value
    assert report.test_loss == report.history[report.best.epoch - 1].test_loss
    found = checkpoint.offered(tmp_path)
    assert found.place.name == "best.safetensors"
    assert found.step == report.shown.step
    assert (
        found.whose == f", the best by `validation_loss` ({min(losses):.4g} after epoch {report.best.epoch})"
    )
    assert checkpoint.load(tmp_path).step == report.steps > found.step
    assert checkpoint.offered(tmp_path / "state.safetensors").step == report.steps


@pytest.mark.parametrize("backend", ["reference", "torch", "onnx"])
def test_killed_within_epochs_it_ends_as_it_would_have(
    backend: str, make_spec: Specs, held: Dataset, open_session: Opener, tmp_path: Path
) -> None:
    """State, best state, both logs, patience and gathered gradients: bit for bit, after several kills."""
    spec = make_spec(train=ALL, update=STEEP)
    (whole := tmp_path / "whole").mkdir()
    (cut := tmp_path / "cut").mkdir()
    expected = train(open_session(spec, backend=backend), held, spec, RunFolder(Held(whole), {}))
    report: Report | None = None
    for step in (4, 8, 18, 24, None):
        since = checkpoint.load(cut) if (cut / "state.safetensors").exists() else None
        session = open_session(spec, since.state if since else None, backend)
        out = RunFolder(Held(cut), {})
        if step is None:
            report = train(session, held, spec, out, since=since)
        else:
            with pytest.raises(KeyboardInterrupt):
                train(session, held, spec, out, Killed(step), since=since)
    assert report is not None
    assert (report.best, report.stopped, report.test_loss) == (
        expected.best,
        expected.stopped,
        expected.test_loss,
    )
    for name in ("metrics.jsonl", "steps.jsonl"):
        assert lines(cut, name) == lines(whole, name)
    for name in ("state.safetensors", "best.safetensors"):
        first, second = (checkpoint.load(folder / name) for folder in (cut, whole))
        assert first.about["best"] == second.about["best"]
        assert all(np.array_equal(first.state[key], value) for key, value in second.state.items())


def test_steps_are_logged_with_their_own_losses_and_probes(
    make_spec: Specs, dataset: Dataset, open_session: Opener, tmp_path: Path
) -> None:
    spec = make_spec(train={"epochs": 2, "log_every": 2, "probe_every": 5})
    report = train(open_session(spec), dataset, spec, RunFolder(Held(tmp_path), {}))
    found = lines(tmp_path, "steps.jsonl")
    assert [(line["epoch"], line["step"]) for line in found] == [
        (1, 2),
        (1, 4),
        (1, 5),
        (2, 6),
        (2, 8),
        (2, 10),
    ]
    by_hand, every = open_session(spec), []
    for step in range(10):
        epoch, position = divmod(step, 5)
        rows = fac_order(epoch)[position * 8 : position * 8 + 8]
        lr = 0.05 * 0.5 * (1 + np.cos(np.pi * step / 10))
        every.append(float(by_hand.step(dataset.train.x[rows], dataset.train.y[rows], lr)["loss"]))
    assert [line["train_loss"] for line in found] == [every[line["step"] - 1] for line in found]
    # the last step of an epoch is measured as its end is
    for line, record in zip((found[2], found[5]), report.history, strict=True):
        assert {k: v for k, v in line.items() if k in record.probes} == record.probes
    assert not set(found[0]) & set(report.history[0].probes)


def fac_order(epoch: int) -> Any:
    from fac.training.dataset import order

    return order(3, epoch, 43)


def test_a_log_begins_with_the_network_before_its_first_step(
    make_spec: Specs, held: Dataset, open_session: Opener, tmp_path: Path
) -> None:
    spec = make_spec(train={"epochs": 1})
    session = open_session(spec)
    untrained = session.evaluate(held.test.x, held.test.y)
    probed = session.probe(held.train.x[fac_order(0)[:8]], held.train.y[fac_order(0)[:8]])
    report = train(session, held, spec, RunFolder(Held(tmp_path), {}))
    assert report.start is not None
    assert (report.start.epoch, report.start.step) == (0, 0)
    assert (report.start.test_loss, report.start.test_accuracy) == (untrained["loss"], untrained["accuracy"])
    assert report.start.probes == {name: v for name, v in probed.items() if name != "loss"}
    assert [line["epoch"] for line in lines(tmp_path, "metrics.jsonl")] == [0, 1]


@pytest.mark.parametrize("backend", ["reference", "torch", "onnx"])
def test_a_training_that_accumulates_is_one_of_larger_batches(backend: str, dataset: Dataset) -> None:
    """Schedule, order of the samples and Adam's corrections included; float64."""
    spec: dict[str, Any] = {
        "fac": 1,
        "name": "n",
        "input": {"shape": [6]},
        "layers": [
            {"kind": "linear", "name": "fc1", "out": 9},
            {"kind": "tanh"},
            {"kind": "linear", "name": "logits", "out": 4},
        ],
        "loss": {"kind": "cross_entropy", "label_smoothing": 0.1},
        "feedback": {"rule": "fa"},
        "update": {"rule": "adam", "lr": 0.01, "schedule": "cosine", "clip": {"by": "norm", "at": 0.1}},
    }
    x, y = dataset.train.x[:40].astype(np.float64), dataset.train.y[:40]
    states = []
    for train_ in ({"batch": 5, "accumulate": 4}, {"batch": 20}):
        made = fac.train(
            spec | {"train": {"epochs": 3, **train_}},
            {"train": (x, y), "test": (x, y)},
            backend=backend,
            precision="float64",
        )
        states.append(made.session.state())
    for name, value in states[1].items():
        if name != "step":
            np.testing.assert_allclose(states[0][name], value, rtol=0, atol=1e-12, err_msg=name)


def test_batches_that_fill_no_update_are_said(
    make_spec: Specs, dataset: Dataset, open_session: Opener
) -> None:
    """The finding FAC343 says it where the number of samples is known before they are read."""
    said: list[str] = []

    class Heard(Listener):
        def said(self, text: str) -> None:
            said.append(text)

    spec = make_spec(train={"epochs": 2, "accumulate": 4})
    train(open_session(spec), dataset, spec, listener=Heard())
    assert said == ["warning: `train.accumulate` is 4, and of 10 batches the last 2 fill no update"]


def test_without_what_it_goes_by_a_training_does_not_begin(
    make_spec: Specs, dataset: Dataset, open_session: Opener
) -> None:
    for field, value in (("keep", "best"), ("stop", {"patience": 1})):
        spec = make_spec(train={field: value})
        with pytest.raises(
            FacError, match=rf"`train.{field}` goes by samples that are held out for validation"
        ):
            train(open_session(spec), dataset, spec)
    spec = make_spec(loss={"kind": "mse"}, train={"keep": {"by": "validation_accuracy"}})
    x, y = np.ones((8, 6), np.float32), np.zeros((8, 4), np.float32)
    alike = Dataset("made up", Split(x, y), Split(x, y), validation=Split(x, y))
    with pytest.raises(FacError, match="the loss has no classes, so that there is no accuracy"):
        train(open_session(spec), alike, spec)


def judged(
    values: list[float], by: str = "validation_loss", patience: int = 2
) -> tuple[list[bool], list[bool]]:
    spec = fac.load(
        {"fac": 1, "name": "n", "input": {"shape": [1]}, "layers": [], "loss": {"kind": "cross_entropy"}}
        | {
            "update": {"rule": "sgd", "lr": 1},
            "train": {"keep": "best", "stop": {"patience": patience, "by": by}},
        }
    )
    judge, kept, over = Judge(spec.train, {}), [], []
    for epoch, value in enumerate(values, 1):
        record = EpochRecord(epoch, epoch, 0.1, 1.0, 1.0, 0.5, 1.0, 1.0, validation={by[11:]: value})
        judge = Judge(spec.train, judge.told())
        kept.append(judge.heard(record))
        over.append(judge.over(epoch) is not None)
    return kept, over


def test_what_is_better_and_when_patience_ends() -> None:
    """A draw is not better; an accuracy is better if it is higher; what is not finite is never better than a number."""
    assert judged([3, 2, 2, 2.5]) == ([True, True, False, False], [False, False, False, True])
    assert judged([0.5, 0.6, 0.4], "validation_accuracy", 1) == ([True, True, False], [False, False, True])
    assert judged([float("nan"), 2, float("nan")])[0] == [True, True, False]


def test_a_folder_with_the_best_of_another_run_is_refused(tmp_path: Path) -> None:
    from fac.training import folder

    (tmp_path / "best.safetensors").touch()
    with (
        pytest.raises(FacError, match=r"holds the `best.safetensors` of another run"),
        folder.claim(tmp_path, "net"),
    ):
        pass


def test_a_best_state_that_is_gone_is_said(
    make_spec: Specs, held: Dataset, open_session: Opener, tmp_path: Path
) -> None:
    spec = make_spec(train=ALL, update=STEEP)
    train(open_session(spec), held, spec, RunFolder(Held(tmp_path), {}))
    (tmp_path / "best.safetensors").unlink()
    since, said = checkpoint.load(tmp_path), list[str]()

    class Heard(Listener):
        def said(self, text: str) -> None:
            said.append(text)

    report = train(
        open_session(spec, since.state), held, spec, RunFolder(Held(tmp_path), {}), Heard(), since=since
    )
    assert any("is gone: what is told is of the last one" in text for text in said)
    assert (report.best, report.test_loss) == (None, report.history[-1].test_loss)


class Heard(Listener):
    def __init__(self) -> None:
        self.over, self.goes_by, self.why = "", tuple[str, ...](), list[str]()

    def began(self, plan: Plan) -> None:
        self.over, self.goes_by = plan.over, plan.goes_by

    def stopped(self, text: str) -> None:
        self.why.append(text)


def test_a_run_that_stop_has_ended_says_so_where_it_is_to_be_longer(
    make_spec: Specs, held: Dataset, open_session: Opener, tmp_path: Path
) -> None:
    spec = make_spec(train=ALL, update=STEEP)
    session, first, again = open_session(spec), Heard(), Heard()
    report = train(session, held, spec, RunFolder(Held(tmp_path), {}), first)
    assert (first.over, first.goes_by, first.why) == ("", ("validation_loss",), [report.stopped])
    longer = make_spec(train=ALL | {"epochs": 40}, update=STEEP)
    since = checkpoint.load(tmp_path)
    later = open_session(longer)
    later.load_state(since.state)
    assert train(later, held, longer, RunFolder(Held(tmp_path), {}), again, since=since).steps == report.steps
    assert (again.over, again.why) == (report.stopped, []), "told before, and once"
    told = opening(Plan(40, 10, 4, 50, 0, over=again.over))
    assert told.startswith("nothing is trained: `train.stop` has ended this run, stopped after epoch")
    assert "`fac train --fork` of this run with `--set train.stop=null`" in told


def test_progress_shows_what_stop_and_keep_go_by() -> None:
    record = EpochRecord(
        1, 10, 0.1, 0.5, 0.6, 0.8, 1.0, 1.0, {}, validation={"accuracy": 0.75, "loss": 0.625}
    )
    assert "validation 75.0 %, loss 0.625" in quality(record, ("validation_loss",))
    assert "loss 0.625" not in quality(record, ("validation_accuracy",))
