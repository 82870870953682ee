"""`--allow-code`: no command runs what a spec names without it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fac.training.data import python

Run = Callable[..., tuple[int, str, str]]
CODE = """\
import numpy as np
from pathlib import Path

Path(__file__).with_name("ran").touch()


def make(n):
    rng = np.random.default_rng(0)
    return [(rng.normal(size=(n, 64)), rng.integers(0, 10, n)) for _ in range(2)]
"""
SECTION = "data={source: python, function: 'made_up_rows:make', args: {n: 256}}"


@pytest.fixture(autouse=True)
def _module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "made_up_rows.py").write_text(CODE)
    monkeypatch.setattr(python, "_allowed", False)
    yield
    sys.modules.pop("made_up_rows", None)


def test_no_command_runs_it_unless_it_is_told_to(run: Run, spec: Path, tmp_path: Path) -> None:
    assert run("check", spec, "--set", SECTION)[0] == 0
    assert run("show", spec, "--set", SECTION)[0] == 0
    for command in (
        ("data", spec),
        ("train", spec, "--out", "r"),
        ("compare", spec, "--rules", "bp", "--seeds", "1"),
    ):
        status, _, err = run(*command, "--set", SECTION)
        assert status == 2
        assert "`made_up_rows:make` (`data.function`) is code that the spec names" in err
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "r").exists()


def test_it_runs_where_that_is_allowed(run: Run, spec: Path, tmp_path: Path) -> None:
    status, out, _ = run("data", spec, "--set", SECTION, "--allow-code")
    assert status == 0
    assert "[256, 64]" in out
    assert (tmp_path / "ran").exists()
    train = ("train", spec, "--set", SECTION, "--backend", "reference", "--out", "r", "--allow-code")
    assert run(*train)[0] == 0
    python._allowed = False
    status, _, err = run("evaluate", "r", "--backend", "reference")
    assert (status, "is code that the spec names" in err) == (2, True)
    assert run("evaluate", "r", "--backend", "reference", "--allow-code")[0] == 0
    assert run("train", "--resume", "r", "--set", "train.epochs=4", "--allow-code")[0] == 0
