"""Comparison files: what they declare, and where what is wrong in one stands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import fac
from fac.diagnostics import FacError
from tests.cli.conftest import run, spec

__all__ = ["run", "spec"]

Run = Callable[..., tuple[int, str, str]]
FILE = """\
compare: 1
specs: [small.fac.yaml]
rules: [bp, ldfa]
ranks: [4, 9]
seeds: 2
contrasts: ["ldfa rank 4:bp"]
rates: {bp: 0.1, ldfa rank 9: 0.02}
budget: 30 trials for each rule
"""


def declared(text: str = FILE) -> str:
    Path("sub").mkdir(exist_ok=True)
    Path("sub/it.compare.yaml").write_text(text.replace("small.fac.yaml", "../small.fac.yaml"))
    return "sub/it.compare.yaml"


def test_a_file_declares_a_comparison(run: Run, spec: Path) -> None:
    brief = ("--backend", "reference", "--set", "train.epochs=1")
    status, out, err = run("compare", declared(), *brief, "--out", "kept")
    assert status == 0, err
    assert [line.split("  ")[0].strip() for line in out.splitlines()[1:4]] == [
        "bp",
        "ldfa rank 4",
        "ldfa rank 9",
    ]
    assert "ldfa rank 4 − bp" in out
    assert "tuning budget: 30 trials for each rule" in out
    assert "nobody says how" not in out
    lines = Path("kept/runs/01-bp-seed-0/spec.fac.yaml").read_text()
    assert "lr: 0.1" in lines
    assert "lr: 0.02" in Path("kept/runs/03-ldfa-rank-9-seed-1/spec.fac.yaml").read_text()
    assert "lr: 0.05" in Path("kept/runs/02-ldfa-rank-4-seed-1/spec.fac.yaml").read_text()


def test_rates_without_a_budget_are_said(run: Run, spec: Path) -> None:
    _, out, _ = run(
        "compare", spec, "--rules", "bp", "--seeds", 1, "--rate", "bp=0.2", "--backend", "reference"
    )
    assert "nobody says how they were tuned" in out


@pytest.mark.parametrize(
    ("old", "new", "place", "message"),
    [
        ("seeds: 2", "seedz: 2", "5:1", "did you mean `seeds`?"),
        ("compare: 1", "compare: 2", "1:10", "`compare`"),
        ("bp: 0.1", "bp: -1", "7:13", "must be greater than 0"),
        ("bp: 0.1", "bpp: 0.1", "7:9", "`bpp`, which is no rule and no row here"),
        ("4:bp", "4:fa", "6:13", "names no row `fa`"),
        ("[bp, ldfa]", "[bq]", "3:8", "no rule is called `bq`"),
        ("small.fac.yaml", "gone.fac.yaml", "2:9", "does not exist"),
        ("[small.fac.yaml]", "[]", "2:8", "there is no spec to compare"),
    ],
)
def test_what_is_wrong_is_shown_where_it_stands(
    run: Run, spec: Path, old: str, new: str, place: str, message: str
) -> None:
    assert old in FILE
    path = declared(FILE.replace(old, new))
    status, _, err = run("compare", path)
    assert status == 1, err
    assert message in err
    assert f"it.compare.yaml:{place}" in err
    status, out, err = run("check", path)
    assert status == 1, err
    assert message in out
    assert f"it.compare.yaml:{place}" in out


def test_it_stands_alone_and_options_do_not_change_it(run: Run, spec: Path) -> None:
    assert "give it alone" in run("compare", declared(), spec)[2]
    status, _, err = run("compare", declared(), "--seeds", 3)
    assert (status, "change its rules, ranks, seeds, contrasts, rates and audit there" in err) == (2, True)


def test_a_check_of_a_folder_finds_comparison_files_and_what_their_specs_are(run: Run, spec: Path) -> None:
    path = declared()
    status, out, err = run("check", path)
    assert (status, out) == (0, "no findings in 1 file\n"), err
    assert "2 files" in run("check")[1]
    spec.write_text(spec.read_text().replace("kind: relu", "kind: rely"))
    status, out, _ = run("check", path)
    assert status == 1
    assert "it.compare.yaml:2:9" in out
    assert "small.fac.yaml` has 1 error" in out


def test_python_compares_what_a_file_declares(run: Run, spec: Path) -> None:
    how: Any = {"backend": "reference", "overrides": ["train.epochs=1"]}
    found = fac.compare(declared(), **how)
    assert [row.variant.label for row in found.rows][:3] == ["bp", "ldfa rank 4", "ldfa rank 9"]
    assert found.contrasts
    with pytest.raises(FacError, match="change its rules, ranks, seeds"):
        fac.compare(declared(), seeds=5, **how)
    with pytest.raises(FacError, match="give it alone"):
        fac.compare([declared(), str(spec)], **how)
