"""A backend of another distribution: installed, found, trained with and proved by the suite, in other processes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

PLUGIN = Path(__file__).parents[1] / "plugin"
SPEC = """\
fac: 1
name: taught
input: {shape: [8]}
layers:
  - {kind: linear, name: fc1, out: 16}
  - {kind: sigmoid}
  - {kind: linear, name: out, out: 3}
loss: {kind: cross_entropy}
feedback: {rule: ldfa, rank: 2}
update: {rule: sgd, lr: 0.5, momentum: 0.9}
data: {source: teacher, task: classification, n: 256, test: 64, inputs: 8, outputs: 3, rank: 2}
train: {epochs: 6, batch: 32}
"""
FORMS = "skips or regression or bias or changing"
"""Networks and batches of another form, which `step/` has with every rule."""
ENOUGH = (
    f"(not rule/ or sgd- or rule/bp or rule/mixed or few) and (not step/ or not ({FORMS}) or bp- or mixed-)"
)
Python = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the distribution was installed into, from a copy: building must leave no files here."""
    folder = tmp_path_factory.mktemp("installed")
    copy = shutil.copytree(PLUGIN, folder / "source", ignore=shutil.ignore_patterns("__pycache__"))
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check", "--quiet"]
    ended = subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, "--target", folder / "packages", copy],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return folder / "packages"


@pytest.fixture
def python(installed: Path, tmp_path: Path) -> Python:
    """`python("-m", "fac", ...)`, in an empty folder, where the distribution is installed."""
    environment = os.environ | {"PYTHONPATH": str(installed)}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        ended = subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended

    return run


def test_it_is_listed(python: Python) -> None:
    found = json.loads(python("-m", "fac", "backends", "--json").stdout)["backends"]
    row = next(row for row in found if row["name"] == "minimal")
    assert (row["usable"], row["devices"], row["default_precision"]) == (True, ["cpu"], "float64")


def test_it_trains(python: Python, tmp_path: Path) -> None:
    """To what the reference makes of the same spec, but for rounding."""
    (tmp_path / "taught.fac.yaml").write_text(SPEC)
    options = ("--precision", "float64", "--json")
    found, expected = (
        json.loads(python("-m", "fac", "train", "taught.fac.yaml", "--backend", name, *options).stdout)
        for name in ("minimal", "reference")
    )
    assert found["backend"] == "minimal"
    assert found["test_accuracy"] == expected["test_accuracy"] > 0.7
    # Found: 3e-17 after 48 steps.
    assert found["train_loss"] == pytest.approx(expected["train_loss"], rel=1e-10)


def test_the_suite_passes_from_outside(python: Python, tmp_path: Path) -> None:
    """Its test file in a folder without its source, so that only the installed distribution can be what is tested.

    All cases but those that cross a rule with an update, or with a form of network, where neither is new: each rule is
    tried with one update, and each update and each form with two rules. The ops that the others are made of are tried
    one by one; the whole grid is for backends with kernels of their own for more than fine ops. In double precision
    alone: single is that of NumPy there.
    """
    shutil.copy(PLUGIN / "test_minimal.py", tmp_path)
    ended = python(
        "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", f"({ENOUGH}) and float64", "test_minimal.py"
    )
    assert " passed" in ended.stdout
    assert "skipped" not in ended.stdout
