"""Plots of folders: rows of comparisons, the best of sweeps, and what their curves are called."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fac
from fac import FacError
from fac.experiments.plotting import plotted
from fac.experiments.sweeps.planning import FORMAT
from tests.experiments.test_reporting import SPEC


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the comparison `compared`, of `ldfa` and `fa` with two seeds, and arms."""
    place = tmp_path_factory.mktemp("plots")
    x = np.random.default_rng(0).standard_normal((32, 4))
    data = {"train": (x, x[:, :3].argmax(1)), "test": (x, x[:, :3].argmax(1))}
    rules = ["ldfa rank=1", "fa"]
    fac.compare(SPEC, rules, data, seeds=2, out=place / "compared", backend="reference")
    return place


def test_rows_of_a_comparison_are_curves_and_seeds_bands(place: Path) -> None:
    found = plotted([place / "compared"])
    assert [(trial.label, len(trial.runs), trial.family) for trial in found.trials] == [
        ("ldfa rank=1", 2, "ldfa rank=1"),
        ("fa", 2, "fa"),
    ]
    assert found.runs == 4
    (left,) = [note for note in found.notes if "--arms" in note]
    assert "`shallow`" in left
    log = place / "compared/runs/02-fa-seed-1/metrics.jsonl"
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    assert [row["test_loss"] for row in found.trials[1].runs[1]] == [row["test_loss"] for row in rows]
    every = plotted([place / "compared"], arms=True)
    assert {"ldfa rank=1", "fa", "shallow"} == {trial.label for trial in every.trials}
    assert not any("--arms" in note for note in every.notes)


def test_an_arm_that_is_named_is_a_row(place: Path, tmp_path: Path) -> None:
    x = np.random.default_rng(0).standard_normal((8, 4))
    data = {"train": (x, x[:, :3].argmax(1)), "test": (x, x[:, :3].argmax(1))}
    fac.compare(SPEC, ["bp", "shallow"], data, seeds=1, out=tmp_path / "c", backend="reference")
    assert [trial.label for trial in plotted([tmp_path / "c"]).trials] == ["bp", "shallow"]
    both = plotted([tmp_path / "c", place / "compared", place / "compared/runs/02-fa-seed-0"])
    assert [trial.label for trial in both.trials][:4] == ["bp", "shallow", "ldfa rank=1", "fa"]
    assert both.runs == 7


def test_the_best_of_a_sweep_are_drawn(place: Path, tmp_path: Path) -> None:
    sweep = tmp_path / "swept"
    sweep.mkdir()
    (sweep / "sweep.json").write_text(json.dumps({"sweep": FORMAT}))
    with pytest.raises(FacError, match="the same call of `fac sweep` goes on"):
        plotted([sweep])
    os.symlink(place / "compared", sweep / "best")
    assert [trial.label for trial in plotted([sweep]).trials] == ["ldfa rank=1", "fa"]


def test_labels_name_each_setting_in_order(place: Path) -> None:
    found = plotted([place / "compared"], labels=["one", "two"])
    assert [trial.label for trial in found.trials] == ["one", "two"]
    for labels, told in (
        (["one"], "1 label for 2 settings: name each, in the order `ldfa rank=1`, `fa`"),
        (["one", "one"], "labels tell settings apart"),
        (["one", " "], "labels tell settings apart"),
    ):
        with pytest.raises(FacError, match=told):
            plotted([place / "compared"], labels=labels)


def test_a_comparison_of_which_nothing_has_begun_is_said(place: Path, tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text((place / "compared/plan.json").read_text())
    with pytest.raises(
        FacError, match=r"there is nothing to draw; .* left out.*; .*4 of 6 runs have not begun"
    ):
        plotted([tmp_path])


def test_the_command_draws_it(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Callable[..., tuple[int, str, str]]
) -> None:
    status, out, err = run("plot", str(place / "compared"), "-o", "c.svg", "--label", "a", "--label", "b")
    assert (status, out.endswith(" of 4 runs\n"), "--arms" in err) == (0, True, True)
    assert ">a</text>" in Path("c.svg").read_text()


def test_from_python(place: Path, tmp_path: Path) -> None:
    drawn = fac.plot(place / "compared", tmp_path / "c.svg", what="loss", width="3.25in")
    assert (tmp_path / "c.svg").read_bytes() == drawn
    assert fac.plot([str(place / "compared")], what=["loss"], width="3.25in") == drawn
    odd: Any = fac.plot
    for arguments, said, told in (
        ((3,), {}, "`runs` is `3`"),
        ((place, tmp_path / "c.dot"), {}, "end the name with one of"),
        ((place / "compared",), {"what": "odd"}, "no topic is called `odd`"),
        ((place / "compared", tmp_path / "no/c.svg"), {}, "cannot write"),
    ):
        with pytest.raises(FacError, match=told):
            odd(*arguments, **said)
