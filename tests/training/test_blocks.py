"""A training makes its steps some at a time where that is worth it, and comes to the same bits as one by one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import fac
from fac_onnx.session import OnnxSession
from fac_onnx.tuning import USUAL as BLOCK

SPEC: dict[str, Any] = {
    "fac": 1,
    "name": "small",
    "input": {"shape": [64]},
    "layers": [
        {"kind": "linear", "out": 8},
        {"kind": "tanh"},
        {"kind": "dropout", "rate": 0.2},
        {"kind": "linear", "out": 10},
    ],
    "loss": {"kind": "cross_entropy"},
    "feedback": {"rule": "dfa"},
    "update": {"rule": "adam", "lr": 0.01, "schedule": "cosine"},
    "data": {"source": "digits"},
    "train": {"epochs": 2, "batch": 20, "probe_every": 25, "log_every": 1},
}
KEPT = ("state.safetensors", "steps.jsonl")


def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many steps each call of onnxruntime makes, from now on."""
    found: list[int] = []
    several, one = OnnxSession.run_steps, OnnxSession.run_step

    def steps(self: OnnxSession, batches: Any, *rest: Any) -> Any:
        found.append(len(batches))
        return several(self, batches, *rest)

    def step(self: OnnxSession, *given: Any) -> Any:
        found.append(1)
        return one(self, *given)

    monkeypatch.setattr(OnnxSession, "run_steps", steps)
    monkeypatch.setattr(OnnxSession, "run_step", step)
    return found


@pytest.mark.parametrize("train", [{}, {"accumulate": 4}], ids=["steps", "updates of four batches"])
def test_the_files_of_a_training_are_those_of_single_steps(
    train: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = SPEC | {"train": SPEC["train"] | train}
    calls = asked(monkeypatch)
    fac.train(spec, backend="onnx", out=tmp_path / "blocks")
    assert max(calls) == (3 if train else 25)  # to the next probe; to the batch that ends an update
    calls.clear()
    single = OnnxSession.__init__

    def begun(self: OnnxSession, *given: Any) -> None:
        single(self, *given)
        assert self.at_once == BLOCK
        self.at_once = 1

    monkeypatch.setattr(OnnxSession, "__init__", begun)
    fac.train(spec, backend="onnx", out=tmp_path / "single")
    assert set(calls) == {1}
    for name in KEPT:
        assert (tmp_path / "blocks" / name).read_bytes() == (tmp_path / "single" / name).read_bytes(), name


def test_steps_that_take_long_are_made_one_by_one() -> None:
    """What could be saved is nothing beside them, and a call cannot be interrupted."""
    wide = SPEC | {
        "layers": [
            {"kind": "linear", "out": 4096},
            {"kind": "linear", "out": 4096},
            {"kind": "linear", "out": 10},
        ]
    }
    assert fac.compile(wide, "onnx").open().at_once == 1
