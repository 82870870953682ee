"""Several losses in a training: each by its name in the log, over a break too, and each judged at the end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fac
from fac.backend import Array, Arrays
from fac.pipeline import load
from fac.training import checkpoint
from fac.training.dataset import Dataset, Split
from fac.training.folder import RunFolder
from fac.training.holding import Held
from fac.training.logs import EpochRecord
from fac.training.loop import StoppedError, train

N = 48


def spec(**more: Any) -> dict[str, Any]:
    """A head that names the class of a sample, and one that gives its coordinates."""
    return {
        "fac": 1,
        "name": "two heads",
        "input": {"shape": (6,)},
        "layers": (
            {"kind": "linear", "name": "logits", "out": 4},
            {"kind": "linear", "name": "code", "out": 2, "from": "input"},
        ),
        "losses": (
            {"kind": "cross_entropy", "of": "logits"},
            {"kind": "mse", "of": "code", "target": "z", "scale": 0.25},
        ),
        "update": {"rule": "sgd", "lr": 0.1},
        "train": {"batch": 8, "epochs": 2, "seed": 1},
    } | more


STILL = {"update": {"rule": "sgd", "lr": 1e-300}}
"""Steps that move nothing: what is planted is what the training ends in."""


def arrays() -> dict[str, Array]:
    rng = np.random.default_rng(0)
    x = np.zeros((N, 6))
    y = np.arange(N) % 4
    x[np.arange(N), y] = 1
    x[:, 4:] = rng.standard_normal((N, 2))
    return {"x": x, "y": y, "z": x[:, 4:]}


def data() -> Dataset:
    return Dataset("made", Split(**arrays()), Split(**arrays()))


def solved(**parts: Array) -> dict[str, Array]:
    """Parameters by which both heads are right."""
    logits, code = np.zeros((4, 6)), np.zeros((2, 6))
    logits[:4, :4], code[:, 4:] = 9 * np.eye(4), np.eye(2)
    zeros = {"logits.bias": np.zeros(4), "code.bias": np.zeros(2)}
    return {"logits.weight": logits, "code.weight": code, **zeros, **parts}


def told(state: dict[str, Array], **more: Any) -> list[tuple[str, str]]:
    """Kind and loss of what a training that ends in this state is told."""
    written = spec(**STILL, **more)
    session = fac.compile(written, "reference", "float64").open(state)
    fed = {feed.name for feed in session.compiled.feeds}
    split = Split(**{name: array for name, array in arrays().items() if name in fed})
    report = train(session, Dataset("made", split, split), load(written))
    for concern in report.concerns:
        named = f"loss `{concern.of}`: " if concern.of else ""
        assert concern.message.startswith(named)
        assert concern.flat().get("loss", "") == concern.of
    return [(concern.kind, concern.of) for concern in report.concerns]


@pytest.mark.parametrize("stops", [3, 6, 8])
def test_the_log_has_the_mean_of_each_over_the_steps_and_a_break_changes_no_bit(
    tmp_path: Path, stops: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact, seen = fac.compile(spec(), "torch", "float64"), list[dict[str, float]]()
    session = artifact.open()
    block = session.block

    def spied(batches: Sequence[Arrays], lr: Sequence[float]) -> list[dict[str, Any]]:
        found = block(batches, lr)
        seen.extend({name: float(loss) for name, loss in each.items()} for each in found)
        return found

    monkeypatch.setattr(session, "block", spied)
    whole = train(session, data(), load(spec()))
    for record, steps in zip(whole.history, (seen[:6], seen[6:]), strict=True):
        assert list(record.train_losses) == ["logits.loss", "code.loss"]
        for name, mean in record.train_losses.items():
            assert mean == pytest.approx(np.mean([losses[name] for losses in steps]), rel=1e-12)
        total = record.train_losses["logits.loss"] + 0.25 * record.train_losses["code.loss"]
        assert record.train_loss == pytest.approx(total, rel=1e-12)
    out, count = RunFolder(Held(tmp_path), {}), iter(range(1, 100))
    with pytest.raises(StoppedError):
        train(artifact.open(), data(), load(spec()), out, stop=lambda: next(count) == stops)
    found = checkpoint.load(out.state)
    resumed = train(artifact.open(found.state), data(), load(spec()), out, since=found)
    assert [r.train_losses for r in resumed.history] == [r.train_losses for r in whole.history]


def test_what_a_checkpoint_does_not_say_of_a_loss_is_not_made_up(tmp_path: Path) -> None:
    artifact, out, count = (
        fac.compile(spec(), "reference"),
        RunFolder(Held(tmp_path), {}),
        iter(range(1, 100)),
    )
    with pytest.raises(StoppedError):
        train(artifact.open(), data(), load(spec()), out, stop=lambda: next(count) == 4)
    found = checkpoint.load(out.state)
    del found.about["loss_sums"]  # type: ignore[attr-defined]
    report = train(artifact.open(found.state), data(), load(spec()), out, since=found)
    first, second = report.history
    assert np.isnan(list(first.train_losses.values())).all()
    assert np.isfinite([first.train_loss, *second.train_losses.values()]).all()


def test_a_line_of_the_log_is_read_as_it_was_written() -> None:
    """Probes of layers that are called `train` and `test` stay probes."""
    record = EpochRecord(
        *(1, 6, 0.1, 1.5, 1.25, 0.5, 2.0, 3.0),
        probes={"test.error.cosine": 0.5, "train.balance": 0.0},
        losses={"aux.loss": 1.0, "aux.accuracy": 0.25},
        train_losses={"aux.loss": 2.0},
    )
    assert EpochRecord.from_json(record.to_json()) == record
    assert {"train.aux.loss", "test.aux.loss", "test.aux.accuracy"} <= record.flat().keys()


def test_each_loss_is_judged_not_the_first_alone() -> None:
    assert told(solved()) == []
    mean = arrays()["z"].mean(0)
    constant = {"code.weight": np.zeros((2, 6)), "code.bias": mean}
    assert told(solved(**constant)) == [("chance", "code")]
    far = {"code.bias": np.full(2, 1e3)}
    assert told(solved(**far)) == [("risen", "code"), ("chance", "code")]
    dead = {"logits.weight": np.zeros((4, 6)), "logits.bias": np.array([1e-6, 0, 0, 0])}
    assert told(solved(**dead, **constant)) == [("chance", "logits"), ("chance", "code")]


@pytest.mark.parametrize("scale", [0.01, 100.0])
def test_a_factor_on_a_single_loss_changes_no_verdict(scale: float) -> None:
    """What an evaluation finds of it has the factor, and so has what it is set beside."""
    one = {"layers": spec()["layers"][1:], "losses": ({"kind": "mse", "target": "z", "scale": scale},)}
    right = {name: array for name, array in solved().items() if name.startswith("code")}
    assert told(right, **one) == []
    mean = arrays()["z"].mean(0)
    assert told({"code.weight": np.zeros((2, 6)), "code.bias": mean}, **one) == [("chance", "")]
