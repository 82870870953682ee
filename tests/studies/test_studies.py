"""What `fac study` makes of a folder: runs that are kept, tables, claims, and messages."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fac
from fac.diagnostics import FacError
from fac.pipeline import find_backend
from fac.studies import Claim, Column, Measured, Results, Row, Study, Table, between, every, leads, pictures
from fac.studies.finding import digest, folder_of, names, read
from fac.studies.keeping import FILE, Kept
from fac.studies.lab import Lab
from fac.studies.report import page
from fac.studies.running import run, tables_of

PAPERS = [name for name in names() if folder_of(name).parent.name == "papers"]
"""Of the others, which have kinds of their own, see `tests.outside`."""
SPECS = sorted(spec for name in PAPERS for spec in folder_of(name).glob("*.fac.yaml"))

Fac = Callable[..., tuple[int, str, str]]

OWN = """
from fac.studies import Column, Row, Study, Table, between, trained

def tables(short):
    rows = [Row("bp", trained("net.fac.yaml", "train.epochs=1"), seeds=1 if short else 2)]
    claims = [between("bp", "test_accuracy", {low}, 100, scale=100)]
    return [Table("Digits", rows, [Column("accuracy %", "test_accuracy", ".1f", 100)], claims)]

STUDY = Study("A study", "By nobody.", tables)
"""


def table(values: dict[str, list[float]], *claims: Claim) -> tuple[Table, list[tuple[str, int]]]:
    """One that looks its figures up, and the list of what was measured."""
    made: list[tuple[str, int]] = []

    def measure(name: str) -> Callable[[Lab, int], Measured]:
        def one(lab: Lab, seed: int) -> Measured:
            made.append((name, seed))
            return Measured({"a": values[name][seed]}, {"loss": (2.0, 1.0)})

        return one

    rows = [Row(name, measure(name), len(found)) for name, found in values.items()]
    return Table("T", rows, (Column("a", "a", ".1f"),), claims), made


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path, find_backend("reference"))


@pytest.fixture
def mine(spec: Path, tmp_path: Path) -> Path:
    """A study of one's own, beside a spec."""
    folder = tmp_path / "mine"
    folder.mkdir()
    spec.rename(folder / "net.fac.yaml")
    (folder / "study.py").write_text(OWN.format(low=20))
    return folder


def test_what_was_measured_is_not_measured_again(tmp_path: Path, lab: Lab) -> None:
    one, made = table({"x": [1.0, 3.0]})
    run([one], lab, Kept(tmp_path, "S", "d"), lambda _: None)
    more, again = table({"x": [1.0, 3.0], "y": [5.0]})
    (outcome,) = run([more], lab, Kept(tmp_path, "S", "d"), lambda _: None)
    assert made == [("x", 0), ("x", 1)]
    assert again == [("y", 0)]
    assert outcome.results.values("x", "a") == [1.0, 3.0]
    assert outcome.results.rows["x"][0].curves == {"loss": (2.0, 1.0)}


def test_what_other_code_measured_counts_as_not_there(tmp_path: Path, lab: Lab) -> None:
    one, made = table({"x": [1.0]})
    run([one], lab, Kept(tmp_path, "S", "old"), lambda _: None)
    kept = Kept(tmp_path, "S", "new")
    assert kept.stale == 1
    run([one], lab, kept, lambda _: None)
    assert len(made) == 2


def test_a_line_that_was_cut_off_is_measured_again(tmp_path: Path, lab: Lab) -> None:
    one, made = table({"x": [1.0, 2.0]})
    run([one], lab, Kept(tmp_path, "S", "d"), lambda _: None)
    whole = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(whole[:-20])
    kept = Kept(tmp_path, "S", "d")
    assert len(kept.found) == kept.stale == 1
    run([one], lab, kept, lambda _: None)
    assert made[2:] == [("x", 1)]


def test_two_rows_of_one_name_are_refused() -> None:
    one, _ = table({"x": [1.0]})
    double = Table("T", (*one.rows, *one.rows), one.columns)
    for tables, said in (
        ([double], "two rows of `T` have one name"),
        ([one, one], "two tables have one name"),
    ):
        with pytest.raises(FacError, match=said):
            tables_of(Study("S", "", lambda short, tables=tables: tables), short=True)  # type: ignore[misc]


@pytest.mark.parametrize(
    "line",
    ["[" * 100_000, "{}", "[1]", '{"sum": 1}', json.dumps({"key": [[], 1, 2], "figures": None})],
)
def test_a_line_of_anything_is_measured_again(line: str, tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(line + "\n")
    kept = Kept(tmp_path, "S", "d")
    assert (len(kept.found), kept.stale) == (0, 1)
    assert (tmp_path / FILE).read_text() == ""


def test_no_changed_number_passes_for_one_that_was_measured(tmp_path: Path, lab: Lab) -> None:
    one, made = table({"x": [1.5]})
    run([one], lab, Kept(tmp_path, "S", "d"), lambda _: None)
    (tmp_path / FILE).write_text((tmp_path / FILE).read_text().replace("1.5", "9.5"))
    (outcome,) = run([one], lab, Kept(tmp_path, "S", "d"), lambda _: None)
    assert outcome.results.values("x", "a") == [1.5]
    assert len(made) == 2


def test_a_folder_of_something_else_stays_as_it_is(tmp_path: Path, lab: Lab) -> None:
    one, _ = table({"x": [1.5]})
    own, other = tmp_path / "own", tmp_path / "other"
    own.mkdir()
    (own / "results.md").write_text("notes")
    with pytest.raises(FacError, match="is not empty and holds no study"):
        Kept(own, "S", "d")
    assert [path.name for path in own.iterdir()] == ["results.md"]
    other.mkdir()
    run([one], lab, Kept(other, "S", "d"), lambda _: None)
    with pytest.raises(FacError, match="holds the results of another study, `S`"):
        Kept(other, "Another", "d")


def test_a_signal_is_heard_before_each_run(tmp_path: Path) -> None:
    one, made = table({"x": [1.0, 2.0, 3.0]})
    calls = iter(range(10))
    with pytest.raises(KeyboardInterrupt):
        run(
            [one],
            Lab(tmp_path, find_backend("reference"), lambda: next(calls) >= 2),
            Kept(tmp_path, "S", "d"),
            print,
        )
    assert made == [("x", 0), ("x", 1)]
    assert len(Kept(tmp_path, "S", "d").found) == 2


def test_cells_and_claims() -> None:
    nan = float("nan")
    found = Results(
        {
            "x": [Measured({"a": 0.5}), Measured({"a": 0.7})],
            "y": [Measured({"a": 0.5}), Measured({}, diverged=True)],
            "z": [Measured({}, diverged=True)],
            "w": [Measured({"a": nan})],
        }
    )
    column = Column("accuracy %", "a", ".1f", 100)
    told = [found.told(row, column) for row in found.rows]
    assert told == ["60.0 ± 14.1", "50.0 (1 of 2)", "diverges", "–"]
    assert between("x", "a", 55, 65, scale=100).holds(found)
    assert not between("x", "a", 61, 65, scale=100).holds(found)
    assert leads("x", "y", "a").holds(found) is False  # one of its runs has no figure: nothing is borne out
    assert leads("w", "x", "a").holds(found) is False


def test_a_claim_of_every_seed_hears_of_each() -> None:
    nan = float("nan")
    found = Results({"x": [Measured({"a": 1.0}), Measured({"a": 3.0})], "y": [Measured({"a": nan})]})
    assert every("all", ["x"], "a", 1, 3).text == "all, for every seed"
    assert every("all", ["x"], "a", 1, 3).holds(found)
    assert not every("all", ["x"], "a", 1, 2.9).holds(found)
    assert not every("all", ["x"], "a", 1.1).holds(found)
    assert not every("all", ["x", "y"], "a").holds(found)


def test_what_is_solved_is_trained_and_opened_in_float64(mine: Path) -> None:
    text = (mine / "net.fac.yaml").read_text()
    kept = [line for line in text.splitlines() if not line.startswith(("feedback:", "update:", "train:"))]
    (mine / "solved.fac.yaml").write_text("\n".join([*kept, "solve: {rule: zorb}"]))
    for backend in ("reference", "torch"):
        lab = Lab(mine, find_backend(backend))
        training = lab.train("solved.fac.yaml", seed=0)
        assert training.session.precision == "float64"
        assert training.measured.figures["test_accuracy"] > 0.5
        assert lab.data("solved.fac.yaml").train.x.dtype == np.float64
    assert lab.data("net.fac.yaml").train.x.dtype == np.float32


def test_data_have_the_shapes_that_the_network_reads(mine: Path) -> None:
    lab = Lab(mine, find_backend("reference"))
    assert lab.data("net.fac.yaml").train.x.shape == (1400, 8, 8)
    assert lab.data("net.fac.yaml", "input.shape=[64]").test.x.shape == (397, 64)


def test_the_page_says_what_did_not_come_out(tmp_path: Path, lab: Lab) -> None:
    study = read(folder_of("ldfa"))
    assert isinstance(study, Study)
    one, _ = table({"x|y": [1.0]}, between("x|y", "a", 0, 2), between("x|y", "a", 2, 3))
    text = page(study, run([one], lab, Kept(tmp_path, "S", "d"), lambda _: None), "fac study x", "reference")
    assert "| x\\|y | 1.0 |" in text
    assert "- ✓ x|y: a between 0 and 2" in text
    assert "- ✗ x|y: a between 2 and 3" in text


def test_curves_are_drawn_row_beside_row(tmp_path: Path, lab: Lab) -> None:
    one, _ = table({"x": [1.0, 2.0], "y": [1.0]})
    (outcome,) = run([replace(one, curves=("loss",))], lab, Kept(tmp_path, "S", "d"), lambda _: None)
    assert outcome.table.file == "t.svg"
    text = (pictures.drawn(outcome) or b"").decode()
    assert text.startswith("<svg")
    assert ">x</text>" in text
    assert ">y</text>" in text
    study = Study("S", "By nobody.", lambda short: [one])
    assert "![T](t.svg)" in page(study, [outcome], "fac study x", "reference")
    (plain,) = run([one], lab, Kept(tmp_path, "S", "d"), lambda _: None)
    assert pictures.drawn(plain) is None


def test_an_axis_is_called_what_its_curves_go_along(tmp_path: Path, lab: Lab) -> None:
    one, _ = table({"x": [1.0], "y": [1.0]})
    for axis in ("step", "second"):
        told = replace(one, curves=("loss",))
        told = told if axis == "step" else replace(told, axis=axis)
        (outcome,) = run([told], lab, Kept(tmp_path, "S", "d"), lambda _: None)
        text = (pictures.drawn(outcome) or b"").decode()
        assert [word for word in ("step", "second") if f">{word}</text>" in text] == [axis]


def test_what_rows_differ_in_is_an_axis(tmp_path: Path, lab: Lab) -> None:
    """Two points of a curve, and a row that is at no place, which is a level line."""
    values = {"fixed, r = 1": [1.0, 3.0], "fixed, r = 64": [4.0, 4.0], "bp": [5.0, 5.0]}
    one, _ = table(values)
    low, high, level = one.rows
    rows = [replace(low, at=("fixed", 1)), replace(high, at=("fixed", 64)), level]
    one = replace(one, rows=rows, curves=("a",), over="rank", columns=(Column("height", "a"),))
    (outcome,) = run([one], lab, Kept(tmp_path, "S", "d"), lambda _: None)
    trials = {trial.label: trial for trial in pictures._points(outcome)}
    assert [row["a"] for row in trials["fixed"].runs[1]] == [3.0, 4.0]
    assert [(row["step"], row["a"]) for row in trials["bp"].runs[0]] == [(1, 5.0), (64, 5.0)]
    text = (pictures.drawn(outcome) or b"").decode()
    for word in ("height", "rank", "fixed", "bp", "1", "64"):
        assert f">{word}</text>" in text, word
    assert ">step</text>" not in text


def test_results_depend_on_the_files_of_a_study(mine: Path) -> None:
    backend = find_backend("reference")
    before = digest(mine, backend)
    assert digest(mine, backend) == before
    (mine / "net.fac.yaml").write_text("fac: 1\n")
    assert digest(mine, backend) != before
    assert digest(mine, find_backend("torch")) != digest(mine, backend)


def test_a_study_of_ones_own(mine: Path, run: Fac) -> None:
    status, out, err = run("study", "./mine", "--short", "--backend", "reference")
    assert status == 0, err
    assert "| bp | " in out
    assert Path("studies/mine-short/results.md").read_text() == out.removesuffix("\n")
    assert "Digits: bp, seed 0" in err
    status, _, err = run("study", "./mine", "--short", "--backend", "reference")
    assert status == 0
    assert "1 runs are there already" in err
    assert "seed 0" not in err


def test_what_does_not_come_out_is_exit_status_1(mine: Path, run: Fac) -> None:
    (mine / "study.py").write_text(OWN.format(low=99))
    status, out, _ = run("study", "./mine", "--short", "--backend", "reference")
    assert status == 1
    assert "✗ bp: test_accuracy between 99 and 100" in out


def test_bad_names_and_files_are_one_message(mine: Path, run: Fac) -> None:
    status, _, err = run("study", "nothing")
    assert (status, err.count("\n")) == (2, 1)
    assert "no study is called `nothing`: there are `" in err
    assert run("study", "./nothing")[2] == "fac: `./nothing` is no study: there is no `study.py` in it\n"
    (mine / "study.py").write_text("1 / 0")
    assert "fails: ZeroDivisionError" in run("study", "./mine")[2]
    (mine / "study.py").write_text("STUDY = 1")
    assert "has to define `STUDY = Study(...)`" in run("study", "./mine")[2]


MISTAKES = {
    "no measure": ("lambda lab, seed: 1 / 0", "row `r` of `T`, seed 0, fails: ZeroDivisionError"),
    "an exit": ("lambda lab, seed: sys.exit(0)", "row `r` of `T`, seed 0, fails: SystemExit"),
    "nothing": (
        "lambda lab, seed: None",
        "row `r` of `T`, seed 0, gives NoneType where a Measured is needed",
    ),
    "a text": ("lambda lab, seed: Measured({'a': 'x'})", "row `r` of `T`, seed 0, fails: ValueError"),
}


@pytest.mark.parametrize(("measure", "said"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_of_a_study_is_one_message(measure: str, said: str, mine: Path, run: Fac) -> None:
    (mine / "study.py").write_text(
        "import sys\nfrom fac.studies import Measured, Row, Study, Table\n"
        f"STUDY = Study('S', '', lambda short: [Table('T', [Row('r', {measure})], [])])\n"
    )
    status, _, err = run("study", "./mine", "--backend", "reference")
    assert status == 2
    assert said in err
    assert err.count("\n") == 1
    assert "FAC_TRACEBACK=1 shows where" in err or "NoneType" in err


def test_a_column_that_no_run_has_is_refused(tmp_path: Path, lab: Lab) -> None:
    one, _ = table({"x": [1.0]})
    wrong = replace(one, columns=(Column("a", "aa"),))
    with pytest.raises(FacError, match=r"column `a` of `T`: no run has a figure `aa`; did you mean `a`\?"):
        run([wrong], lab, Kept(tmp_path, "S", "d"), lambda _: None)


def test_numbers_of_numpy_are_numbers(tmp_path: Path, lab: Lab) -> None:
    figures: Any = {"a": np.float32(0.5)}
    curves: Any = {"c": np.arange(2)}
    row = Row("x", lambda lab, seed: Measured(figures, curves))
    run([Table("T", [row], ())], lab, Kept(tmp_path, "S", "d"), lambda _: None)
    assert Kept(tmp_path, "S", "d").found["T", "x", 0] == Measured({"a": 0.5}, {"c": (0.0, 1.0)})


def test_what_cannot_be_written_is_said_before_anything_is_measured(mine: Path, run: Fac) -> None:
    Path("file").write_text("")
    assert "`file` is a file, where a folder is needed" in run("study", "./mine", "--out", "file")[2]
    assert run("study", "./mine", "--short", "--backend", "reference", "--out", "o")[0] == 0
    Path("o/results.md").unlink()
    Path("o/results.md").mkdir()
    Path("o/measured.jsonl").write_text("")
    status, _, err = run("study", "./mine", "--short", "--backend", "reference", "--out", "o")
    assert status == 2
    assert "`o/results.md` is no file that may be written" in err
    assert Path("o/measured.jsonl").read_text() == ""


def test_without_a_name_all_are_listed(run: Fac) -> None:
    status, out, _ = run("study")
    assert status == 0
    assert [line.split()[0] for line in out.splitlines()] == list(names())


@pytest.mark.parametrize("path", SPECS, ids=[f"{path.parent.name}/{path.name}" for path in SPECS])
def test_specs_of_a_study_are_clean_and_called_like_their_files(path: Path) -> None:
    assert fac.check(path) == ()
    assert fac.load(path).name == path.name.removesuffix(".fac.yaml").replace("_", "-")
    schema = path.read_text().splitlines()[0].partition("$schema=")[2]
    assert (path.parent / schema).is_file()


@pytest.mark.parametrize("name", PAPERS)
def test_a_study_has_a_page_of_words_and_one_of_results(name: str) -> None:
    folder = folder_of(name)
    words, results = (folder / "README.md").read_text(), (folder / "results.md").read_text()
    assert f"`fac study {name} --short`" in words
    assert f"# {read(folder).title}\n" in results
    study = read(folder)
    for part in study.tables(True) if isinstance(study, Study) else study.tasks(True):
        assert f"## {part.title}\n" in results
    assert f"papers/{name}/README.md" in (Path(fac.__file__).parents[1] / "docs" / "studies.md").read_text()


@pytest.mark.parametrize("name", PAPERS)
def test_the_short_form_bears_out_what_the_study_claims(name: str, run: Fac) -> None:
    status, out, err = run("study", name, "--short", "--backend", "torch")
    assert status == 0, err
    assert "✓" in out
    assert "✗" not in out
