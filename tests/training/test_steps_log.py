"""The log of steps is cut to the steps that count, from its end, however long it is."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from fac.diagnostics import FacError
from fac.opening import LOG
from fac.training import folder
from fac.training.folder import STEPS, RunFolder
from fac.training.holding import Held

LINES = [
    json.dumps({"epoch": 1, "step": step, "lr": 0.1, "train_loss": 10.0**step}) + "\n" for step in range(1, 9)
]


@pytest.mark.parametrize("block", [1, 7, 60, 1 << 20])
@pytest.mark.parametrize("end", ["", '{"step": 9', '{"step": 9}', "\0\0", "[1]\n"])
def test_lines_of_later_steps_go(
    tmp_path: Path, block: int, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "BLOCK", block)
    for steps in (0, 1, 5, 8):
        (tmp_path / STEPS).write_text("".join(LINES) + end)
        RunFolder(Held(tmp_path), {}).rewind(1, steps)
        assert (tmp_path / STEPS).read_text() == "".join(LINES[:steps])


def test_a_log_that_is_longer_than_other_logs_may_be_is_cut(tmp_path: Path) -> None:
    assert LOG.most is not None
    path = tmp_path / STEPS
    with path.open("wb") as file:  # a hole, which takes no room on the disk
        file.seek(LOG.most)
        file.write(("\n" + "".join(LINES)).encode())
    RunFolder(Held(tmp_path), {}).rewind(1, 6)
    assert os.path.getsize(path) == LOG.most + 1 + len("".join(LINES[:6]))


def test_a_line_without_an_end_is_named_with_a_remedy(tmp_path: Path) -> None:
    with (tmp_path / STEPS).open("wb") as file:
        file.truncate(3 * folder.LONGEST)
    with pytest.raises(
        FacError, match=r"`steps.jsonl` has a line of more than .* remove the file, and the run goes"
    ):
        RunFolder(Held(tmp_path), {}).rewind(1, 6)
