"""Which trainings `fac compare` plans: what a row is called, and what it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import fac
from fac import plugins, source
from fac.diagnostics import FacError
from fac.experiments.variants import DEFAULT_RULES, variants
from fac.pipeline import lowered

Run = Callable[..., tuple[int, str, str]]
QUICK = ("--backend", "reference", "--set", "train.epochs=1", "--seeds", 1)
TABLE = "feedback: {rule: ldfa, rank: 9}"

OWN = (
    "{rule: dfa, nodes: [fc1], scale: 0.5, learn: {rule: kolen_pollack}}",
    "{rule: fa, scale: 2.0}",
    "{rule: ldfa, rank: 9, learn: local, scale: 0.5}",
    "{rule: direct_ldfa, rank: 9, rate: 0.5}",
    "{rule: shallow, nodes: [fc1]}",
    "[{rule: ldfa, rank: 9, nodes: [logits]}]",
    "{subspaces: [{name: s, rank: 3}], routes: [{to: fc1, from: s, matrix: {kind: random}}]}",
)
"""Feedback that is no rule with its default settings."""


@pytest.mark.parametrize("own", OWN)
def test_a_row_named_after_a_rule_is_that_rule_with_default_settings(spec: Path, own: str) -> None:
    """Whatever the spec's own feedback is. Default settings are those of the rule alone, with its rank."""
    document = source.override(source.read(spec), [f"feedback={own}"])
    for kind in plugins.kinds("fac.rules"):
        (found,) = variants([document], [kind.name], [9] if "rank" in kind.spec.model_fields else [])
        bare = {"rule": kind.name} | ({"rank": 9} if "rank" in kind.spec.model_fields else {})
        plain = lowered(source.override(document, [f"feedback={json.dumps(bare)}"]))
        made = lowered(found.seeded(0))
        assert found.name == kind.name
        assert made.spec.feedback == plain.spec.feedback
        assert (made.routes, made.subspaces, made.nodes) == (plain.routes, plain.subspaces, plain.nodes)
    rows = variants([document], None, [9])
    assert rows[0].rule == "own"
    assert {"bp", "fa", "dfa", "ldfa", "shallow"} <= {row.rule for row in rows}, (
        "none is left out for its own"
    )
    assert lowered(rows[0].seeded(0)).routes == lowered(document).routes


def test_the_row_dfa_is_dfa_where_the_spec_has_dfa_of_its_own(run: Run, spec: Path) -> None:
    def accuracies(feedback: str, rules: str) -> list[float]:
        spec.write_text(spec.read_text().replace(TABLE, f"feedback: {feedback}"))
        found = json.loads(run("compare", spec, *QUICK, "--no-audit", "--rules", rules, "--json")[1])
        spec.write_text(spec.read_text().replace(f"feedback: {feedback}", TABLE))
        return [row["test_loss"]["values"][0] for row in found["rows"]]

    own, dfa = accuracies("{rule: dfa, scale: 8.0, nodes: [fc1]}", "own,dfa")
    (plain,) = accuracies("{rule: bp}", "dfa")
    assert dfa == plain != own


def test_several_ranks_are_several_rows(run: Run, spec: Path) -> None:
    for asked in (("--rank", 2, "--rank", 4), ("--rank", "2,4"), ("--rank", "2, 4", "--rank", 2)):
        status, out, err = run(
            "compare", spec, *QUICK, "--no-audit", *asked, "--rules", "ldfa,bp,direct_ldfa,own", "--json"
        )
        assert status == 0
        rows = json.loads(out)["rows"]
        assert [(row["name"], row["rule"], row["rank"], row["ranks"]) for row in rows] == [
            ("ldfa rank 2", "ldfa", 2, [2]),
            ("ldfa rank 4", "ldfa", 4, [4]),
            ("bp", "bp", None, []),
            ("direct_ldfa rank 2", "direct_ldfa", 2, [2]),
            ("direct_ldfa rank 4", "direct_ldfa", 4, [4]),
            ("own", "own", 9, [9]),
        ]
        assert ("`2` stands 2 times in `--rank`: it is trained once" in err) == (
            len(asked) == 4 and asked[3] == 2
        )
    table = run("compare", spec, *QUICK, "--no-audit", "--rank", "2,4", "--rules", "ldfa")[1].splitlines()
    assert [line.split()[:4] for line in table[1:3]] == [
        ["ldfa", "rank", "2", "2"],
        ["ldfa", "rank", "4", "4"],
    ]


def test_a_rank_stands_beside_the_spec_s_own(spec: Path) -> None:
    document = source.read(spec)
    assert [row.name for row in variants([document], None, [9])] == ["ldfa", "bp", "fa", "dfa", "shallow"]
    names = [row.name for row in variants([document], None, [4, 9])]
    assert names == ["ldfa rank 9", "bp", "fa", "dfa", "ldfa rank 4", "shallow"]


def test_a_rank_that_no_row_takes_is_refused(run: Run, spec: Path) -> None:
    for arguments in ((spec, "--rules", "bp,own"), (spec, spec)):
        status, out, err = run("compare", *arguments, *QUICK, "--no-audit", "--rank", 4)
        assert (status, out) == (2, "")
        assert "nothing that is compared here takes the `--rank`" in err
    for rank in ("0", "2,x", ""):
        status, _, err = run("compare", spec, *QUICK, "--no-audit", "--rank", rank)
        assert status == 2
        assert "Invalid value for '--rank'" in err


def test_ranks_that_are_clipped_to_one_are_said(run: Run, spec: Path) -> None:
    found = json.loads(
        run("compare", spec, *QUICK, "--no-audit", "--rules", "ldfa", "--rank", "12,16,4", "--json")[1]
    )
    assert [(row["rank"], row["ranks"]) for row in found["rows"]] == [(12, [10]), (16, [10]), (4, [4])]
    twins = [note for note in found["notes"] if "one training" in note]
    assert twins == ["`ldfa rank 12` and `ldfa rank 16` are one training under two names"]


def test_rules_that_are_given_twice_are_trained_once_and_that_is_said(run: Run, spec: Path) -> None:
    rules = ("--rules", "bp", "--rules", "shallow, fa", "--rules", "bp")
    _, out, err = run("compare", spec, *QUICK, "--no-audit", *rules, "--json")
    assert [row["rule"] for row in json.loads(out)["rows"]] == ["bp", "shallow", "fa"]
    assert "`bp` stands 2 times in `--rules`: it is trained once" in err


def test_a_default_rule_that_is_left_out_is_said(run: Run, spec: Path) -> None:
    _, out, _ = run("compare", spec, *QUICK, "--no-audit", "--set", "feedback={rule: bp}")
    assert "no `ldfa` row: it needs a rank, and the spec does not give one; add `--rank 10`" in out


def test_settings_for_feedback_that_a_row_does_not_have_do_not_stop_it(run: Run, spec: Path) -> None:
    groups = 'update.groups=[{match: "fc1.*", lr_scale: 0.5}, {match: "*.feedback.*", lr_scale: 0.5}]'
    status, out, _ = run("compare", spec, *QUICK, "--no-audit", "--set", groups, "--rules", "own,bp,ldfa")
    assert status == 0
    assert [line.split()[0] for line in out.splitlines()[1:4]] == ["own", "bp", "ldfa"]
    document = source.override(source.read(spec), [groups])
    kept = [lowered(v.seeded(0)).groups for v in variants([document], ["bp", "ldfa"])]
    assert [[group.match for group in found] for found in kept] == [["fc1.*"], ["fc1.*", "*.feedback.*"]]


def test_what_a_later_row_cannot_do_is_said_before_the_first_training(run: Run, spec: Path) -> None:
    other = spec.with_name("other.fac.yaml")
    other.write_text(
        spec.read_text().replace("{source: digits}", "{source: arrays, train: no.npz, test: no.npz}")
    )
    status, out, err = run("compare", spec, other, *QUICK, "--no-audit")
    assert (status, out) == (2, "")
    assert "no.npz" in err
    assert "seed 0" not in err


def test_variants_start_from_the_same_forward_weights(spec: Path) -> None:
    document = source.read(spec)
    states = [
        fac.compile(variant.seeded(4), "reference").open().state()
        for variant in variants([document], DEFAULT_RULES)
    ]
    for name in ("fc1.weight", "fc1.bias", "logits.weight", "logits.bias"):
        assert all(np.array_equal(state[name], states[0][name]) for state in states)
    other = fac.compile(variants([document], ["bp"])[0].seeded(5), "reference").open().state()
    assert not np.array_equal(other["fc1.weight"], states[0]["fc1.weight"])


def test_own_is_what_the_spec_declares(run: Run, spec: Path) -> None:
    written = "feedback: {routes: [{through: logits, matrix: {kind: random}}]}"
    spec.write_text(spec.read_text().replace("feedback: {rule: ldfa, rank: 9}", written))
    status, out, _ = run("compare", spec, *QUICK, "--no-audit", "--rules", "own,bp", "--seeds", 1)
    assert status == 0
    assert [line.split()[0] for line in out.splitlines()[1:3]] == ["own", "bp"]
    document = source.read(spec)
    own, _ = variants([document], ["own", "bp"])
    assert (own.rule, own.name, own.document) == ("own", "own", document)
    assert variants([document], None, [4])[0].rule == "own"
    assert "`own`" in run("compare", "--help")[1]


def test_a_rank_that_nobody_gives(spec: Path) -> None:
    document = source.override(source.read(spec), ["feedback={rule: bp}"])
    with pytest.raises(FacError, match=r"rule `ldfa` needs a rank, and `.*` gives none: add `--rank 10`"):
        variants([document], ["ldfa"])
    assert [v.rule for v in variants([document], None)] == ["bp", "fa", "dfa", "shallow"]
    assert [v.rule for v in variants([document], None, [4])] == ["bp", "fa", "dfa", "ldfa", "shallow"]


def test_constraints_of_the_spec_do_not_bind_what_it_is_compared_with(run: Run, spec: Path) -> None:
    spec.write_text(spec.read_text() + "constraints: {no_weight_transport: true}\n")
    assert run("compare", spec, *QUICK, "--no-audit", "--rules", "bp,shallow", "--seeds", 1)[0] == 0


def test_rows_of_specs_of_one_name_are_told_apart(run: Run, spec: Path, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.fac.yaml").write_text(spec.read_text())
    (tmp_path / "other.fac.yaml").write_text(spec.read_text().replace("digits-small", "other"))
    shared = (*QUICK, "--no-audit", "--seeds", 1)
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
