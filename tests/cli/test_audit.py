"""`fac evaluate --audit`."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., tuple[int, str, str]]
REFERENCE = ("--backend", "reference")


def test_a_cosine_that_the_last_layer_makes_alone_is_said(run: Run, spec: Path) -> None:
    weak = ("--set", "feedback={rule: dfa, scale: 0.0001}")
    assert run("train", spec, *REFERENCE, *weak, "--out", "r")[0] == 0
    status, out, _err = run("evaluate", "r", *REFERENCE, "--audit")
    (mark,) = [line for line in out.splitlines() if line.startswith(" ! ")]
    assert (status, mark.startswith(" ! `logits` makes 100 % of the cosine")) == (0, True)
    found = json.loads(run("evaluate", "r", *REFERENCE, "--audit", "--json")[1])["audit"]
    assert [f" ! {line}" for line in found["said"]] == [mark]
    assert found["routed"]["fc1"] < 1e-3 * found["routed"]["logits"]
    assert "audit" not in json.loads(run("evaluate", "r", *REFERENCE, "--json")[1])


def test_of_a_rule_that_learns_it_says_figures_alone(run: Run, spec: Path) -> None:
    assert run("train", spec, *REFERENCE, "--set", "feedback={rule: bp}", "--out", "r")[0] == 0
    lines = run("evaluate", "r", *REFERENCE, "--audit")[1].partition("audit:\n")[2].splitlines()
    assert len(lines) == 2
    assert lines[0].endswith("cosine 1.00")
    assert not any(" ! " in line for line in lines)


DEEP = """\
fac: 1
name: deep
input: {shape: [8, 8]}
layers:
  - {kind: flatten}
  - {kind: linear, name: fc1, out: 24}
  - {kind: tanh}
  - {kind: linear, name: fc2, out: 16}
  - {kind: tanh}
  - {kind: linear, name: logits, out: 10}
loss: {kind: cross_entropy}
feedback: {rule: dfa, scale: 0.0001}
update: {rule: sgd, lr: 0.05, momentum: 0.9}
data: {source: digits}
train: {epochs: 1, batch: 64}
"""


def test_a_comparison_has_both_arms_and_names_what_does_not_beat_them(run: Run, tmp_path: Path) -> None:
    (tmp_path / "deep.fac.yaml").write_text(DEEP)
    shown = ("compare", "deep.fac.yaml", *REFERENCE, "--rules", "own,bp", "--seeds", 2, "--out", "kept")
    status, out, _err = run(*shown)
    lines = out.splitlines()
    assert (status, [line.split()[0] for line in lines[1:5]]) == (0, ["own", "bp", "shallow", "frozen"])
    assert any(line.startswith(" audit: own, seed 0: `logits` makes 100 %") for line in lines)
    assert not any("!" in line for line in lines), "the mark is about accuracies"
    assert (
        " `shallow` and `frozen` are trained for the audit, see docs/audit.md; `--no-audit` leaves that out"
        in lines
    )
    (word,) = [line for line in lines if "not shown to beat" in line]
    assert word.startswith(" `own` is not shown to beat `shallow` (")
    assert any(line.startswith(" `own` is shown to be worse than `frozen` (") for line in lines)
    found = json.loads(Path("kept/results.json").read_text())
    assert [run["audit"]["cosine"]["fc1"] for run in found["runs"] if run["name"] == "bp"] == pytest.approx(
        [1.0, 1.0], abs=1e-12
    )
    assert run(*shown)[1] == out, "also from what is kept"


def test_arms_that_leave_nothing_untrained_are_left_out(run: Run, spec: Path) -> None:
    rows = ("--rules", "fa", "--seeds", 1, "--json")
    found = json.loads(run("compare", spec, *REFERENCE, *rows)[1])
    assert [row["name"] for row in found["rows"]] == ["fa", "shallow"], "`frozen` has two layers that learn"
    assert found["runs"][0]["audit"]["true"].keys() == {"fc1", "logits"}
    found = json.loads(run("compare", spec, *REFERENCE, *rows, "--no-audit")[1])
    assert ([row["name"] for row in found["rows"]], found["runs"][0]["audit"]) == (["fa"], None)


def test_specs_that_differ_in_feedback_share_their_arms(run: Run, tmp_path: Path) -> None:
    (tmp_path / "one.fac.yaml").write_text(DEEP)
    (tmp_path / "two.fac.yaml").write_text(DEEP.replace("name: deep", "name: two").replace("0.0001", "1.0"))
    found = json.loads(run("compare", "one.fac.yaml", "two.fac.yaml", *REFERENCE, "--seeds", 1, "--json")[1])
    assert [row["name"] for row in found["rows"]] == ["deep own", "two dfa", "deep shallow", "deep frozen"]


def test_rules_with_rates_of_their_own_are_held_against_arms_with_these(run: Run, tmp_path: Path) -> None:
    (tmp_path / "deep.fac.yaml").write_text(DEEP)
    rates = ("--rules", "bp,fa,dfa", "--rate", "fa=1e-6", "--rate", "dfa=0.02")
    status, out, _err = run("compare", "deep.fac.yaml", *REFERENCE, *rates, "--seeds", 2, "--out", "kept")
    lines = [line.strip() for line in out.splitlines()]
    assert status == 0
    assert lines[0].split("  ")[:1] == ["rule"]
    assert "learning rate" in lines[0]
    assert [line.split("  ")[0] for line in lines[1:8]] == [
        "bp",
        "fa",
        "dfa",
        "shallow",
        "frozen",
        "shallow as dfa",
        "frozen as dfa",
    ]
    assert (
        "each rule is held against the arms with its own settings: `shallow` beside `fa`; `frozen` beside `fa`; "
        "`shallow as dfa` beside `dfa`; `frozen as dfa` beside `dfa`" in lines
    )
    assert any(line.startswith("`fa` is not shown to beat") for line in lines)
    found = json.loads(Path("kept/results.json").read_text())
    assert [row["lr"] for row in found["rows"]] == [0.05, 1e-6, 0.02, 1e-6, 1e-6, 0.02, 0.02]
    status, out, _err = run(
        "compare", "deep.fac.yaml", *REFERENCE, *rates, "--rate", "shallow=0.1", "--seeds", 1
    )
    assert status == 0
    assert [line.split()[0] for line in out.splitlines()[1:7]] == [
        "bp",
        "fa",
        "dfa",
        "shallow",
        "frozen",
        "frozen",
    ]
    assert "a single seed does not show that a rule beats `shallow` or `frozen`" in out


def test_settings_of_the_update_for_feedback_leave_a_rule_its_arms(run: Run, tmp_path: Path) -> None:
    """They are a part of the rule, and no arm has feedback that they could be about."""
    slow = DEEP.replace(", momentum: 0.9}", "}").replace(
        "{rule: dfa, scale: 0.0001}", "{rule: ldfa, rank: 1}"
    )
    groups = slow.replace("lr: 0.05}", "lr: 0.05, groups: [{match: '*.feedback.*', lr_scale: 0.1}]}")
    (tmp_path / "deep.fac.yaml").write_text(slow)
    (tmp_path / "groups.fac.yaml").write_text(groups.replace("name: deep", "name: groups"))
    out = run("compare", "groups.fac.yaml", *REFERENCE, "--rules", "own", "--seeds", 2)[1]
    assert re.search(r"`own` is (not shown to beat|shown to be worse than) `frozen`", out)
    out = run("compare", "deep.fac.yaml", "groups.fac.yaml", *REFERENCE, "--seeds", 2)[1]
    (deep,) = [line for line in out.splitlines() if line.startswith(" `groups ldfa` is") and "frozen" in line]
    assert "`deep frozen`" in deep, "it is called as its row"
    assert "groups frozen" not in out


def test_files_of_results_say_what_the_table_warns_of(run: Run, tmp_path: Path) -> None:
    (tmp_path / "deep.fac.yaml").write_text(DEEP)
    run(
        "compare",
        "deep.fac.yaml",
        *REFERENCE,
        "--seeds",
        1,
        "--no-audit",
        "--set",
        "update.lr=1e-6",
        "--out",
        "a",
    )
    line, *_ = csv.DictReader(Path("a/results.csv").read_text().splitlines())
    assert (line["problem"], line["warnings"].split()) == ("", ["chance"])
    run("compare", "deep.fac.yaml", *REFERENCE, "--seeds", 1, "--out", "b")
    line, *_ = csv.DictReader(Path("b/results.csv").read_text().splitlines())
    assert "dominance" in line["warnings"].split()
    audit = json.loads(Path("b/results.json").read_text())["runs"][0]["audit"]
    assert any("makes 100 % of the cosine" in text for text in audit["said"])
