"""Kept comparisons and sweeps take what they have made themselves, and nothing else."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

import fac
from fac.diagnostics import FacError
from fac.experiments import made_with, plan
from fac.experiments.kept import open_comparison
from fac.experiments.sealing import digest
from tests.cli.conftest import DIGITS
from tests.experiments.interrupting import Stopping, files

SHORT = DIGITS.replace("epochs: 2", "epochs: 1")
HELD = SHORT.replace("digits}", "digits, validation: 0.1}")
SPACE = {"update.lr": "0.02,0.05"}


def compare(**how: Any) -> Any:
    how = {"rules": ["bp", "fa"], "seeds": 2, "backend": "reference", "audit": False, "out": "a", **how}
    return fac.compare("small.fac.yaml", **how)


def sweep(over: Any = SPACE, **how: Any) -> Any:
    how = {"rules": ["bp", "fa"], "backend": "reference", "audit": False, "seeds": 1, "out": "s", **how}
    return fac.sweep("held.fac.yaml", over, **how)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A comparison and a sweep that are over."""
    place = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.chdir(place)
        Path("small.fac.yaml").write_text(SHORT)
        Path("held.fac.yaml").write_text(HELD)
        compare()
        sweep()
    return place


@pytest.fixture
def here(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of it, to spoil."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    shutil.copytree(made, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")


def copied(source: str, target: str) -> None:
    shutil.rmtree(target)
    shutil.copytree(source, target)


def edited(path: str, change: Callable[[Any], object], *, signed: bool = False) -> None:
    """Change what a file says, and its digest if that is wanted."""
    found = json.loads(Path(path).read_text())
    change(found)
    if signed:
        del found["digest"]
        found["digest"] = digest(found)
    Path(path).write_text(json.dumps(found))


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("source", "target", "says"),
    [
        (
            "a/runs/01-bp-seed-1",
            "a/runs/02-fa-seed-1",
            "is `bp`, seed 1, and not `fa`, seed 1: remove the folder",
        ),
        ("a/runs/02-fa-seed-1", "a/runs/02-fa-seed-0", "is `fa`, seed 1, and not `fa`, seed 0"),
        ("s/best/runs/01-bp-seed-1", "a/runs/01-bp-seed-1", "seed 1 of another plan, and not `bp`, seed 1"),
    ],
)
def test_a_run_in_the_place_of_another_is_named_and_is_made_anew_once_it_is_gone(
    source: str, target: str, says: str
) -> None:
    before = files("a")
    copied(source, target)
    with pytest.raises(FacError) as caught:
        compare()
    assert f"`{target}` is " in str(caught.value)
    assert says in str(caught.value)
    with pytest.raises(FacError, match=re.escape(says)):
        open_comparison(Path("a")).comparison()
    report = fac.report("a", measure=False)
    assert any(says in note and note.endswith("it is left out") for note in report.notes)
    assert report.runs == 3
    shutil.rmtree(target)
    compare()
    assert files("a") == before


@pytest.mark.usefixtures("here")
def test_a_run_that_was_trained_further_is_no_run_of_the_comparison() -> None:
    fac.train(resume="a/runs/02-fa-seed-0", overrides=["train.epochs=2"])
    with pytest.raises(
        FacError, match="02-fa-seed-0` is a training by itself, as `fac train --resume` leaves it"
    ):
        compare()


@pytest.mark.usefixtures("here")
def test_an_edited_outcome_is_not_believed() -> None:
    edited("a/runs/01-bp-seed-0/outcome.json", lambda found: found["report"].update(test_accuracy=0.99))
    said = r"01-bp-seed-0/outcome.json` is not what came of a run: remove it, and call again \(it was changed after"
    with pytest.raises(FacError, match=said):
        compare()
    before = files("a")["results.json"]
    Path("a/runs/01-bp-seed-0/outcome.json").unlink()
    compare()
    assert files("a")["results.json"] == before, "the state tells the same once more"


@pytest.mark.usefixtures("here")
def test_a_trial_in_the_place_of_another_is_named() -> None:
    copied("s/trials/01-bp/000", "s/trials/02-fa/000")
    with pytest.raises(
        FacError, match="02-fa/000` is trial 0 of `bp`, seed 0, and not trial 0 of `fa`, seed 0"
    ):
        sweep()
    copied("s/trials/02-fa/001", "s/trials/02-fa/000")
    with pytest.raises(FacError, match="is trial 1 of `fa`, seed 0, and not trial 0 of `fa`"):
        sweep()


@pytest.mark.usefixtures("here")
def test_a_trial_whose_log_was_changed_is_named() -> None:
    log = Path("s/trials/01-bp/000/metrics.jsonl")
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    lines[-1]["validation_accuracy"] = 0.999
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(
        FacError, match=r"000`: its `metrics.jsonl` is not as the training left it, and a trial is"
    ):
        sweep()


@pytest.mark.usefixtures("here")
def test_a_log_that_was_changed_is_said_of_a_run() -> None:
    log = Path("a/runs/01-bp-seed-0/metrics.jsonl")
    log.write_text(re.sub(r'"lr": [\d.]+', '"lr": 7.5', log.read_text()))
    notes = fac.report("a", measure=False).notes
    assert any("its `metrics.jsonl` is not as the training left it" in note for note in notes)


@pytest.mark.usefixtures("here")
def test_other_versions_of_what_computes_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    now = made_with.versions()
    monkeypatch.setattr(made_with, "versions", lambda: now | {"numpy": "1.0"})
    shutil.rmtree("a/runs/02-fa-seed-1")
    said = (
        "runs were made with other versions than those before, equal up to rounding, not bit for bit: numpy 1.0 "
        f"instead of {now['numpy']} in 1"
    )
    assert said in compare().notes
    assert said in json.loads(Path("a/results.json").read_text())["notes"]
    assert not any("versions" in note for note in sweep().notes), "nothing was made"


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(("call", "what"), [(compare, "comparison"), (sweep, "sweep")])
def test_a_plug_in_that_changed_is_another_plan(
    call: Callable[..., Any], what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree("a")
    shutil.rmtree("s")
    for name in ("0", "1"):
        monkeypatch.setattr(plan, "used", lambda spec, name=name: {name * 64: "scaled.py"})
        if name == "0":
            call(seeds=1)
    with pytest.raises(FacError, match=f'holds another {what}: `plugins.scaled.py` is "0000'):
        call(seeds=1)


class Killed(Stopping):
    """Ends the whole process, which has no say in it, after so many steps."""

    def stop(self) -> bool:
        if super().stop():
            os.kill(os.getpid(), signal.SIGKILL)
        return False


@pytest.mark.usefixtures("here")
def test_a_sweep_whose_process_was_killed_twice_ends_as_if_nobody_had() -> None:
    for steps in (10, 40):
        process = get_context("fork").Process(target=sweep, kwargs={"out": "k", "watch": Killed(steps)})
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL
    sweep(out="k")
    assert files("k") == files("s")


@pytest.mark.usefixtures("here")
def test_loggers_that_have_no_place_are_said() -> None:
    found = compare(out=None, rules=["bp"], seeds=1, overrides=["train.loggers=[tensorboard]"])
    assert any(note.startswith("`train.loggers` are left out") for note in found.notes)
    with pytest.raises(FacError, match="values by path"):
        sweep(over={1: "0.1,0.2"})


UNGUARDED = """
import fac
fac.compare("small.fac.yaml", ["bp"], seeds=1, backend="reference", audit=False, out="b", jobs=1)
"""


@pytest.mark.usefixtures("here")
def test_a_program_that_begins_itself_again_is_told_what_it_lacks() -> None:
    Path("program.py").write_text(UNGUARDED)
    found = subprocess.run([sys.executable, "program.py"], capture_output=True, text=True, check=False)
    assert 'put what it does under `if __name__ == "__main__":`' in found.stderr.splitlines()[-1]
    assert found.stderr.count("Traceback") == 1, "that of the program itself"
    assert not Path("b/results.json").exists()


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"seeds": ["0/../../../s/best/runs/01-bp-seed-1"]}, "`seeds[0]`"),
        ({"notes": ["\ud800"]}, "it is no JSON"),
        ({"contrasts": [{"one": {}, "other": "bp"}]}, "`contrasts[0].one`"),
    ],
)
def test_a_plan_of_other_kinds_of_values_is_named_with_the_place(change: dict[str, Any], place: str) -> None:
    edited("a/plan.json", lambda found: found.update(change))
    with pytest.raises(FacError) as caught:
        open_comparison("a")
    assert f"is not the plan of a comparison as `fac compare --out` wrote it, {place}: " in str(caught.value)
