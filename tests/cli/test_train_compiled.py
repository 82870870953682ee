"""`--compile`: what a run keeps of it, that it goes on so to the bit, and what is said where it cannot be done."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from fac.experiments.samples import network
from fac.training import checkpoint
from fac_torch import compiling
from tests.cli.test_tune import ONE, TORCH, chosen

Run = Callable[..., tuple[int, str, str]]
SPEC = """\
fac: 1
name: small
input: {shape: [8, 8]}
layers:
  - {kind: flatten}
  - {kind: linear, name: fc1, out: 9}
  - {kind: relu}
  - {kind: dropout, rate: 0.2}
  - {kind: linear, name: logits, out: 10}
loss: {kind: cross_entropy}
feedback: {rule: ldfa, rank: 2}
update: {rule: sgd, lr: 0.05, momentum: 0.9}
data: {source: digits}
train: {epochs: 2, batch: 64}
probes: []
"""


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A spec, and steps that are graphs without a compiler."""
    monkeypatch.setenv("FAC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(compiling, "graph", partial(torch.compile, fullgraph=True, backend="eager"))
    path = tmp_path / "small.fac.yaml"
    path.write_text(SPEC)
    return path


def test_a_run_goes_on_compiled_and_to_the_bit(run: Run, small: Path) -> None:
    assert run("train", small, *TORCH, "--compile", "--out", "whole")[0] == 0
    assert run("train", small, *TORCH, *ONE, "--compile", "--out", "a")[0] == 0
    assert chosen("a")["step"] == "compiled"
    status, _, err = run("train", "--resume", "a", "--set", "train.epochs=2")
    assert status == 0
    assert "bit for bit" not in err
    assert chosen("a")["step"] == "compiled"
    found, expected = (checkpoint.offered(Path(name)).state for name in ("a", "whole"))
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)
    session = network(Path("a")).session
    assert isinstance(session, compiling.CompiledSession)
    assert run("evaluate", "a")[0] == 0


def test_another_choice_is_said(run: Run, small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("train", small, *TORCH, *ONE, "--out", "a")[0] == 0
    assert chosen("a")["step"] == "eager"
    status, _, err = run("train", "--resume", "a", "--compile", "--set", "train.epochs=2")
    assert status == 0
    assert "with step `compiled` instead of `eager`: equal up to rounding" in err
    monkeypatch.setenv("CXX", "no-such-compiler")
    status, _, err = run("train", "--resume", "a", "--set", "train.epochs=3")
    assert status == 0
    assert "this run went with step `compiled`, which cannot be chosen here, and goes on with `eager`" in err


def test_where_nothing_can_be_compiled_that_is_said(
    run: Run, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    status, _, err = run("train", small, "--backend", "reference", "--compile", "--out", "a")
    assert status != 0
    assert "`--compile` takes the backend `torch` on `cpu` and a C++ compiler" in err
    assert "on `reference` and `cpu`" in err
    monkeypatch.setenv("CXX", "no-such-compiler")
    status, _, err = run("train", small, *TORCH, "--compile", "--out", "a")
    assert status != 0
    assert "install one, or leave `--compile` out" in err
    assert not Path("a").exists()
