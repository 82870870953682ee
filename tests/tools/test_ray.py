"""Trainings in processes of a Ray cluster: Ray itself, with two processes of this machine."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Set
from pathlib import Path

import pytest

from tests.cli.conftest import DIGITS
from tests.experiments.interrupting import files
from tests.tools.conftest import beside

OWN = """
import os, time
from pathlib import Path
import numpy as np

HERE = Path(__file__).parent

def nothing():
    pass

def two_at_a_time():
    (HERE / f"process-{os.getpid()}").touch()
    while len(list(HERE.glob("process-*"))) < 2:
        time.sleep(0.05)

def one_dies():
    if not (HERE / "died").exists():
        (HERE / "died").touch()
        os.kill(os.getpid(), 9)

def data():
    import ray
    if ray.is_initialized() and ray.get_runtime_context().worker.mode == ray.WORKER_MODE:
        globals()[os.environ["FAC_TEST_DOES"]]()
    draw = np.random.default_rng(0)
    sizes = {"train": 4096, "test": 64, "validation": 64}
    return {name: (draw.normal(size=(n, 8, 8)), np.arange(n) % 10) for name, n in sizes.items()}
"""
HOW = ("--rules", "bp,ldfa", "--seeds", "1", "--no-audit", "--backend", "reference", "--allow-code")
SWEEP = ("sweep", "small.fac.yaml", "--over", "update.lr=0.02,0.05", *HOW)
COMPARE = ("compare", "small.fac.yaml", *HOW)
MARK = "FAC_TEST_FOLDER"
AGENTS = {"ray::DashboardAgent", "ray::RuntimeEnvAgent"}
"""Of Ray, that wait for a minute before they believe that a call was killed."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With a spec whose data know where they are loaded. Its path marks all processes that a test has begun."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(MARK, str(tmp_path))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    Path("own.py").write_text(OWN)
    spec = DIGITS.replace("{source: digits}", "{source: python, function: 'own:data'}")
    Path("small.fac.yaml").write_text(spec)
    return tmp_path


def begun(*arguments: str, does: str = "nothing") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "fac", *arguments],
        env=beside() | {"FAC_TEST_DOES": does},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def fac(*arguments: str, does: str = "nothing", status: int = 0) -> tuple[str, str]:
    """What a call that ends so prints, and what it says beside that."""
    with begun(*arguments, does=does) as process:
        out, err = process.communicate(timeout=120)
    assert process.returncode == status, out + err
    return out, err


def running(folder: Path) -> set[str]:
    """The command lines of all that tests have begun in a folder, and that is still there."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={folder}".encode() in (process / "environ").read_bytes().split(b"\0"):
                found.add((process / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip())
        except OSError:
            continue  # it has just ended, or is another's
    return found


def ended(folder: Path, but: Set[str] = frozenset()) -> bool:
    """Whether all that a test has begun, but for these, is gone within a minute."""
    ends = time.monotonic() + 60
    while running(folder) - but and time.monotonic() < ends:
        time.sleep(0.1)
    return not running(folder) - but


def logged() -> int:
    """How much the runs of a comparison have logged."""
    return sum(path.stat().st_size for path in Path("part").glob("runs/*/metrics.jsonl"))


def test_a_sweep_in_two_processes_of_ray_is_that_of_this_machine_bit_for_bit(folder: Path) -> None:
    _, err = fac(*SWEEP, "--executor", "ray", "--jobs", "2", "--out", "ray", does="two_at_a_time")
    assert len(list(folder.glob("process-*"))) >= 2
    assert ended(folder), running(folder)
    fac(*SWEEP, "--jobs", "1", "--out", "here")
    assert files("ray") == files("here")
    assert [line for line in err.splitlines() if "ray" in line.lower()] == [err.splitlines()[0]]
    assert err.startswith("trainings go to the Ray cluster at ")
