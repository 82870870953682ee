"""Of several losses each has figures of its own, and a run that keeps its best shows those of that epoch."""

from __future__ import annotations

from typing import Any

import pytest

import fac
from fac.diagnostics import FacError

SPEC: dict[str, Any] = {
    "fac": 1,
    "name": "two",
    "input": {"shape": [64]},
    "layers": [
        {"kind": "linear", "name": "fc", "out": 16},
        {"kind": "tanh", "name": "h"},
        {"kind": "linear", "name": "logits", "out": 10, "from": "h"},
        {"kind": "linear", "name": "aux", "out": 10, "from": "h"},
    ],
    "losses": [{"kind": "cross_entropy", "of": "logits"}, {"kind": "cross_entropy", "of": "aux"}],
    "feedback": {"rule": "bp"},
    "update": {"rule": "sgd", "lr": 6.0},
    "data": {"source": "digits", "validation": 0.25},
    "train": {"epochs": 4, "batch": 100, "keep": "best"},
}


def test_figures_of_each_loss_are_of_the_epoch_that_is_kept() -> None:
    found = fac.compare(SPEC, rules=["bp"], seeds=1, backend="reference", audit=False)
    (run,) = found.rows[0].runs
    assert run.report is not None
    assert run.report.best is not None
    kept, last = run.report.history[run.report.best.epoch - 1], run.report.history[-1]
    assert kept is not last, "the best epoch has to be another than the last for this to tell"
    assert run.value("test_loss") == kept.test_loss
    for name in ("logits.accuracy", "aux.loss"):
        assert run.value(name) == kept.losses[name] != last.losses[name]


def pair(*data: dict[str, Any]) -> list[dict[str, Any]]:
    """A spec on each of the data, one epoch."""
    train = {"train": {"epochs": 1, "batch": 50}}
    return [
        SPEC | train | {"name": name, "data": given}
        for name, given in zip(("one", "other"), data, strict=True)
    ]


def test_results_on_different_test_data_are_not_paired() -> None:
    teacher = {"source": "teacher", "task": "classification", "n": 200, "inputs": 64, "outputs": 10}
    specs = pair(teacher, teacher | {"seed": 1})
    for spec in specs:
        spec |= {"layers": SPEC["layers"][:3], "loss": {"kind": "cross_entropy"}}
        del spec["losses"]
    with pytest.raises(FacError, match="different test data"):
        fac.compare(specs, seeds=2, contrasts=["one bp:other bp"], backend="reference", audit=False)


def test_a_contrast_over_different_training_data_is_told() -> None:
    specs = pair({"source": "digits"}, {"source": "digits", "validation": 0.25})
    found = fac.compare(specs, seeds=2, contrasts=["one bp:other bp"], backend="reference", audit=False)
    assert "`one bp` and `other bp` are trained, or chosen, on different samples" in found.notes
