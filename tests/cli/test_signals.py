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

from tests.children import begun
from tests.conftest import ENDING

LONG = ("--backend", "reference", "--set", "train.epochs=100000", "--out", "broken")
pytestmark = pytest.mark.usefixtures("heard")
Begun = subprocess.Popen[str]


@pytest.fixture
def training(spec: Path, tmp_path: Path) -> Callable[..., Begun]:
    """A training that would go on for hours, some epochs after its start."""

    def begin(*before: str) -> Begun:
        command = [*before, sys.executable, "-m", "fac", "train", str(spec), *LONG]
        process = begun(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, cwd=tmp_path
        )  # fmt: skip
        log = tmp_path / "broken/metrics.jsonl"  # whose first line is told before any step
        deadline = time.monotonic() + 60
        while not (log.exists() and log.read_text().count("\n") >= 4) and time.monotonic() < deadline:
            time.sleep(0.005)
        return process

    return begin


def ended(process: Begun, number: signal.Signals = signal.SIGINT) -> str:
    """What it says on standard error. Its status is what shells make of the signal, and nothing is in pieces."""
    try:
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 128 + number, err
    assert not re.search("Traceback|Exception|KeyboardInterrupt", err), err
    return err


@pytest.mark.parametrize("number", ENDING)
def test_a_training_that_is_told_to_end_is_saved(
    number: signal.Signals, training: Callable[..., Begun], tmp_path: Path
) -> None:
    process = training()
    process.send_signal(number)
    found = re.search(r"^stopped after step (\d+), .*--resume broken`$", ended(process, number), re.MULTILINE)
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
    assert "stopped after step" in ended(process, number)
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
        "from fac.__main__ import main; print(flush=True); main()",
        "train",
        str(spec),
        *LONG,
    ]
    process = begun(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
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
from fac.__main__ import main
main()
"""
    command = [sys.executable, "-c", code, "train", str(spec), *LONG]
    process = begun(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
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
    assert "stopped after step" in ended(process, signal.SIGTERM)


def test_a_command_that_is_no_training_ends_by_ctrl_c(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "fac", "check", "-"]
    process = begun(
        command,
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    time.sleep(1.5)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    assert ended(process) == "\nfac: interrupted\n"


AT_IMPORT = """
import signal, sys
class Loader:
    def find_spec(self, name, *_):
        if name == {name!r}:
            sys.meta_path.remove(self)
            for _ in range(2):
                signal.raise_signal(signal.SIGINT)
sys.meta_path.insert(0, Loader())
from fac.__main__ import main
main()
"""


@pytest.mark.parametrize(
    ("name", "said"), [("fac.cli", ""), ("click", ""), ("pydantic", "\nfac: interrupted\n")]
)
def test_ctrl_c_while_modules_are_imported_prints_no_traceback(name: str, said: str, spec: Path) -> None:
    assert told(AT_IMPORT.format(name=name), spec) == (130, "", said)


def test_ctrl_c_of_which_a_library_makes_another_error_is_ctrl_c(spec: Path) -> None:
    code = AT_IMPORT.replace("            for", "            try:\n             for").replace(
        "(signal.SIGINT)\n",
        "(signal.SIGINT)\n            except KeyboardInterrupt:\n             raise ImportError\n",
    )
    assert told(code.format(name="pydantic"), spec) == (130, "", "fac: interrupted\n")


def test_ctrl_c_where_nothing_can_be_raised_ends_a_command(spec: Path) -> None:
    """An exception in a `__del__` is printed and forgotten: the command would go on."""
    code = AT_IMPORT.replace(
        "class Loader", "class Dying:\n    def __del__(self):\n        {signal}\nclass Loader"
    )
    signalled = "signal.raise_signal(signal.SIGINT)"
    code = code.replace(f"for _ in range(2):\n                {signalled}", "Dying()").replace(
        "{signal}", signalled
    )
    assert told(code.format(name="pydantic"), spec) == (130, "", "")


def test_ctrl_c_when_all_is_said_changes_nothing(spec: Path) -> None:
    code = """
import atexit, signal
def late():
    for _ in range(2):
        signal.raise_signal(signal.SIGINT)
{before}
from fac.__main__ import main
{behind}
main()
"""
    register = "atexit.register(late)"
    for where in ({"before": register, "behind": ""}, {"before": "", "behind": register}):
        assert told(code.format(**where), spec) == (0, "no findings in 1 file\n", "")


def told(code: str, spec: Path) -> tuple[int, str, str]:
    """What a program that calls `fac check` ends with."""
    command = [sys.executable, "-c", code, "check", str(spec)]
    made = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return made.returncode, made.stdout, made.stderr
