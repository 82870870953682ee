"""Constraints of settings files: the tightest holds, and a nearer file can only tighten."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fac.diagnostics import FacError, Severity
from fac.lint.run import lint
from fac.lint.settings import Lookup, load
from fac.render.findings.concise import concise
from tests.lint.specs import document

SPEC = """\
fac: 1
name: example
input: {shape: [20]}
layers:
  - {kind: linear, name: fc1, out: 32}
  - {kind: relu}
  - {kind: linear, name: fc2, out: 16}
  - {kind: relu}
  - {kind: linear, name: logits, out: 10}
loss: {kind: cross_entropy}
update: {rule: sgd, lr: 0.1}
"""


CODES = ("FAC350", "FAC351", "FAC352", "FAC353", "FAC354", "FAC501", "FAC502")


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def report(constraints: dict[str, object], more: str = "", extends: dict[str, object] | None = None) -> str:
    """What is found of the spec under a `fac.toml` with these constraints."""
    text = f"[constraints]\n{_toml(constraints)}"
    if extends is not None:
        Path("policy.toml").write_text(f"[constraints]\n{_toml(extends)}")
        text = f"extends = 'policy.toml'\n{text}"
    Path("fac.toml").write_text(text)
    read = document(SPEC + more)
    return concise(read, (f for f in lint(read, load("fac.toml", ".")) if f.rule.code in CODES))


def _toml(table: dict[str, object]) -> str:
    """JSON of plain values is TOML, but for mappings."""
    return "".join(f"{key} = {json.dumps(value).replace(': ', ' = ')}\n" for key, value in table.items())


@pytest.mark.parametrize(
    ("constraints", "more", "expected"),
    [
        (
            {"no_weight_transport": True},
            "",
            "7:26: FAC350 errors pass through the forward weights of `fc2` and `logits`, "
            "which `no_weight_transport` in `fac.toml` forbids",
        ),
        (
            {"no_weight_transport": True},
            "feedback: {rule: fa, nodes: fc2}\n",
            "12:11: FAC350 errors pass through the forward weights of `logits`, "
            "which `no_weight_transport` in `fac.toml` forbids",
        ),
        (
            {"no_weight_transport": True},
            "feedback: {rule: ldfa, rank: 4, learn: normative}\n",
            "12:18: FAC350 the feedback of `fc2` and `logits` is made from forward weights, "
            "which `no_weight_transport` in `fac.toml` forbids",
        ),
        (
            {"max_rank": 4},
            "feedback: {rule: ldfa, rank: 8}\n",
            "12:30: FAC351 the feedback of `fc2` has rank 8, above the `max_rank` of 4 in `fac.toml`",
        ),
        (
            {"single_error_source": True},
            "feedback:\n  routes:\n    - {to: fc1, combine: add, matrix: {kind: random}}\n",
            "14:12: FAC352 `fc1` learns from a sum of the errors of `loss` and `fc2`, "
            "which `single_error_source` in `fac.toml` forbids",
        ),
        (
            {"max_skip": 0},
            "feedback: {rule: dfa}\n",
            "12:18: FAC353 the route from `loss` to `fc1` passes over 1 layer with weights, "
            "above the `max_skip` of 0 in `fac.toml`",
        ),
        (
            {"allowed_rules": ["ldfa"]},
            "",
            "4:1: FAC354 errors are exact: `bp` is not among the `allowed_rules` in `fac.toml`",
        ),
        (
            {"allowed_matrices": []},
            "feedback: {rule: dfa}\n",
            "12:18: FAC354 `random` is not among the `allowed_matrices` in `fac.toml`",
        ),
        (
            {"backward_macs_vs_backprop": {"at_most": 0.5}},
            "",
            "4:1: FAC501 the backward pass costs 1 times backprop's multiply-adds, above 0.5 in `fac.toml`",
        ),
        (
            {"backward_macs": {"at_most": 100000}},
            "train: {batch: 100}\n",
            "4:1: FAC501 the backward pass costs 198,400 multiply-adds at batch 100, above 100,000 in `fac.toml`",
        ),
        (
            {"peak_memory": {"at_most": "16 KiB"}},
            "feedback: {rule: dfa}\n",
            "12:11: FAC502 a step needs 68.95 KiB at once at batch 128, above 16 KiB in `fac.toml`",
        ),
    ],
)
def test_a_policy_is_named_and_points_into_the_spec(
    constraints: dict[str, object], more: str, expected: str
) -> None:
    assert report(constraints, more) == f"spec.fac.yaml:{expected}"


def test_the_spec_may_be_tighter_than_the_policy() -> None:
    more = "feedback: {rule: ldfa, rank: 8}\nconstraints: {max_rank: 4}\n"
    own = "spec.fac.yaml:12:30: FAC351 the feedback of `fc2` has rank 8, above the `max_rank` of 4"
    assert report({"max_rank": 6}, more) == own
    assert report({"max_rank": 4}, more) == own, "at a tie it is the spec's own"
    assert report({"max_rank": 2}, more) == own.replace("of 4", "of 2 in `fac.toml`")


def test_a_spec_cannot_switch_a_policy_off() -> None:
    found = report({"no_weight_transport": True}, "constraints: {no_weight_transport: false}\n")
    assert "which `no_weight_transport` in `fac.toml` forbids" in found


def test_of_two_lists_both_hold() -> None:
    more = "feedback: {rule: dfa}\nconstraints: {allowed_rules: [dfa, fa]}\n"
    assert "`dfa` is not among the `allowed_rules` in `fac.toml`" in report({"allowed_rules": ["fa"]}, more)
    assert report({"allowed_rules": ["dfa", "bp"]}, more) == ""
    more = more.replace("[dfa, fa]", "[fa]")
    assert report({"allowed_rules": ["dfa"]}, more).endswith("`dfa` is not among the `allowed_rules`")


# -- a chain -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("near", "far"),
    [
        ({"max_rank": 4}, {"max_rank": 8}),
        ({"max_skip": 0}, {"max_skip": 1}),
        ({"no_weight_transport": True}, {"no_weight_transport": False}),
        ({"allowed_rules": ["fa"]}, {"allowed_rules": ["dfa", "fa"]}),
        ({"peak_memory": {"at_most": "1 MB"}}, {"peak_memory": {"at_most": "1 MiB"}}),
        ({"peak_memory": {"at_most": 1000}}, {"peak_memory": {"at_most": "1 kB"}}),
        ({"backward_macs": {"at_most": 1e6}}, {"backward_macs": {"at_most": 1000001}}),
    ],
)
def test_a_nearer_file_may_tighten(near: dict[str, object], far: dict[str, object]) -> None:
    report(near, extends=far)


@pytest.mark.parametrize(
    ("near", "far", "message"),
    [
        ({"max_rank": 8}, {"max_rank": 4}, "`constraints.max_rank` is `8`, looser than the `4` of"),
        (
            {"single_error_source": False},
            {"single_error_source": True},
            "`constraints.single_error_source` is `false`, looser than the `true` of",
        ),
        (
            {"allowed_rules": ["fa", "bp"]},
            {"allowed_rules": ["fa", "dfa"]},
            "`constraints.allowed_rules` is `[fa, bp]`, looser than the `[fa, dfa]` of",
        ),
        (
            {"peak_memory": {"at_most": "2 GiB"}},
            {"peak_memory": {"at_most": "1.5 GiB"}},
            "`constraints.peak_memory` is `at_most = 2 GiB`, looser than the `at_most = 1.5 GiB` of",
        ),
    ],
)
def test_a_nearer_file_cannot_loosen(near: dict[str, object], far: dict[str, object], message: str) -> None:
    with pytest.raises(FacError) as caught:
        report(near, extends=far)
    assert str(caught.value) == f"`fac.toml`: {message} `policy.toml`: a policy can only be tightened"


def test_the_file_that_asks_for_most_is_named() -> None:
    more = "feedback: {rule: ldfa, rank: 8}\n"
    assert report({"max_rank": 4}, more, {"max_rank": 6}).endswith("of 4 in `fac.toml`")
    assert report({"max_rank": 4}, more, {"max_rank": 4}).endswith("of 4 in `policy.toml`")
    assert report({}, more, {"max_rank": 4}).endswith("of 4 in `policy.toml`")


def test_policies_of_the_folders_above_hold_too(root: Path) -> None:
    """A nearer settings file takes the place of the other settings; it cannot take a policy away."""
    (root / ".git").mkdir()
    (root / "a" / "b").mkdir(parents=True)
    (root / "fac.toml").write_text(
        "fail-on = 'warning'\n[constraints]\nmax_rank = 8\nmax_skip = 1\nallowed_rules = ['ldfa', 'dfa']\n"
    )
    (root / "a" / "fac.toml").write_text("")
    (root / "a" / "b" / "fac.toml").write_text(
        "[constraints]\nmax_rank = 16\nmax_skip = 0\nallowed_rules = ['dfa', 'fa']\n"
    )
    settings = Lookup().of("a/x.fac.yaml")
    assert [policy.constraints.max_rank for policy in settings.policy] == [None, 8]
    assert settings.fail_on == Severity.ERROR
    (root / "x.fac.yaml").write_text(SPEC)

    def told(feedback: str) -> list[str]:
        read = document(f"{SPEC}feedback: {feedback}\n")
        found = lint(read, Lookup().of("a/b/x.fac.yaml"))
        return [f.message.partition("`, ")[0] for f in found if f.rule.code in CODES]

    assert told("{rule: ldfa, rank: 9}") == [
        "the feedback of `fc2` has rank 9, above the `max_rank` of 8 in `fac.toml`",
        "`ldfa` is not among the `allowed_rules` in `a/b/fac.toml`",
    ]
    assert told("{rule: fa}")[-1] == "`fa` is not among the `allowed_rules` in `fac.toml`"
    assert told("{rule: dfa}")[-1] == (
        "the route from `loss` to `fc1` passes over 1 layer with weights, above the `max_skip` of 0 in `a/b/fac.toml`"
    )
    (root / "a" / ".git").mkdir()
    assert [policy.files for policy in Lookup().of("a/x.fac.yaml").policy] == [{}]
    assert [policy.files for policy in Lookup(config="a/fac.toml").of("x.fac.yaml").policy] == [{}]
