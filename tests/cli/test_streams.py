"""Streams that are closed, full or not read: work is done all the same, and the exit status says how it went."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from fac.cli import COMMANDS
from tests.cli.conftest import DIGITS
from tests.cli.test_check import GOOD

BAD = GOOD.replace("fac: 1", "fac: 1\nnmae: x")
EPOCHS = ("--backend", "reference", "--set", "train.epochs=3")
WHOLE = DIGITS.replace("epochs: 2", "epochs: 1")


def shell(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """`fac` in a line of shell; the last line of standard output is its exit status."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"} | {"CI": "true"}
    command = ["bash", "-c", line.replace("fac ", '"$0" -m fac '), sys.executable]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=100
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in (("good", GOOD), ("bad", BAD), ("small", WHOLE)):
        (tmp_path / f"{name}.fac.yaml").write_text(text)
    return tmp_path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of `small.fac.yaml`, of which a test that may change it takes a copy."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "small.fac.yaml").write_text(WHOLE)
    assert shell("fac train small.fac.yaml --backend reference --out trained", folder).returncode == 0
    return folder / "trained"


FULL = "cannot write to standard output: no space left on device"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("check - <&-", "standard input is closed: nothing can be read from `-`"),
        ("diff - good.fac.yaml <&-", "standard input is closed: nothing can be read from `-`"),
        ("check good.fac.yaml >&-", "standard output is closed: nothing could be printed"),
        ("show good.fac.yaml >&-", "standard output is closed: nothing could be printed"),
        ("check good.fac.yaml > /dev/full", FULL),
        ("check bad.fac.yaml > /dev/full", FULL),
        ("show good.fac.yaml > /dev/full", FULL),
        ("show good.fac.yaml -o - --format svg > /dev/full", FULL),
        ("rule --all > /dev/full", FULL),
        ("--help > /dev/full", FULL),
    ],
)
def test_one_message(line: str, message: str, folder: Path) -> None:
    ended = shell(f"fac {line}", folder)
    assert (ended.returncode, ended.stderr) == (2, f"fac: {message}\n")


UNREAD = {
    "check": (("check good.fac.yaml", 0), ("check bad.fac.yaml", 1), ("check bad.fac.yaml --json", 1)),
    "init": (("init new/", 0),),
    "rule": (("rule --all", 0), ("rule --all --markdown", 0)),
    "schema": (("schema", 0),),
    "show": (
        ("show good.fac.yaml", 0),
        ("show good.fac.yaml --expand", 0),
        ("show good.fac.yaml -o - --format svg", 0),
    ),
    "diff": (("diff good.fac.yaml small.fac.yaml", 0),),
    "lock": (("lock good.fac.yaml", 0), ("check good.fac.yaml --locked", 0)),
    "import": (("import torch nowhere:none --input 3 -o made", 2),),
    "data": (("data small.fac.yaml -o data", 0),),
    "compile": (("compile small.fac.yaml --backend reference -o built", 0),),
    "train": (("train small.fac.yaml --backend reference --out run", 0),),
    "plot": (("plot trained -o - --format svg", 0),),
    "report": (("report trained -o -", 0),),
    "evaluate": (("evaluate trained", 0), ("evaluate trained --json", 0)),
    "predict": (("predict trained nothing.npz -o a.csv", 2),),
    "export": (("export trained -o model.onnx", 0),),
    "sample": (("sample trained", 2),),
    "compare": (("compare small.fac.yaml --backend reference --rules bp,shallow --json", 0),),
    "sweep": (
        ("sweep small.fac.yaml --over update.lr=0.1 --set data.validation=0.1 --backend reference --json", 0),
    ),
    "study": (("study", 0),),
    "bench": (("bench --list", 0),),
    "backends": (("backends", 0),),
}
"""Lines of each command, and what they end with whoever reads them."""


@pytest.mark.parametrize("command", COMMANDS)
def test_a_reader_who_leaves_changes_no_exit_status(
    command: str, folder: Path, request: pytest.FixtureRequest
) -> None:
    if "trained" in UNREAD[command][0][0]:
        shutil.copytree(request.getfixturevalue("trained"), folder / "trained")
    for line, status in UNREAD[command]:
        # The reader is gone before anything is printed: `fac` waits for it.
        ended = shell(f"(sleep 0.1; fac {line}; echo $? >&3) 3>&2 2>err | exec true", folder)
        assert ended.stderr == f"{status}\n", (line, ended, (folder / "err").read_text())
        said = (folder / "err").read_text()
        assert not re.search("Traceback|Broken|Exception|internal error", said), (line, said)


def test_a_reader_who_leaves_does_not_hear_of_usage(folder: Path) -> None:
    for line, status in (
        ("fac --help", 0),
        ("fac train --help", 0),
        ("fac --version", 0),
        ("fac nonsense", 2),
    ):
        ended = shell(f"(sleep 0.1; {line} 2>&1; echo $? >&3) 3>&2 | exec true", folder)
        assert ended.stderr == f"{status}\n", line


def test_a_training_outlives_its_reader(folder: Path) -> None:
    line = " ".join(("fac train small.fac.yaml", *EPOCHS))
    assert shell(f"{line} --out whole", folder).returncode == 0
    ended = shell(f"({line} --out unread; echo $? >&2) | head -1", folder)
    said = "nobody reads standard output any more: the training goes on, and keeps its log\n0\n"
    assert (ended.stdout.count("\n"), ended.stderr) == (1, said)
    whole, unread = (load_file(folder / name / "state.safetensors") for name in ("whole", "unread"))
    assert int(unread["step"]) == 3 * 21
    assert all(whole[name].tobytes() == unread[name].tobytes() for name in whole)
    log = [json.loads(text) for text in (folder / "unread/metrics.jsonl").read_text().splitlines()]
    assert [record["epoch"] for record in log] == [0, 1, 2, 3]


def test_a_training_outlives_the_reader_of_both_streams(folder: Path) -> None:
    line = " ".join(("fac train small.fac.yaml", *EPOCHS, "--out unread"))
    ended = shell(f"({line} 2>&1; echo $? >&3) 3>&2 | head -1", folder)
    assert (ended.stdout.count("\n"), ended.stderr) == (1, "0\n")
    assert int(load_file(folder / "unread/state.safetensors")["step"]) == 3 * 21


def test_a_training_outlives_a_full_disk_of_its_output(folder: Path) -> None:
    line = " ".join(("fac train small.fac.yaml", *EPOCHS, "--out full"))
    ended = shell(f"{line} > /dev/full", folder)
    message = "fac: cannot write to standard output: no space left on device\n"
    assert (ended.returncode, ended.stderr) == (2, message)
    assert int(load_file(folder / "full/state.safetensors")["step"]) == 3 * 21
    assert shell(f"{line.replace('full', 'mute')} 2> /dev/full", folder).returncode == 0


def test_streams_without_buffers(folder: Path) -> None:
    line = "export PYTHONUNBUFFERED=1; (sleep 0.1; fac rule --all; echo $? >&2) | exec true"
    assert shell(line, folder).stderr == "0\n"


def test_no_file_is_written_on_a_closed_stream(folder: Path) -> None:
    """A descriptor that is free would be the next file's, and what is printed there would land in it."""
    ended = shell("fac check good.fac.yaml nothing.fac.yaml --output-file found <&- 2>&-", folder)
    assert (ended.returncode, ended.stdout, ended.stderr) == (2, "", "")
    assert (folder / "found").read_text() == "no findings in 1 file\n"


def test_nothing_is_lost_where_a_stream_does_not_wait_for_its_reader(folder: Path) -> None:
    """As behind a program that shares the pipe and told it not to wait: what it does not take at once comes later."""
    whole = shell("fac schema", folder).stdout
    assert len(whole) > 1 << 17, "more than a pipe holds"
    for before in ("", "export PYTHONUNBUFFERED=1; "):
        set_it = "import os; [os.set_blocking(n, False) for n in (1, 2)]"
        line = f"""{before}("$0" -c '{set_it}'; fac schema; echo $? >&3) 3>&2 2>&1 | (sleep 1; cat)"""
        ended = shell(line, folder)
        assert (ended.stderr, ended.stdout) == ("0\n", whole)
