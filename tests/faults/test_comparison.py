"""A comparison that is killed at random moments and gone on with ends in the files of one that nobody disturbed.

`FAC_FUZZ` kills it twenty times.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path
from subprocess import PIPE

import pytest

import fac
from tests.children import begun
from tests.cli.conftest import DIGITS
from tests.experiments.interrupting import files

KILLS, EPOCHS = (20, 100) if os.environ.get("FAC_FUZZ") else (3, 20)
SPEC = "small.fac.yaml"
COMMAND = ("compare", SPEC, "--rules", "bp,ldfa", "--seeds", "2", "--backend", "reference", "--out", "part")
WAYS: tuple[tuple[str, ...], ...] = ((), ("--jobs", "2"))


def test_killed_at_random_moments_it_ends_in_the_same_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alone and with two workers in turn, which end with what they belong to."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    Path(SPEC).write_text(DIGITS.replace("epochs: 2", f"epochs: {EPOCHS}"))
    began = time.monotonic()
    compare("whole")
    lasted, draw = time.monotonic() - began, random.Random(0)
    for number in range(KILLS):
        killed(WAYS[number % 2], draw.uniform(0, 2 * lasted / KILLS))
    assert Path("part/plan.json").exists()
    compare("part")
    assert files(Path("part")) == files(Path("whole"))


def compare(out: str) -> None:
    fac.compare(SPEC, ["bp", "ldfa"], seeds=2, backend="reference", out=out)


def killed(options: tuple[str, ...], after: float) -> None:
    """Begin or go on with a comparison, and kill it so many seconds after it has its folder."""
    command, lock = [sys.executable, "-m", "fac", *COMMAND, *options], Path("part/.lock")
    lock.unlink(missing_ok=True)  # of the one that was killed before
    with begun(command, stdout=PIPE, stderr=PIPE) as process:
        while process.poll() is None and not lock.exists():
            time.sleep(0.01)
        time.sleep(after)
        process.send_signal(signal.SIGKILL)
        _, err = process.communicate()
    assert process.returncode in (0, -signal.SIGKILL), err
