"""Benchmarks: what is compared, what is said where something is not, the page, and going on after an interruption.

`FAC_UPDATE_GOLDEN=1 pytest` makes what is made of the results of the reference table anew.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import pytest
from scipy import stats

import fac
from fac.diagnostics import FacError
from fac.studies import Benchmark, Task
from fac.studies.benchmarks.entries import FILE, read
from fac.studies.benchmarks.machine import machine
from fac.studies.benchmarks.page import PICTURE, page, summary
from fac.studies.benchmarks.picture import drawn
from fac.studies.benchmarks.running import tasks_of
from fac.studies.finding import folder_of
from tests.experiments.interrupting import Stopping, files

Fac = Callable[..., tuple[int, str, str]]

OWN = """
from fac.studies import Benchmark, Task, between

RULES = {"fa": "random | feedback", "bp": "backpropagation", "dfa": "direct", "shallow": "the last"}
RATES = {"update.lr": "0.02,0.05"}
WITHOUT = {"dfa": "why not", "shallow": "the audit trains it all the same"}
CLAIMS = [between("bp", "test_accuracy", LOW, 100, scale=100)]

def tasks(short):
    yield Task("Digits", "net.fac.yaml", RATES, 2, 2, without=WITHOUT, claims=CLAIMS, says="Small.")
    if not short:
        yield Task("Elsewhere", "there.fac.yaml", RATES, 2, 2)

STUDY = Benchmark("A benchmark", "By nobody.", RULES, tasks)
"""
HERE = ("study", "./mine", "--backend", "reference")
REFERENCE = folder_of("reference")


@pytest.fixture
def mine(spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A benchmark of one's own, one of whose tasks has its data nowhere."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    folder = tmp_path / "mine"
    folder.mkdir()
    text = spec.read_text().replace("digits}", "digits, validation: 0.2}")
    (folder / "net.fac.yaml").write_text(text)
    (folder / "there.fac.yaml").write_text(
        text.replace("source: digits", "source: arrays, train: a.npz, test: b.npz")
    )
    (folder / "study.py").write_text(OWN.replace("LOW", "20"))
    return folder


def test_a_benchmark_of_ones_own(mine: Path, run: Fac) -> None:
    status, out, err = run(*HERE)
    assert status == 0, err
    folder = Path("studies/mine")
    assert (folder / "results.md").read_text() == out.removesuffix("\n")
    assert "`Elsewhere` is left out: " in err
    assert "**Not here:** its data are not on the machine that made this page." in out
    assert "- `dfa` is not here: why not" in out
    assert "`shallow` is not here" not in out
    assert "✓ bp: test" in out
    found = read(folder / FILE)
    (task, _) = found["tasks"]
    assert task["samples"] == {"train": 1120, "validation": 280, "test": 397}
    assert [row["rule"] for row in task["rows"]] == ["fa", "bp", "shallow"]
    for row in task["rows"]:
        trials = json.loads((folder / "digits/trials.json").read_text())["trials"]
        own = [trial for trial in trials if trial["rule"] == row["rule"]]
        assert row["validation_accuracy"] == max(trial["value"] for trial in own)
        assert row["trials"] == {"complete": 2}, "nothing is pruned"
        values = row["test_accuracy"]
        reach = stats.t(1).ppf(0.975) * stdev(values) / 2**0.5
        assert row["interval"] == pytest.approx([mean(values) - reach, mean(values) + reach], abs=1e-12)
        assert f"{100 * mean(values):.1f} ± {100 * reach:.1f}" in out
    ends = [note for note in task["notes"] if note.startswith("the best `update.lr` of `")]
    assert len(ends) == 3, "of two rates each is an end"
    before = files(folder)
    status, again, err = run(*HERE)
    assert (status, again) == (0, out)
    assert "acc" not in err, "nothing is trained again"
    assert files(folder) == before


def test_an_interrupted_benchmark_goes_on(mine: Path, run: Fac, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(*HERE, "--short", "--out", "whole")[0] == 0
    for steps in (40, 150):
        with monkeypatch.context() as patched:
            patched.setattr("fac.cli.benchmark.watching", lambda steps=steps: Stopping(steps))
            status, out, err = run(*HERE, "--short", "--out", "parts")
        assert status != 0
        assert (
            "interrupted: `fac study ./mine --short --backend reference --out parts` goes on from here" in err
        )
        assert out == ""
        assert "**Not here:** it is not made yet." in Path("parts/results.md").read_text()
    assert run(*HERE, "--short", "--out", "parts")[0] == 0
    assert files("parts") == files("whole")


def test_what_does_not_come_out_is_exit_status_1(mine: Path, run: Fac) -> None:
    (mine / "study.py").write_text(OWN.replace("LOW", "99.9"))
    status, out, _ = run(*HERE, "--short")
    assert status == 1
    assert "✗ bp: test" in out


def test_other_results_are_refused(mine: Path, run: Fac) -> None:
    Path("other").mkdir()
    Path("other/notes").touch()
    assert "is not empty and holds no benchmark" in run(*HERE, "--out", "other")[2]
    Path("of").mkdir()
    Path("of", FILE).write_text(json.dumps({"benchmark": 1, "title": "Another"}))
    assert "holds the results of another study, `Another`" in run(*HERE, "--out", "of")[2]
    Path("of", FILE).write_text("[")
    assert "is no file of results as `fac study` writes it" in run(*HERE, "--out", "of")[2]
    status, _, err = run("study", "ldfa", "--short", "--jobs", "2")
    assert status == 2
    assert "this study measures row by row, in one process: leave it out" in err


def benchmark(task: Task, *more: Task) -> Benchmark:
    return Benchmark("B", "", {"bp": "", "fa": "", "dfa": ""}, lambda short: (task, *more))


def test_no_rule_is_left_out_in_silence() -> None:
    plain = Task("T", "net.fac.yaml", {}, 1, 1)
    assert benchmark(plain).compared(plain) == ("bp", "fa", "dfa")
    without = Task("T", "net.fac.yaml", {}, 1, 1, without={"fa": "why"})
    assert benchmark(without).compared(without) == ("bp", "dfa")
    for task, said in (
        (Task("T", "", {}, 1, 1, rules=("usf",)), "names `usf`, which the study does not have"),
        (Task("T", "", {}, 1, 1, without={"usf": ""}), "names `usf`, which the study does not have"),
        (
            Task("T", "", {}, 1, 1, rules=("fa",), without={"fa": ""}),
            "compares `fa`, and says that it means nothing",
        ),
    ):
        with pytest.raises(FacError, match=said):
            benchmark(task).compared(task)
    with pytest.raises(FacError, match="two tasks have one name"):
        tasks_of(benchmark(plain, without), short=True)


def test_a_processor_and_versions_have_names() -> None:
    found = machine(("numpy", "no-such-distribution"))
    assert [*found] == ["processor", "python", "numpy"]
    assert all(found.values())


def row(rule: str, *values: float | None, **more: Any) -> dict[str, Any]:
    numbers = [value for value in values if value is not None]
    return {
        "rule": rule,
        "settings": {"update.lr": 0.03},
        "trials": {},
        "validation_accuracy": 0.5,
        "test_accuracy": [*values],
        "mean": mean(numbers) if numbers else None,
        "interval": [0.4, 0.6] if len(numbers) > 1 else None,
        "diverged": [],
        "failed": [],
        "cosine": None,
        "backward_macs_vs_backprop": 0.5,
        "feedback_words": 1,
        "weight_transport": "no",
    } | more


def test_the_page_says_what_diverged_and_what_was_not_compared() -> None:
    rows = [row("bp", 0.4, None, 0.6), row("fa", None, None, None), row("<b>", 0.5)]
    of = {
        "title": "A",
        "spec": "a.fac.yaml",
        "says": "",
        "samples": {"train": 10},
        "over": {"update.lr": "1,2"},
    }
    task = of | {"rows": rows, "contrasts": [], "without": {}, "notes": ["`fa` fails"], "claims": []}
    lacking = {"title": "B", "spec": "b.fac.yaml", "says": "", "missing": "it is not made yet"}
    found = {
        "title": "T",
        "source": "S",
        "command": "fac study x",
        "made_on": {"processor": "P", "python": "3"},
        "rules": {"bp": "", "fa": "", "<b>": "", "dfa": ""},
        "tasks": [task, lacking],
    }
    assert summary(found).splitlines() == [
        "| rule | A |",
        "| --- | ---: |",
        "| `bp` | 50.0 ± 10.0 (2 of 3) |",
        "| `fa` | diverges |",
        "| <code>&#60;b&#62;</code> | 50.0 |",
    ]
    text = page(found)
    assert "- `fa` fails" in text
    assert "**Not here:** it is not made yet." in text
    picture = (drawn(found) or b"").decode()
    assert ">A</text>" in picture
    assert "<b>" not in picture
    assert drawn({**found, "tasks": [lacking]}) is None


def test_page_and_picture_of_the_reference_table_are_those_of_its_results() -> None:
    found, docs = read(REFERENCE / FILE), Path(fac.__file__).parents[1] / "docs" / "studies.md"
    picture = drawn(found) or b""
    if os.environ.get("FAC_UPDATE_GOLDEN"):
        (REFERENCE / "results.md").write_text(page(found), encoding="utf-8")
        (REFERENCE / PICTURE).write_bytes(picture)
        old = re.compile(r"(?<=\n)\| rule \|.*?(?=\n\n)", re.S)
        text = docs.read_text("utf-8")
        docs.write_text(old.sub(lambda _: summary(found).rstrip("\n"), text, count=1), encoding="utf-8")
    assert page(found) == (REFERENCE / "results.md").read_text("utf-8")
    assert picture == (REFERENCE / PICTURE).read_bytes()
    assert summary(found) in docs.read_text("utf-8")
    assert not [claim for task in found["tasks"] for claim in task.get("claims", ()) if not claim["holds"]]
