"""Ctrl-C, `kill` and a terminal that is closed, in processes of their own."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from tests.conftest import ENDING

LONG = ("--backend", "reference", "--set", "train.epochs=100000", "--out", "broken")
pytestmark = pytest.mark.usefixtures("heard")
Begun = subprocess.Popen[str]


@pytest.fixture
def training(spec: Path, tmp_path: Path) -> Callable[..., Begun]:
    """A training that would go on for hours, some epochs after its start."""

    def begin(*before: str) -> Begun:
        command = [*before, sys.executable, "-m", "fac", "train", str(spec), *LONG]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, cwd=tmp_path
        )  # fmt: skip
        log = tmp_path / "broken/metrics.jsonl"
        deadline = time.monotonic() + 60
        while not (log.exists() and log.read_text().count("\n") >= 3) and time.monotonic() < deadline:
            time.sleep(0.005)
        return process

    return begin


def ended(process: Begun) -> str:
    """What it says on standard error. Its status is that of something interrupted, and nothing is in pieces."""
    try:
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, err
    assert not re.search("Traceback|Exception|KeyboardInterrupt", err), err
    return err


@pytest.mark.parametrize("number", ENDING)
def test_a_training_that_is_told_to_end_is_saved(
    number: signal.Signals, training: Callable[..., Begun], tmp_path: Path
) -> None:
    process = training()
    process.send_signal(number)
    found = re.search(r"^stopped after step (\d+), .*--resume broken`$", ended(process), re.MULTILINE)
    assert found is not None
    assert int(load_file(tmp_path / "broken/state.safetensors")["step"]) == int(found[1])


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_that_comes_twice_at_once_is_one(
    number: signal.Signals, training: Callable[..., Begun], tmp_path: Path
) -> None:
    """As where a program that started this one passes on what a terminal has sent to both."""
    process = training()
    for _ in range(3):
        process.send_signal(number)
        time.sleep(0.003)
    assert "stopped after step" in ended(process)
    assert int(load_file(tmp_path / "broken/state.safetensors")["step"]) > 3 * 21


@pytest.mark.parametrize("pause", [0.0, 0.001, 0.01, 0.1])
def test_ctrl_c_again_and_again_prints_no_traceback(pause: float, training: Callable[..., Begun]) -> None:
    process = training()
    for _ in range(40):
        if process.poll() is not None:
            break
        process.send_signal(signal.SIGINT)
        time.sleep(pause)
    ended(process)


@pytest.mark.parametrize("wait", [0.3, 0.6, 0.9])
def test_ctrl_c_twice_at_any_time_prints_no_traceback(wait: float, spec: Path, tmp_path: Path) -> None:
    """While modules are imported and data are read, too. Before `fac` runs at all Python is on its own."""
    command = [
        sys.executable,
        "-c",
        "from fac.cli import main; print(flush=True); main()",
        "train",
        str(spec),
        *LONG,
    ]
    process = subprocess.Popen(
        command, cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(wait)
    process.send_signal(signal.SIGINT)
    time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    ended(process)


def test_a_second_signal_ends_a_training_that_does_not_end(spec: Path, tmp_path: Path) -> None:
    """Here a step that takes for ever; what was saved before stays."""
    code = """
import sys, time
from fac.training.stepping import Stepping
run = Stepping.run
def slow(*given):
    print(flush=True)
    time.sleep(5)
    time.sleep(100)
Stepping.run = slow
from fac.cli import main
main()
"""
    command = [sys.executable, "-c", code, "train", str(spec), *LONG]
    process = subprocess.Popen(
        command, cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    while process.stdout.readline() != "\n":
        pass
    process.send_signal(signal.SIGINT)
    time.sleep(0.8)
    process.send_signal(signal.SIGINT)
    ended(process)
    assert int(load_file(tmp_path / "broken/state.safetensors")["step"]) == 0


def test_nohup_keeps_a_training_when_its_terminal_is_closed(training: Callable[..., Begun]) -> None:
    process = training("nohup")
    process.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=1)
    process.send_signal(signal.SIGTERM)
    assert "stopped after step" in ended(process)


def test_a_command_that_is_no_training_ends_by_ctrl_c(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "fac", "check", "-"]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    time.sleep(1.5)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    assert ended(process) == "\nfac: interrupted\n"
