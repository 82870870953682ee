"""The logger `trackio` with the package itself."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

from tests.tools.conftest import ROOT, beside
from tests.training.test_loggers import SPEC

CODE = """
import json, sys
import numpy as np
import fac
sys.path.insert(0, {root!r})
from tests.sealed import no_sockets
no_sockets()
x = np.random.default_rng(0).standard_normal((24, 3))
data = {{"train": (x, (x > 0).argmax(1)), "test": (x, (x > 0).argmax(1))}}
spec = json.loads({spec!r})
for out in {outs!r}:
    try:
        fac.train(spec, data, out=out, backend="reference")
    except fac.FacError as error:
        print(error)
"""


def trained(tmp_path: Path, *outs: str, **variables: str) -> str:
    """What is printed where a run is logged in a process that may open no socket, and has a token of a hub."""
    train = {"epochs": 2, "batch": 8, "log_every": 2, "loggers": [{"kind": "trackio", "project": "mine"}]}
    code = CODE.format(root=str(ROOT), spec=json.dumps(SPEC | {"train": train}), outs=outs)
    home = {"HF_HOME": str(tmp_path / "home"), "HF_TOKEN": "hf_none", "TRACKIO_SPACE_ID": "me/mine"}
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=beside() | home | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert not (tmp_path / "home").exists()
    return ended.stdout


def told(database: Path) -> dict[int, dict[str, float]]:
    """Figures by step."""
    found: dict[int, dict[str, float]] = {}
    with sqlite3.connect(database) as connection:
        for step, figures in connection.execute("SELECT step, metrics FROM metrics"):
            found.setdefault(step, {}).update(json.loads(figures))
    return found


def test_trackio_has_what_the_log_has_and_asks_nobody(tmp_path: Path) -> None:
    printed = trained(tmp_path, "a", "b")
    assert "set `TRACKIO_DIR` to a folder for all runs" in printed, "of the second"
    assert len(printed.splitlines()) == 1
    found = told(tmp_path / "a/trackio/mine.db")
    for name, start in (("metrics.jsonl", ""), ("steps.jsonl", "steps/")):
        for line in (tmp_path / "a" / name).read_text().splitlines():
            figures = {
                start + key: v for key, v in json.loads(line).items() if key != "step" and v is not None
            }
            assert figures.items() <= found[json.loads(line)["step"]].items()
    assert not (tmp_path / "b").exists()


def test_several_runs_share_the_folder_that_a_variable_names(tmp_path: Path) -> None:
    assert trained(tmp_path, "a", "b", TRACKIO_DIR=str(tmp_path / "all")) == ""
    with sqlite3.connect(tmp_path / "all/mine.db") as connection:
        assert {*connection.execute("SELECT DISTINCT run_name FROM metrics")} == {("a",), ("b",)}
