"""`fac` as a user runs it, within this process."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fac.cli import main

DIGITS = """\
# a comment that a run keeps
fac: 1
name: digits-small
input: {shape: [8, 8]}
layers:
  - {kind: flatten}
  - {kind: linear, name: fc1, out: 16}
  - {kind: relu}
  - {kind: linear, name: logits, out: 10}
loss: {kind: cross_entropy}
feedback: {rule: ldfa, rank: 9}
update: {rule: sgd, lr: 0.05, momentum: 0.9, schedule: cosine}
data: {source: digits}
train: {epochs: 2, batch: 64}
"""


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., tuple[int, str, str]]:
    """`run("train", "spec.fac.yaml")` in an empty folder -> (exit status, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)

    def fac(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["fac", *map(str, arguments)])
        status = 0
        try:
            main()
        except SystemExit as leaving:
            status = leaving.code if isinstance(leaving.code, int) else 1
        found = capsys.readouterr()
        return status, found.out, found.err

    return fac


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    """A small network on the digits that ship with the package."""
    path = tmp_path / "small.fac.yaml"
    path.write_text(DIGITS)
    return path
