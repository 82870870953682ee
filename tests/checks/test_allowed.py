"""FAC354: what counts as a rule, an operator or a way to learn."""

from __future__ import annotations

from typing import Any

import pytest

from fac.checks.allowed import rule_not_allowed
from fac.diagnostics import dotted
from fac.pipeline import load
from fac.program.lower import lower

SPEC: dict[str, Any] = {
    "fac": 1,
    "name": "example",
    "input": {"shape": (8,)},
    "layers": (
        {"kind": "linear", "name": "fc1", "out": 8},
        {"kind": "relu"},
        {"kind": "linear", "name": "fc2", "out": 8},
        {"kind": "linear", "name": "logits", "out": 4},
    ),
    "loss": {"kind": "cross_entropy"},
    "update": {"rule": "sgd", "lr": 0.1},
}
LOW_RANK = {"kind": "low_rank", "rank": 2, "read": {"rule": "oja"}}
NOTHING = {"allowed_rules": (), "allowed_matrices": (), "allowed_learning": ()}


def found(feedback: Any, **constraints: Any) -> list[tuple[str, str]]:
    """The name that is not allowed, and where it stands."""
    more = {} if feedback is None else {"feedback": feedback}
    spec = load(SPEC | more | {"constraints": constraints or NOTHING})
    return [(d.message.split("`")[1], dotted(d.path)) for d in rule_not_allowed(lower(spec))]


@pytest.mark.parametrize(
    ("feedback", "expected"),
    [
        (None, [("bp", "constraints.allowed_rules")]),
        ((), [("bp", "constraints.allowed_rules")]),
        ({"routes": ()}, [("bp", "constraints.allowed_rules")]),
        ({"rule": "bp"}, [("bp", "feedback.rule")]),
        ({"rule": "shallow"}, [("shallow", "feedback.rule")]),
        (
            {"rule": "fa", "learn": {"rule": "kolen_pollack"}},
            [("fa", "feedback.rule"), ("random", "feedback.rule"), ("kolen_pollack", "feedback.learn")],
        ),
        (
            {"rule": "dfa"},
            [("dfa", "feedback.rule"), ("random", "feedback.rule"), ("fixed", "feedback.rule")],
        ),
        (
            {"rule": "ldfa", "rank": 2, "learn": "local"},
            [
                ("ldfa", "feedback.rule"),
                ("low_rank", "feedback.rule"),
                ("local", "feedback.learn"),
                ("kolen_pollack", "feedback.learn"),
            ],
        ),
        (
            ({"rule": "fa", "nodes": "fc2"}, {"routes": ({"through": "logits", "matrix": LOW_RANK},)}),
            [
                ("fa", "feedback[0].rule"),
                ("routes", "feedback[1].routes"),
                ("random", "feedback[0].rule"),
                ("fixed", "feedback[0].rule"),
                ("low_rank", "feedback[1].routes[0].matrix.kind"),
                ("oja", "feedback[1].routes[0].matrix.read.rule"),
                ("kolen_pollack", "feedback[1].routes[0].matrix.write.rule"),
            ],
        ),
        (
            {
                "subspaces": ({"name": "task", "rank": 2, "basis": {"rule": "oja"}},),
                "routes": ({"to": "fc1", "from": "task", "matrix": {"kind": "random"}},),
            },
            [
                ("routes", "feedback.routes"),
                ("random", "feedback.routes[0].matrix.kind"),
                ("fixed", "feedback.routes[0].matrix.learn.rule"),
                ("oja", "feedback.subspaces[0].basis.rule"),
            ],
        ),
        (
            {"routes": ({"through": "fc*", "matrix": {"kind": "transpose"}},)},
            [("routes", "feedback.routes"), ("transpose", "feedback.routes[0].matrix.kind")],
        ),
    ],
)
def test_every_name_is_looked_up(feedback: Any, expected: list[tuple[str, str]]) -> None:
    assert found(feedback) == expected
    everything = {
        "allowed_rules": ("bp", "fa", "dfa", "ldfa", "shallow", "routes"),
        "allowed_matrices": ("random", "low_rank", "transpose"),
        "allowed_learning": ("fixed", "oja", "kolen_pollack", "local"),
    }
    assert found(feedback, **everything) == []


def test_without_a_list_everything_is_allowed() -> None:
    assert found({"rule": "dfa"}, max_rank=9) == []


def test_the_help_says_what_may_be_used() -> None:
    spec = load(SPEC | {"constraints": {"allowed_rules": ("ldfa", "fa"), "allowed_matrices": ()}})
    (found,) = rule_not_allowed(lower(spec))
    assert found.help == "use `ldfa` or `fa`"
    for names, choice in (
        (("routes",), "routes written out"),
        (("routes", "fa"), "`fa` or routes written out"),
    ):
        spec = load(SPEC | {"feedback": {"rule": "dfa"}, "constraints": {"allowed_rules": names}})
        (found,) = rule_not_allowed(lower(spec))
        assert found.help == f"use {choice}"
    spec = load(SPEC | {"feedback": {"rule": "dfa"}, "constraints": {"allowed_matrices": ()}})
    (found,) = rule_not_allowed(lower(spec))
    assert found.help == "`allowed_matrices` allows nothing"
