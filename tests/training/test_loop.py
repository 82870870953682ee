from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fac.backend import Arrays, Session
from fac.diagnostics import FacError
from fac.spec.model import ModelSpec
from fac.training import checkpoint, folder
from fac.training.dataset import Dataset, Split, order
from fac.training.folder import RunFolder
from fac.training.holding import Held
from fac.training.logs import EpochRecord, Listener, Plan, Progress
from fac.training.loop import StoppedError, train
from fac.writing import unwritable

Opener = Callable[..., Session]


class Recorder(Listener):
    def __init__(self) -> None:
        self.heard: list[Any] = []

    def began(self, plan: Plan) -> None:
        self.heard.append(plan)

    def moved(self, progress: Progress) -> None:
        self.heard.append(progress)

    def ended(self, record: EpochRecord) -> None:
        self.heard.append(record)

    def said(self, text: str) -> None:
        self.heard.append(text)


def after(steps: int) -> Callable[[], bool]:
    """Says stop at the call of that number."""
    calls = iter(range(1, 10**6))
    return lambda: next(calls) >= steps


def same(left: Mapping[str, Any], right: Mapping[str, Any]) -> bool:
    return left.keys() == right.keys() and all(left[k].tobytes() == right[k].tobytes() for k in left)


def test_steps_see_the_declared_batches_and_learning_rates(
    spec: ModelSpec, dataset: Dataset, open_session: Opener
) -> None:
    by_hand, trained = open_session(spec), open_session(spec)
    for step in range(15):
        epoch, position = divmod(step, 5)
        rows = order(3, epoch, 43)[position * 8 : position * 8 + 8]
        lr = 0.05 * 0.5 * (1 + np.cos(np.pi * step / 15))
        by_hand.step(dataset.train.x[rows], dataset.train.y[rows], lr)
    train(trained, dataset, spec)
    for name, value in by_hand.state().items():
        np.testing.assert_allclose(trained.state()[name], value, rtol=1e-12, atol=1e-14)


def test_report_and_listener(spec: ModelSpec, dataset: Dataset, open_session: Opener) -> None:
    session, recorder = open_session(spec), Recorder()
    report = train(session, dataset, spec, listener=recorder)
    assert recorder.heard[0] == Plan(epochs=3, steps_per_epoch=5, samples_per_step=8, done=0, left_over=3)
    assert [h for h in recorder.heard if isinstance(h, EpochRecord)] == list(report.history)
    assert [(h.epoch, h.step) for h in recorder.heard if isinstance(h, Progress)] == [(1, 5), (2, 5), (3, 5)]
    assert (report.epochs, report.steps, session.steps) == (3, 15, 15)
    assert report.test_accuracy == report.history[-1].test_accuracy
    exact = session.evaluate(dataset.test.x, dataset.test.y)
    assert report.test_loss == pytest.approx(exact["loss"], rel=1e-12)
    assert report.test_accuracy == pytest.approx(exact["accuracy"])
    assert 0 < report.step_ms < 1000 * report.seconds
    assert "fc1.error.cosine" in report.history[0].probes
    assert "loss" not in report.history[0].probes


def test_data_that_are_read_in_another_shape_are_told(
    spec: ModelSpec, dataset: Dataset, open_session: Opener
) -> None:
    """Once; and nothing is said of data that have the shape of the input."""
    for shape, expected in (((6,), []), ((1, 2, 3), ["x of shape [1, 2, 3] is read as [6], row by row"])):
        splits = (Split(part.x.reshape(-1, *shape), part.y) for part in (dataset.train, dataset.test))
        recorder = Recorder()
        train(open_session(spec), Dataset("made up", *splits), spec, listener=recorder)
        assert [text for text in recorder.heard if isinstance(text, str)] == expected


def test_training_loss_is_the_mean_over_the_epoch(
    spec: ModelSpec, dataset: Dataset, open_session: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses: list[float] = []
    session = open_session(spec)
    block = session.block

    def spied(batches: Sequence[Arrays], lr: Sequence[float]) -> list[dict[str, Any]]:
        found = block(batches, lr)
        losses.extend(each["loss"] for each in found)
        return found

    monkeypatch.setattr(session, "block", spied)
    report = train(session, dataset, spec)
    assert [r.train_loss for r in report.history] == pytest.approx(
        [np.mean(losses[i : i + 5]) for i in (0, 5, 10)]
    )


def test_evaluation_in_chunks_is_weighted(
    spec: ModelSpec, dataset: Dataset, open_session: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = open_session(spec)
    placed = session.place(dataset.train.x), session.place(dataset.train.y)
    whole = session.evaluate(*placed)
    monkeypatch.setattr("fac.backend.session.CHUNK", 10)
    assert session.evaluate(*placed) == pytest.approx(whole)


@pytest.mark.parametrize(("backend", "stops"), [("reference", range(1, 15)), ("torch", (4, 8, 10))])
def test_2n_steps_equal_n_save_load_n(
    spec: ModelSpec,
    dataset: Dataset,
    open_session: Opener,
    tmp_path: Path,
    backend: str,
    stops: Iterable[int],
) -> None:
    """Bit for bit, wherever a training is interrupted."""
    whole = open_session(spec, backend=backend)
    report = train(whole, dataset, spec)
    for steps in stops:
        first = open_session(spec, backend=backend)
        (tmp_path / str(steps)).mkdir()
        out = RunFolder(Held(tmp_path / str(steps)), {})
        with pytest.raises(StoppedError):
            train(first, dataset, spec, out, stop=after(steps - (steps - 1) // 5))
        found = checkpoint.load(out.state)
        second = open_session(spec, found.state, backend)
        again = train(second, dataset, spec, out, since=found)
        assert same(second.state(), whole.state())
        assert [r.train_loss for r in again.history] == [r.train_loss for r in report.history]


def test_stop_waits_for_the_end_of_an_epoch_that_is_all_but_over(
    make_spec: Callable[..., ModelSpec], dataset: Dataset, open_session: Opener, tmp_path: Path
) -> None:
    spec = make_spec(train={"batch": 43})
    out = RunFolder(Held(tmp_path), {})
    report = train(open_session(spec), dataset, spec, out, stop=lambda: True)
    assert [r.epoch for r in report.history] == [1, 2, 3]


@pytest.mark.parametrize("file", ["state.safetensors", "metrics.jsonl"])
def test_a_disk_that_is_full_leaves_a_state_and_the_message_says_how_to_go_on(
    file: str,
    spec: ModelSpec,
    dataset: Dataset,
    open_session: Opener,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where nothing is kept, nothing is promised."""

    class Full(Recorder):
        def ended(self, record: EpochRecord) -> None:
            """From the first epoch on."""
            where: Any = checkpoint if file == folder.STATE else folder
            monkeypatch.setattr(where, "write" if file == folder.STATE else "append", refused)

    def refused(path: Path, *_: Any) -> None:
        error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        raise unwritable(path, error) from error

    out = RunFolder(Held(tmp_path), {})
    message = (
        rf"^cannot write `.*{file}`: no space left on device; the state after step 5 is kept: mend that, and go on "
        rf"with `fac train --resume {tmp_path}`$"
    )
    with pytest.raises(FacError, match=message):
        train(open_session(spec), dataset, spec, out, Full())
    assert checkpoint.load(tmp_path).step == 5
    if file == folder.STATE:
        with pytest.raises(FacError, match=r"no space left on device$"):
            train(open_session(spec), dataset, spec, RunFolder(Held(tmp_path), {}))


def test_log_has_one_object_per_epoch(
    spec: ModelSpec, dataset: Dataset, open_session: Opener, tmp_path: Path
) -> None:
    train(open_session(spec), dataset, spec, RunFolder(Held(tmp_path), {}))
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [0, 1, 2, 3]
    names = {
        "step",
        "lr",
        "train_loss",
        "test_loss",
        "test_accuracy",
        "seconds",
        "step_ms",
        "fc1.error.cosine",
    }
    assert names <= lines[0].keys()


def test_resume_drops_log_lines_that_will_be_written_again(
    spec: ModelSpec, dataset: Dataset, open_session: Opener, tmp_path: Path
) -> None:
    out = RunFolder(Held(tmp_path), {})
    with pytest.raises(StoppedError):
        train(open_session(spec), dataset, spec, out, stop=after(6))
    log = tmp_path / "metrics.jsonl"
    first = log.read_text()
    again = first.splitlines(keepends=True)[1].replace('"epoch": 1', '"epoch": 2')
    log.write_text(first + again + '{"epoch": 3, "st')
    found = checkpoint.load(out.state)
    assert found.step == 7
    train(open_session(spec, found.state), dataset, spec, out)
    lines = log.read_text().splitlines(keepends=True)
    assert "".join(lines[:2]) == first
    assert [json.loads(line)["epoch"] for line in lines] == [0, 1, 2, 3]


@pytest.mark.parametrize("steps", [7, 15])
def test_a_log_that_is_gone_is_no_obstacle(
    spec: ModelSpec, dataset: Dataset, open_session: Opener, tmp_path: Path, steps: int
) -> None:
    whole, first = open_session(spec), open_session(spec)
    expected = train(whole, dataset, spec)
    out, log = RunFolder(Held(tmp_path), {}), tmp_path / "metrics.jsonl"
    with suppress(StoppedError):
        train(first, dataset, spec, out, stop=after(6) if steps == 7 else lambda: False)
    log.unlink()
    found, recorder = checkpoint.load(out.state), Recorder()
    assert found.step == steps
    second = open_session(spec, found.state)
    report = train(second, dataset, spec, out, recorder, since=found)
    gone = "the line of 1 earlier epoch is" if steps == 7 else "the lines of 3 earlier epochs are"
    assert recorder.heard[0] == f"{gone} gone from `{log}`; the state is whole"
    assert same(second.state(), whole.state())
    assert (report.test_loss, report.test_accuracy) == (expected.test_loss, expected.test_accuracy)
    if steps == 7:
        assert [json.loads(line)["epoch"] for line in log.read_text().splitlines()] == [2, 3]
    else:
        assert np.isnan(report.train_loss)
        assert not log.exists()


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_a_longer_training_goes_on_with_the_schedule_of_its_length(
    make_spec: Callable[..., ModelSpec],
    dataset: Dataset,
    open_session: Opener,
    tmp_path: Path,
    schedule: str,
) -> None:
    """With a constant learning rate it is the training that was longer from the start."""
    short = make_spec(update={"schedule": schedule})
    longer = make_spec(update={"schedule": schedule}, train={"epochs": 5})
    whole, first = open_session(longer), open_session(short)
    expected = train(whole, dataset, longer)
    out = RunFolder(Held(tmp_path), {})
    train(first, dataset, short, out)
    found = checkpoint.load(out.state)
    second = open_session(longer, found.state)
    report = train(second, dataset, longer, out, since=found)
    assert [r.epoch for r in report.history] == [1, 2, 3, 4, 5]
    assert [r.lr for r in report.history[3:]] == [r.lr for r in expected.history[3:]]
    assert same(second.state(), whole.state()) == (schedule == "constant")


def test_a_sum_of_losses_that_another_program_left_behind_is_ignored(
    make_spec: Callable[..., ModelSpec], dataset: Dataset, open_session: Opener, tmp_path: Path
) -> None:
    """A stopped training's sum is of the epoch that had begun: at the start of one there is none."""
    constant = {"schedule": "constant"}
    short, longer = make_spec(update=constant), make_spec(update=constant, train={"epochs": 4})
    expected = train(open_session(longer), dataset, longer)
    out = RunFolder(Held(tmp_path), {})
    train(open_session(short), dataset, short, out)
    found = checkpoint.load(out.state)
    stale = replace(found, about={**found.about, "loss_sum": "33.0"})
    report = train(open_session(longer, found.state), dataset, longer, out, since=stale)
    assert report.train_loss == expected.train_loss


def test_changed_data_are_noticed(
    spec: ModelSpec, dataset: Dataset, open_session: Opener, tmp_path: Path
) -> None:
    out = RunFolder(Held(tmp_path), {})
    with pytest.raises(StoppedError):
        train(open_session(spec), dataset, spec, out, stop=after(6))
    found = checkpoint.load(out.state)
    x = dataset.train.x.copy()
    x[40, 2] += 1e-6
    y = dataset.train.y.copy()
    y[0] = (y[0] + 1) % 4
    for data, warned in ((dataset, False), (changed(dataset, x=x), True), (changed(dataset, y=y), True)):
        recorder = Recorder()
        train(open_session(spec, found.state), data, spec, out, recorder, since=found)
        warning = "warning: the training data are not those that this run began with"
        assert any(str(h).startswith(warning) for h in recorder.heard) == warned
        out.save(found.state, found.about)
    fewer = changed(dataset, x=x[:42], y=y[:42])
    with pytest.raises(FacError, match=r"began with 43 training samples and now there are 42, so its epochs"):
        train(open_session(spec, found.state), fewer, spec, out, since=found)


def test_checkpoints_from_before_data_were_noted_resume(
    spec: ModelSpec, dataset: Dataset, open_session: Opener, tmp_path: Path
) -> None:
    out, recorder = RunFolder(Held(tmp_path), {}), Recorder()
    train(open_session(spec), dataset, spec, out)
    found = checkpoint.load(out.state)
    old = replace(found, about={k: v for k, v in found.about.items() if k not in ("data", "samples")})
    train(open_session(spec, found.state), dataset, spec, out, recorder, since=old)
    assert not [h for h in recorder.heard if isinstance(h, str)]


def test_a_training_that_is_over_reports_its_last_epoch(
    spec: ModelSpec, dataset: Dataset, open_session: Opener, tmp_path: Path
) -> None:
    session, out = open_session(spec), RunFolder(Held(tmp_path), {})
    report = train(session, dataset, spec, out)
    assert replace(train(session, dataset, spec, out), seconds=0, step_ms=0) == replace(
        report, seconds=0, step_ms=0
    )
    with pytest.raises(FacError, match=r"nothing is left to train: all 3 epochs are done"):
        train(session, dataset, spec)


def test_regression_has_no_accuracy(make_spec: Callable[..., ModelSpec], open_session: Opener) -> None:
    spec = make_spec(loss={"kind": "mse"})
    x = np.ones((8, 6), np.float32)
    split = Split(x, np.zeros((8, 4), np.float32))
    report = train(open_session(spec), Dataset("made up", split, split), spec)
    assert report.test_accuracy is None
    assert json.loads(report.history[0].to_json())["test_accuracy"] is None


def changed(dataset: Dataset, **arrays: Any) -> Dataset:
    return replace(dataset, train=Split(**{**dataset.train.arrays, **arrays}))


def test_bad_data_never_reach_a_step(spec: ModelSpec, dataset: Dataset, open_session: Opener) -> None:
    wide = changed(dataset, x=np.zeros((43, 7), np.float32))
    label = changed(dataset, y=np.full(43, 4))
    nan = changed(dataset, x=np.full((43, 6), np.nan, np.float32))
    cases = (
        (wide, r"have shape \[7\], but `input.shape` is \[6\]"),
        (label, "label 4 of sample 0 in the `train` split of `made up` is out of range"),
        (nan, "x of sample 0 in the `train` split of `made up` holds nan"),
    )
    for data, message in cases:
        session = open_session(spec)
        with pytest.raises(FacError, match=message):
            train(session, data, spec)
        assert session.steps == 0


def test_batch_larger_than_the_data(
    make_spec: Callable[..., ModelSpec], dataset: Dataset, open_session: Opener
) -> None:
    spec = make_spec(train={"batch": 44})
    with pytest.raises(FacError, match=r"`train.batch` is 44, but there are only 43 training samples"):
        train(open_session(spec), dataset, spec)
