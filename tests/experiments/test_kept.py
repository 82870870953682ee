"""The folder of a comparison: what it keeps, how it goes on, and what it refuses."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from multiprocessing import active_children
from pathlib import Path
from typing import Any

import pytest

import fac
from fac.diagnostics import FacError
from fac.experiments.kept import open_comparison
from fac.render.tables import latex
from fac.training.holding import alone_in
from tests.cli.conftest import DIGITS
from tests.experiments.interrupting import Stopping, files

RULES = ["bp", "ldfa"]


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.chdir(tmp_path)
    Path("small.fac.yaml").write_text(DIGITS)
    return "small.fac.yaml"


def compare(spec: str, out: str, **how: Any) -> Any:
    how = {
        "rules": RULES,
        "seeds": 2,
        "backend": "reference",
        "contrasts": ["ldfa:bp"],
        "audit": False,
        **how,
    }
    return fac.compare(spec, out=out, **how)


def test_a_folder_holds_the_plan_the_runs_and_the_results(spec: str) -> None:
    found = compare(spec, "a")
    held = files("a")
    runs = [f"runs/{row}-seed-{seed}" for row in ("01-bp", "02-ldfa") for seed in (0, 1)]
    of_a_run = ("metrics.jsonl", "outcome.json", "spec.fac.yaml", "state.safetensors")
    results = [f"results.{kind}" for kind in ("csv", "json", "md", "tex")]
    assert [*held] == [
        "contrasts.tex",
        "notes.tex",
        "plan.json",
        *results,
        *(f"{run}/{name}" for run in runs for name in of_a_run),
    ]
    said = json.loads(held["results.json"])
    assert said["plan"] == json.loads(held["plan.json"])["digest"]
    assert said["rows"][1]["test_accuracy"]["values"] == list(found.values()["ldfa"])
    assert said["contrasts"][0]["difference"] == found.contrasts[0].difference
    assert not any(name in held["results.json"] for name in (b"seconds", b"step_ms"))
    times = json.loads(Path("a/times.json").read_text())
    assert times["bp"]["0"]["seconds"] > 0
    again = open_comparison(Path("a")).comparison()
    assert again.table() == found.table()
    assert fac.evaluate("a/runs/02-ldfa-seed-1").means["accuracy"] == found.values()["ldfa"][1]
    without = fac.compare(spec, RULES, seeds=2, backend="reference")
    assert list(without.values()["ldfa"]) == list(found.values()["ldfa"]), "kept or not, it is one training"


@pytest.mark.parametrize("steps", [1, 30, 70])
def test_it_goes_on_within_a_run_and_ends_as_if_nobody_had_interrupted(spec: str, steps: int) -> None:
    whole = compare(spec, "whole")
    part = compare(spec, "part", watch=Stopping(steps))
    assert part.made == steps // 42
    assert any(f"interrupted: {steps // 42} of 4" in note for note in part.notes)
    assert compare(spec, "part").made == whole.made == 4
    assert files("part") == files("whole")


def test_several_processes_make_the_same_files(spec: str) -> None:
    compare(spec, "one", audit=True)
    compare(spec, "two", jobs=2, audit=True)
    assert "shallow" in Path("one/results.md").read_text()
    assert files("one") == files("two")


def test_several_processes_that_are_interrupted_keep_their_states_and_are_gone(spec: str) -> None:
    compare(spec, "whole", overrides=["train.epochs=30"])
    compare(spec, "part", jobs=2, overrides=["train.epochs=30"], watch=Stopping(12))
    assert active_children() == []
    compare(spec, "part", overrides=["train.epochs=30"])
    assert files("part") == files("whole")


MORTAL = """
import os
from multiprocessing import parent_process
from pathlib import Path
import numpy as np

def data():
    mark = Path(__file__).parent / "died"
    if parent_process() and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), 9)
    x = np.random.default_rng(0).normal(size=(64, 8, 8))
    return {"train": (x, np.arange(64) % 10), "test": (x, np.arange(64) % 10)}
"""


def test_a_process_that_dies_is_said_and_its_run_is_made_by_the_next_call(spec: str) -> None:
    Path("mortal.py").write_text(MORTAL)
    Path(spec).write_text(
        DIGITS.replace("{source: digits}", "{source: python, function: 'mortal:data'}").replace("64}", "16}")
    )
    found = compare(spec, "a", jobs=1, allow_code=True)
    (died,) = [run for row in found.rows for run in row.runs if run.problem]
    assert died.problem == "its process ended by signal 9: the next call goes on with it"
    assert not died.diverged
    assert (found.made, len(found.contrasts[0].seeds), found.contrasts[0].left_out) == (4, 1, (0,))
    again = compare(spec, "a", jobs=1, allow_code=True)
    assert not any(run.problem for row in again.rows for run in row.runs)


def test_a_run_that_diverged_is_over_and_stays(spec: str) -> None:
    found = compare(spec, "a", rates={"ldfa": 1e30})
    assert [run.diverged for row in found.rows for run in row.runs] == [False, False, True, True]
    assert "diverged" in Path("a/results.md").read_text()
    outcome = json.loads(Path("a/runs/02-ldfa-seed-0/outcome.json").read_text())
    assert "runs/" not in outcome["problem"], "where a folder lies is no part of what came of a run"
    state = Path("a/runs/02-ldfa-seed-0/state.safetensors")
    before = state.stat().st_mtime_ns
    assert compare(spec, "a", rates={"ldfa": 1e30}).table() == found.table()
    assert state.stat().st_mtime_ns == before
    assert found.contrasts[0].left_out == (0, 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seeds": 3}, r"`seeds` is \[0, 1\] there and \[0, 1, 2\] here"),
        ({"contrasts": []}, r'`contrasts` is \["ldfa:bp"\] there and \[\] here'),
        ({"rates": {"bp": 0.1}}, r"`rows.bp.trains.update.lr` is 0.05 there and 0.1 here"),
        ({"precision": "float32"}, r'`precision` is null there and "float32" here'),
        ({"rules": ["ldfa", "bp"]}, r'`order\[0\]` is "bp" there and "ldfa" here'),
    ],
)
def test_another_plan_is_refused_with_the_difference(spec: str, change: dict[str, Any], message: str) -> None:
    compare(spec, "a", watch=Stopping(1))
    with pytest.raises(FacError, match=message):
        compare(spec, "a", **change)


def test_other_data_are_another_plan(spec: str) -> None:
    compare(spec, "a", watch=Stopping(1))
    found = json.loads(Path("a/plan.json").read_text())
    assert {*found["rows"][0]["data"]} == {"train", "test"}
    Path("a/plan.json").write_text(json.dumps(found | {"seeds": [0]}))
    with pytest.raises(FacError, match="is not the plan of a comparison"):
        compare(spec, "a")


def foreign() -> None:
    Path("a").mkdir()
    Path("a/notes.txt").write_text("mine")


def another() -> None:
    Path("a").mkdir()
    Path("a/plan.json").write_text('{"comparison": 2}')


def half() -> None:
    """A run without its state, whose log nobody can go on with."""
    Path("a/runs/01-bp-seed-0/state.safetensors").unlink()


def damaged() -> None:
    Path("a/runs/01-bp-seed-0/outcome.json").write_text("[]")


def swapped() -> None:
    Path("a/runs/01-bp-seed-0/outcome.json").unlink()
    other = Path("a/runs/02-ldfa-seed-0/state.safetensors").read_bytes()
    Path("a/runs/01-bp-seed-0/state.safetensors").write_bytes(other)


@pytest.mark.parametrize(
    ("make", "message"), [(foreign, "is not empty and holds no comparison"), (another, "is not the plan")]
)
def test_a_folder_of_something_else_is_refused_and_stays(
    spec: str, make: Callable[[], None], message: str
) -> None:
    make()
    before = files("a")
    with pytest.raises(FacError, match=message):
        compare(spec, "a")
    assert files("a") == before


def test_who_is_at_work_there_is_not_disturbed(spec: str) -> None:
    with alone_in(Path("a")), pytest.raises(FacError, match="at work in `a`"):
        compare(spec, "a")


@pytest.mark.parametrize(
    ("make", "message"),
    [(half, "holds the `metrics.jsonl` of another run"), (swapped, "belongs to another spec")],
)
def test_a_run_that_cannot_go_on_is_named_and_does_not_lose_the_others(
    spec: str, make: Callable[[], None], message: str
) -> None:
    compare(spec, "a")
    make()
    found = compare(spec, "a")
    (broken,) = [run for row in found.rows for run in row.runs if run.problem]
    assert message in broken.problem
    assert "01-bp-seed-0" in broken.problem
    assert message in Path("a/results.md").read_text().replace("<code>", "`").replace("</code>", "`")


def test_an_outcome_that_nobody_wrote_is_named(spec: str) -> None:
    compare(spec, "a")
    damaged()
    with pytest.raises(FacError, match=r"01-bp-seed-0/outcome.json` is not what came of a run: remove it"):
        compare(spec, "a")
    with pytest.raises(FacError, match="holds no comparison"):
        open_comparison(Path("a/runs"))


HOSTILE = """=cmd|'/c x'!A0 | \\input{x} <img src=x> $x$ [x](javascript:1) & % _ # ~ ^"""


def test_names_are_data_in_every_file(spec: str) -> None:
    names = [HOSTILE, "@b"]
    for number, name in enumerate(names):
        Path(f"{number}.fac.yaml").write_text(
            DIGITS.replace("name: digits-small", f"name: {json.dumps(name)}")
        )
    fac.compare([f"{n}.fac.yaml" for n in range(2)], seeds=1, backend="reference", out="a", audit=False)
    rows = list(csv.reader(Path("a/results.csv").read_text().splitlines()))
    assert [row[1] for row in rows[1:]] == [f"'{HOSTILE}", "'@b"]
    assert all(cell[:1] not in "=+@\t" for row in rows for cell in row if cell)
    page = Path("a/results.md").read_text()
    assert not any(part in page for part in ("<img", "](javascript", "$x$", "|'/c"))
    assert page.splitlines()[2].count("|") == page.splitlines()[0].count("|")
    tex = Path("a/results.tex").read_text()
    line = next(line for line in tex.splitlines() if "cmd" in line)
    assert r"\textbackslash{}input\{x\}" in line
    assert r"\$x\$" in line
    assert line.count("&") - line.count(r"\&") == tex.splitlines()[3].count("&")
    assert all(re.fullmatch(r"0\d-[\w-]+-seed-0", path.name) for path in Path("a/runs").iterdir())


def test_a_paper_takes_each_table_as_it_is(spec: str) -> None:
    found = fac.compare(
        spec,
        ["ldfa", "bp"],
        seeds=2,
        contrasts=["ldfa:bp"],
        out="a",
        backend="reference",
        overrides={"train.epochs": 1},
    )
    tables = [Path(f"a/{name}.tex").read_text() for name in ("results", "contrasts")]
    for text, last in zip(tables, ("acc", "verdict"), strict=True):
        columns, rows, parts = parsed(text)
        assert {len(row) for row in rows} == {len(columns)}, text
        assert last in rows[0][-1].replace("test ", "")
        for number, column in enumerate(columns):
            numbers = [row[number] for row in rows[1:] if re.match(r"(\$[-+]\$|\+)?\d", row[number])]
            assert (column == "r") == (number > 0 and len(numbers) > 0), (column, number)
    _, rows, parts = parsed(tables[0])
    assert [row[0] for row in rows[1:3]] == ["ldfa", "bp"]
    assert parts == 3, "arms stand below a rule"
    assert {row[0] for row in rows[3:]} == {row.variant.label for row in found.rows[2:]} != set()
    notes = Path("a/notes.tex").read_text()
    assert notes.count("{") == notes.count("}")
    assert notes.count(r"\item ") == len(found.notes)
    assert "`" not in notes
    assert "--" not in notes


def parsed(text: str) -> tuple[str, list[list[str]], int]:
    """The columns, the cells of each row, and the parts between rules of a file that holds one tabular."""
    lines = [line for line in text.splitlines() if not line.startswith("%")]
    begin = re.fullmatch(r"\\begin\{tabular\}\{([lr]+)\}", lines[0])
    assert begin
    assert lines[-1] == r"\end{tabular}"
    rows = [line for line in lines[1:-1] if line not in (r"\toprule", r"\midrule", r"\bottomrule")]
    rows = [row for row in rows if not row.startswith(r"\multicolumn")]
    for row in rows:
        assert row.endswith(r" \\")
        plain = re.sub(r"\\[{}]", "", row)
        assert plain.count("{") == plain.count("}")
        assert re.sub(r"\\\$", "", row).count("$") % 2 == 0
    cells = [re.split(r"(?<!\\)&", row.removesuffix(r" \\")) for row in rows]
    return begin[1], [[cell.strip() for cell in row] for row in cells], 1 + lines.count(r"\midrule")


def test_signs_marks_and_words_are_right_in_print() -> None:
    marked = latex(
        ("rule", "acc", "way"), [("-1 b", "-0.5 ± 0.1 !", "no"), ("c", "diverged !", "-")], marked="m"
    )
    columns, rows, parts = parsed(marked)
    assert (columns, parts) == ("lrl", 2)
    assert rows[1][1] == r"$-$0.5 $\pm$ 0.1$^\dagger$"
    assert rows[2][1] == r"diverged$^\dagger$"
    assert r"\multicolumn{3}{l}{\footnotesize $^\dagger$ m} \\" in marked
    assert "dagger" not in latex(("a",), [("b",)], marked="m")
