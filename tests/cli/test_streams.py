"""Streams that are closed, or full: one message, and no other exit status than for anything that cannot be done."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.test_check import GOOD


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("check - <&-", "standard input is closed: nothing can be read from `-`"),
        ("diff - good.fac.yaml <&-", "standard input is closed: nothing can be read from `-`"),
        ("check good.fac.yaml >&-", "standard output is closed: nothing could be printed"),
        ("show good.fac.yaml >&-", "standard output is closed: nothing could be printed"),
        ("check good.fac.yaml > /dev/full", "cannot write to standard output: no space left on device"),
        ("show good.fac.yaml > /dev/full", "cannot write to standard output: no space left on device"),
        ("rule --all > /dev/full", "cannot write to standard output: no space left on device"),
    ],
)
def test_one_message(line: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "good.fac.yaml").write_text(GOOD)
    command = ["sh", "-c", f'"$0" -m fac {line}', sys.executable]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (2, f"fac: {message}\n")
