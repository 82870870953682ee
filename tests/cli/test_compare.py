from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import fac
from fac import source
from fac.cli.variants import DEFAULT_RULES, variants
from fac.diagnostics import FacError

Run = Callable[..., tuple[int, str, str]]
QUICK = ("--backend", "reference", "--set", "train.epochs=1")


def test_one_spec_is_set_beside_the_default_rules(run: Run, spec: Path) -> None:
    status, out, err = run("compare", spec, *QUICK, "--seeds", 2)
    assert status == 0
    lines = out.splitlines()
    header = ("rule", "rank", "backward MACs vs bp", "test accuracy %", "ms per step")
    assert lines[0].split() == " ".join(header).split()
    assert [line.split()[0] for line in lines[1:]] == ["ldfa", "bp", "fa", "dfa", "shallow"]
    assert lines[1].split()[1] == "9"
    assert " 1.00 " in lines[2]
    assert all(" ± " in line for line in lines[1:])
    assert "1/5  ldfa seed 0  acc " in err
    assert "5/5  shallow seed 1  acc " in err


def test_json(run: Run, spec: Path) -> None:
    rules = ("--rules", "bp,ldfa", "--rank", 3, "--seeds", 2, "--set", "train.seed=5")
    status, out, _ = run("compare", spec, *QUICK, *rules, "--json")
    assert status == 0
    (line,) = out.splitlines()
    found = json.loads(line)
    assert (found["backend"], found["device"], found["seeds"]) == ("reference", "cpu", [5, 6])
    assert "no `shallow` row" in found["notes"][0]
    bp, ldfa = found["rows"]
    assert (bp["rule"], bp["rank"], bp["backward_macs_vs_backprop"]) == ("bp", None, 1.0)
    assert (ldfa["rule"], ldfa["rank"]) == ("ldfa", "3")
    values = ldfa["test_accuracy"]["values"]
    assert len(values) == 2
    assert ldfa["test_accuracy"]["mean"] == pytest.approx(np.mean(values))
    assert ldfa["test_accuracy"]["sd"] == pytest.approx(np.std(values, ddof=1))


def test_json_holds_the_history_of_each_run(run: Run, spec: Path) -> None:
    two = ("--backend", "reference", "--set", "train.epochs=2", "--seeds", 2)
    found = json.loads(run("compare", spec, *two, "--rules", "bp,ldfa", "--json")[1])
    runs = found["runs"]
    assert [(r["row"], r["seed"]) for r in runs] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    for one in runs:
        row = found["rows"][one["row"]]
        assert [e["epoch"] for e in one["epochs"]] == [1, 2]
        assert one["epochs"][-1]["test_accuracy"] == row["test_accuracy"]["values"][one["seed"]]
    assert "fc1.error.cosine" in runs[2]["epochs"][0]
    assert runs[0]["epochs"][0]["fc1.error.cosine"] == pytest.approx(1), "backprop agrees with itself"
    trained = json.loads(run("train", spec, *QUICK, "--set", "train.epochs=2", "--out", "kept", "--json")[1])
    lines = [json.loads(line) for line in Path(trained["out"], "metrics.jsonl").read_text().splitlines()]
    timed = ("seconds", "step_ms")
    for line, epoch in zip(lines, runs[2]["epochs"], strict=True):
        assert {k: v for k, v in line.items() if k not in timed} == {
            k: v for k, v in epoch.items() if k not in timed
        }


def test_a_run_that_diverged_has_no_history(run: Run, spec: Path) -> None:
    wild = (*QUICK, "--rules", "bp,shallow", "--seeds", 1, "--set", "update.lr=1e300", "--json")
    found = json.loads(run("compare", spec, *wild)[1])
    assert found["rows"][0]["problem"]
    assert all(found["rows"][one["row"]]["problem"] is None for one in found["runs"])


def test_rules_may_be_given_several_times(run: Run, spec: Path) -> None:
    rules = ("--rules", "bp", "--rules", "shallow, fa", "--rules", "bp")
    found = json.loads(run("compare", spec, *QUICK, *rules, "--seeds", 1, "--json")[1])
    assert [row["rule"] for row in found["rows"]] == ["bp", "shallow", "fa"]


def test_rows_of_specs_of_one_name_are_told_apart(run: Run, spec: Path, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.fac.yaml").write_text(spec.read_text())
    (tmp_path / "other.fac.yaml").write_text(spec.read_text().replace("digits-small", "other"))
    shared = (*QUICK, "--seeds", 1)
    for specs, titles in (
        (("a/x.fac.yaml", "small.fac.yaml"), ["x.fac.yaml", "small.fac.yaml"]),
        (("a/x.fac.yaml", "b/x.fac.yaml", "other.fac.yaml"), ["a/x.fac.yaml", "b/x.fac.yaml", "other"]),
        (("other.fac.yaml", "./other.fac.yaml"), ["other.fac.yaml", "./other.fac.yaml"]),
        (("other.fac.yaml", "other.fac.yaml"), ["other.fac.yaml", "other.fac.yaml #2"]),
    ):
        _, out, err = run("compare", *specs, *shared, "--rules", "shallow")
        lines = out.splitlines()
        end = lines[0].index("rule")
        assert [line[:end].strip() for line in lines[1 : 1 + len(specs)]] == titles
        assert f"1/{len(specs)}  {titles[0]} shallow seed 0  acc " in err
    found = json.loads(run("compare", "a/x.fac.yaml", "b/x.fac.yaml", *shared, "--json")[1])
    assert [(row["spec"], row["file"]) for row in found["rows"]] == [
        ("digits-small", "a/x.fac.yaml"),
        ("digits-small", "b/x.fac.yaml"),
    ]


def test_a_row_is_what_train_gives(run: Run, spec: Path) -> None:
    trained = json.loads(run("train", spec, *QUICK, "--set", "train.seed=1", "--json")[1])
    compared = json.loads(run("compare", spec, *QUICK, "--rules", "ldfa", "--json", "--seeds", 2)[1])
    assert compared["rows"][0]["test_loss"]["values"][1] == trained["test_loss"]


def test_several_specs_are_compared_as_they_are(run: Run, spec: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.fac.yaml"
    other.write_text(
        spec.read_text()
        .replace("{rule: ldfa, rank: 9}", "{rule: shallow}")
        .replace("digits-small", "other")
        .replace("batch: 64", "batch: 32")
    )
    status, out, _ = run("compare", spec, other, *QUICK, "--seeds", 1)
    assert status == 0
    lines = out.splitlines()
    assert lines[0].split()[:2] == ["spec", "rule"]
    assert lines[1].split()[:3] == ["digits-small", "ldfa", "9"]
    assert lines[2].split()[:3] == ["other", "shallow", "–"]
    assert (
        lines[3]
        == " the specs differ in `train.batch` or `train.epochs`, so their data order is not the same"
    )


def test_variants_start_from_the_same_forward_weights(spec: Path) -> None:
    document = source.read(spec)
    states = [
        fac.compile(variant.seeded(4), "reference").open().state()
        for variant in variants([document], DEFAULT_RULES, None)
    ]
    for name in ("fc1.weight", "fc1.bias", "logits.weight", "logits.bias"):
        assert all(np.array_equal(state[name], states[0][name]) for state in states)
    other = fac.compile(variants([document], ["bp"], None)[0].seeded(5), "reference").open().state()
    assert not np.array_equal(other["fc1.weight"], states[0]["fc1.weight"])


def test_own_settings_of_a_rule_are_kept(spec: Path) -> None:
    document = source.override(source.read(spec), ["feedback.learn=local"])
    kept, replaced = variants([document], ["ldfa", "direct_ldfa"], None)
    assert kept.document.data["feedback"] == {"rule": "ldfa", "rank": 9, "learn": "local"}
    assert replaced.document.data["feedback"] == {"rule": "direct_ldfa", "rank": 9}
    assert variants([document], ["ldfa"], 2)[0].document.data["feedback"]["rank"] == 2


def test_own_is_what_the_spec_declares(run: Run, spec: Path) -> None:
    written = "feedback: {routes: [{through: logits, matrix: {kind: random}}]}"
    spec.write_text(spec.read_text().replace("feedback: {rule: ldfa, rank: 9}", written))
    status, out, _ = run("compare", spec, *QUICK, "--rules", "own,bp", "--seeds", 1)
    assert status == 0
    assert [line.split()[0] for line in out.splitlines()[1:3]] == ["own", "bp"]
    document = source.read(spec)
    own, _ = variants([document], ["own", "bp"], None)
    assert (own.rule, own.document) == ("own", document)
    assert variants([document], None, 4)[0].rule == "own"
    assert "`own`" in run("compare", "--help")[1]


def test_a_rank_that_nobody_gives(spec: Path) -> None:
    document = source.override(source.read(spec), ["feedback={rule: bp}"])
    with pytest.raises(FacError, match=r"rule `ldfa` needs a rank, and `.*` gives none: add `--rank 10`"):
        variants([document], ["ldfa"], None)
    assert [v.rule for v in variants([document], None, None)] == ["bp", "fa", "dfa", "shallow"]
    assert [v.rule for v in variants([document], None, 4)] == ["bp", "fa", "dfa", "ldfa", "shallow"]


def test_constraints_of_the_spec_do_not_bind_what_it_is_compared_with(run: Run, spec: Path) -> None:
    spec.write_text(spec.read_text() + "constraints: {no_weight_transport: true}\n")
    assert run("compare", spec, *QUICK, "--rules", "bp,shallow", "--seeds", 1)[0] == 0


def test_a_variant_that_diverges_does_not_end_the_comparison(run: Run, spec: Path) -> None:
    status, out, err = run(
        "compare", spec, *QUICK, "--rules", "bp,shallow", "--seeds", 1, "--set", "update.lr=1e300"
    )
    assert status == 0
    assert out.splitlines()[1].split()[:4] == ["bp", "–", "1.00", "diverged"]
    assert "bp seed 0  diverged: the loss is " in err


def test_bad_calls(run: Run, spec: Path) -> None:
    assert run("compare")[0] == 2
    status, _, err = run("compare", spec, "--rules", "bp,fo")
    assert status == 2
    assert "no rule is called `fo`; installed are `bp`" in err
    spec.write_text(spec.read_text().replace("data: {source: digits}\n", ""))
    status, _, err = run("compare", spec, *QUICK)
    assert status == 2
    assert "says nothing about data" in err
