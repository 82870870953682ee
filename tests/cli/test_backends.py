from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from fac import pipeline
from fac.backend import Backend
from fac.diagnostics import FacError
from fac.experiments.backends import chosen
from fac_torch.device import openmp

Run = Callable[..., tuple[int, str, str]]


class Absent:
    name = "torch"
    summary = "a backend whose framework is not installed"
    default_precision = "float32"

    def devices(self) -> tuple[str, ...]:
        raise FacError("backend `torch` needs torch: pip install torch")


@pytest.fixture
def absent(monkeypatch: pytest.MonkeyPatch) -> None:
    reference = pipeline.find_backend("reference")
    monkeypatch.setattr(pipeline, "backends", lambda: (reference, Absent()))


def test_lists_the_reference(run: Run) -> None:
    status, out, err = run("backends")
    assert (status, err) == (0, "")
    line = next(line for line in out.splitlines() if line.startswith(" reference "))
    assert line.split()[:3] == ["reference", "cpu", "float64"]


@pytest.mark.usefixtures("absent")
def test_says_how_to_install_what_is_missing(run: Run) -> None:
    status, out, _ = run("backends")
    assert status == 0
    assert "backend `torch` needs torch: pip install torch" in out
    rows = {row["name"]: row for row in json.loads(run("backends", "--json")[1])["backends"]}
    assert (rows["reference"]["usable"], rows["reference"]["devices"]) == (True, ["cpu"])
    assert (rows["torch"]["usable"], rows["torch"]["devices"]) == (False, [])
    assert rows["torch"]["problem"] == "backend `torch` needs torch: pip install torch"


@pytest.mark.usefixtures("absent")
def test_the_default_is_one_that_can_be_used() -> None:
    assert chosen(None).name == "reference"
    assert chosen("torch").name == "torch"


@pytest.mark.skipif(openmp() is None, reason="another OpenMP than GNU's has other words for its settings")
def test_threads_sleep_while_they_wait() -> None:
    """Where nobody says otherwise: torch has its OpenMP print the settings that it found."""
    environment = {name: text for name, text in os.environ.items() if name != "OMP_WAIT_POLICY"}
    command = [sys.executable, "-m", "fac", "backends"]
    environment |= {"OMP_DISPLAY_ENV": "true"}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "OMP_WAIT_POLICY = 'PASSIVE'" in ended.stderr


def test_no_backend_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    none: tuple[Backend, ...] = ()
    monkeypatch.setattr(pipeline, "backends", lambda: none)
    with pytest.raises(FacError, match=r"no backend can be used here: `fac backends` tells what is missing"):
        chosen(None)
