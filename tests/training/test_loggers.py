"""Loggers: what they are told, with the packages themselves; and that a training does not depend on them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fac
from fac.diagnostics import FacError
from fac.pipeline import spec_hash
from fac.training.loggers.kind import About
from fac.training.loggers.wandb import Wandb, _Run
from fac.training.logs import Listener, StepRecord
from fac.training.telling import Telling, named

X = np.random.default_rng(0).standard_normal((24, 3))
DATA: Any = {"train": (X, (X > 0).argmax(1)), "test": (X, (X > 0).argmax(1))}
SPEC = {
    "fac": 1,
    "name": "small",
    "input": {"shape": [3]},
    "layers": [{"kind": "linear", "name": "fc1", "out": 4}, {"kind": "linear", "name": "logits", "out": 3}],
    "loss": {"kind": "cross_entropy"},
    "feedback": {"rule": "fa"},
    "update": {"rule": "sgd", "lr": 0.1},
}
BLOCK = 1 << 15


class Heard(Listener):
    def __init__(self) -> None:
        self.texts: list[str] = []

    def said(self, text: str) -> None:
        self.texts.append(text)


def made(**train: Any) -> dict[str, Any]:
    return SPEC | {"train": {"epochs": 2, "batch": 8, **train}}


def trained(out: Path, listener: Listener | None = None, **train: Any) -> fac.Trained:
    return fac.train(made(**train), DATA, out=out, backend="reference", listener=listener)


def lines(folder: Path, name: str = "metrics.jsonl") -> list[dict[str, Any]]:
    found = [json.loads(line) for line in (folder / name).read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in ("seconds", "step_ms")} for line in found]


def test_tensorboard_reads_what_the_log_has(tmp_path: Path) -> None:
    """Its own reader finds each figure of `metrics.jsonl` and `steps.jsonl` at its step, in float32."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    trained(tmp_path / "a", loggers=["tensorboard"], log_every=2, probe_every=3)
    events = EventAccumulator(str(tmp_path / "a" / "tensorboard"), {"scalars": 0})
    events.Reload()
    tags = set(events.Tags()["scalars"])
    for name, start in (("metrics.jsonl", ""), ("steps.jsonl", "steps/")):
        for line in lines(tmp_path / "a", name):
            for key, value in line.items():
                if key == "step" or value is None:
                    continue
                told = {event.step: event.value for event in events.Scalars(start + key)}
                assert told[line["step"]] == np.float32(value), (name, key)
    assert {"test_accuracy", "fc1.error.cosine", "steps/train_loss", "steps/fc1.error.cosine"} <= tags


def test_a_resumed_run_voids_the_events_that_come_again(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    class Killed(Listener):
        def noted(self, record: StepRecord) -> None:
            if record.step == 6:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "a", Killed(), loggers=["tensorboard"], log_every=1)
    fac.train(data=DATA, resume=tmp_path / "a")
    events = EventAccumulator(str(tmp_path / "a" / "tensorboard"), {"scalars": 0})
    events.Reload()
    assert [event.step for event in events.Scalars("steps/train_loss")] == [1, 2, 3, 4, 5, 6]


def records(content: bytes) -> Iterator[bytes]:
    """Those of a file of Weights & Biases: behind 7 bytes pieces with 7 bytes of head, in blocks as LevelDB's log has.

    https://github.com/google/leveldb/blob/main/doc/log_format.md
    """
    at, whole = 7, b""
    while at + 7 <= len(content):
        if BLOCK - at % BLOCK < 7:
            at += BLOCK - at % BLOCK
            continue
        size, kind = int.from_bytes(content[at + 4 : at + 6], "little"), content[at + 6]
        whole += content[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):  # all of a record, or its last piece
            yield whole
            whole = b""


def test_weights_and_biases_keeps_a_run_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package itself, offline. Nothing of the machine is in it."""
    import wandb
    from wandb.proto import wandb_internal_pb2 as proto

    for name in ("WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "elsewhere"))
    heard = Heard()
    trained(tmp_path / "a", heard, loggers=[{"kind": "wandb", "project": "mine"}])
    assert not [text for text in heard.texts if "logger" in text]
    wandb.teardown()  # its service writes on for a while
    (file,) = (tmp_path / "a" / "wandb").glob("offline-run-*/run-*.wandb")
    told, projects = dict[int, dict[str, float]](), set[str]()
    for data in records(file.read_bytes()):
        record: Any = proto.Record()  # type: ignore[attr-defined]
        record.ParseFromString(data)
        if record.HasField("run"):
            projects.add(record.run.project)
        if record.HasField("history"):
            items = {i.key or ".".join(i.nested_key): json.loads(i.value_json) for i in record.history.item}
            told[int(items["_step"])] = items
    assert projects == {"mine"}
    for line in lines(tmp_path / "a"):
        assert told[line["step"]]["test_loss"] == line["test_loss"]
    assert not list((tmp_path / "a").rglob("requirements.txt"))


def test_loggers_change_no_bit_and_no_hash(tmp_path: Path) -> None:
    trained(tmp_path / "a", log_every=2)
    trained(tmp_path / "b", log_every=2, loggers=["tensorboard"])
    for name in ("metrics.jsonl", "steps.jsonl"):
        assert lines(tmp_path / "a", name) == lines(tmp_path / "b", name)
    first, second = (fac.load(made(loggers=loggers)) for loggers in ([], ["tensorboard"]))
    assert spec_hash(first) == spec_hash(second) == spec_hash(fac.load(made()))
    fac.train(data=DATA, resume=tmp_path / "b", overrides=["train.loggers=[]", "train.epochs=3"])


def test_one_that_fails_is_told_once_and_the_training_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fac.training.loggers import tensorboard

    def fails(self: Any, step: int, figures: Mapping[str, float]) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(tensorboard._Events, "write", fails)
    heard = Heard()
    report = trained(tmp_path / "a", heard, loggers=["tensorboard"]).report
    assert report.epochs == 2
    warnings = [text for text in heard.texts if "logger" in text]
    assert len(warnings) == 1
    assert "the logger `tensorboard` fails, and is told no more: " in warnings[0]


@pytest.mark.parametrize("kind", ["tensorboard", "trackio", "wandb"])
def test_a_package_that_is_missing_is_said_before_the_first_step(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("tensorboard.compat.proto", "trackio", "wandb"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(FacError, match=rf"`{kind}` is not installed: `pip install 'fac-compiler\[{kind}\]'`"):
        trained(tmp_path / "a", loggers=[kind])
    assert not (tmp_path / "a").exists()


def test_loggers_need_a_folder() -> None:
    with pytest.raises(FacError, match=r"loggers write beside a run that is kept: give a folder, `out`"):
        fac.train(made(loggers=["tensorboard"]), DATA, backend="reference")


def test_names_of_the_command_line() -> None:
    assert [logger.kind for logger in named(["wandb", "tensorboard"])] == ["wandb", "tensorboard"]  # type: ignore[attr-defined]
    with pytest.raises(FacError, match="no logger is called `csv`; there are `tensorboard`, `wandb`"):
        named(["csv"])


def test_numbers_that_are_not_finite_are_left_out() -> None:
    class Kept:
        def __init__(self) -> None:
            self.figures: dict[str, float] = {}

        def write(self, step: int, figures: Mapping[str, float]) -> None:
            self.figures = dict(figures)

        def close(self) -> None:
            """Nothing is open."""

    kept = Kept()
    Telling(Listener(), {"kept": kept})._tell(3, {"a": float("nan"), "b": None, "c": 1.5, "step": 3})
    assert kept.figures == {"c": 1.5}


def test_nothing_is_sent_unless_a_spec_says_online(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import wandb

    asked: list[str] = []
    monkeypatch.setattr(wandb, "init", lambda **given: asked.append(given["mode"]))
    about = About("small", {}, tmp_path, 0)
    _Run(Wandb(), about)
    _Run(Wandb(mode="online"), about)
    assert asked == ["offline", "online"]
