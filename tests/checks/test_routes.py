"""FAC303, FAC322, FAC323 and FAC324: routes that say too little or too much."""

from __future__ import annotations

from typing import Any

import pytest

from fac.checks.places import Guess, meant
from fac.diagnostics import Edit
from tests.checks.specs import NET, RANDOM, Layers, chain, diagnosed, found, linear, routes

ADD = {"to": "fc1", "combine": "add"}


@pytest.mark.parametrize(
    ("written", "place"),
    [
        ([ADD, ADD], "feedback.routes[1].to"),
        ([ADD, {**ADD, "from": "fc2"}], None),
        ([ADD, {**ADD, "at": "fc1"}], None),
        ([ADD, {**ADD, "at": "relu_1"}], "feedback.routes[1].to"),
        ([ADD, {**ADD, "matrix": RANDOM | {"scale": 2.0}}], None),
        ([ADD, {**ADD, "matrix": {"kind": "low_rank", "rank": 3}}], None),
        ([{"to": "fc*", "at": "relu_1", "combine": "add"}], None),
    ],
)
def test_equal_routes_add_up_to_one(written: list[dict[str, Any]], place: str | None) -> None:
    places = [p for code, p in found(feedback=routes(*written)) if code == "FAC322"]
    assert places == ([] if place is None else [place])


def test_routes_that_replace_have_another_finding() -> None:
    assert found(feedback=routes({"to": "fc1"}, {"to": "fc1"})) == [("FAC309", "feedback.routes[1].to")]


ONE: Layers = (linear("logits", 4),)
PARALLEL: Layers = (
    linear("left", 4),
    linear("right", 4, **{"from": "input"}),
    {"kind": "add", "name": "join", "from": ("left", "right")},
)


@pytest.mark.parametrize("rule", ["fa", "dfa", "ldfa", "direct_ldfa", "shallow", "bp"])
@pytest.mark.parametrize("layers", [ONE, PARALLEL, NET], ids=["one", "parallel", "deep"])
def test_rules_without_routes(layers: Layers, rule: str) -> None:
    feedback = {"rule": rule} | ({"rank": 3} if "ldfa" in rule else {})
    nothing = rule != "bp" and layers is not NET
    assert found(layers, feedback=feedback) == [("FAC323", "feedback.rule")] * nothing
    assert found(layers, feedback=(feedback,)) == [("FAC323", "feedback[0].rule")] * nothing


def test_a_rule_with_nodes_has_another_finding() -> None:
    assert found(feedback={"rule": "fa", "nodes": "fc1"}) == [("FAC314", "feedback.nodes")]
    for nodes in ("logits", "*"):
        assert found(ONE, feedback={"rule": "fa", "nodes": nodes}) == [("FAC314", "feedback.nodes")]


def test_a_network_without_shapes_is_not_judged() -> None:
    conv = {"kind": "conv2d", "name": "c1", "out": 4, "kernel": 3}
    data = {"feedback": {"rule": "dfa"}, "input": {"shape": (2, 3)}}
    assert found((conv, linear("out", 3)), **data) == [("FAC203", "layers[0].kind")]


def branched(*behind: dict[str, Any]) -> Layers:
    """`fc1` is read by what stands behind it, and by a join."""
    return (
        linear("fc1"),
        *behind,
        {"kind": "add", "name": "join", "from": ("fc1", behind[-1]["name"])},
        linear("logits", 4),
    )


ACT = {"kind": "relu", "name": "act"}


@pytest.mark.parametrize(
    ("layers", "route", "reported"),
    [
        (branched(ACT), {"to": "fc1"}, True),
        (branched(ACT), {"to": "fc*"}, True),
        (branched(ACT), {"to": "fc1", "at": "act"}, False),
        (branched(ACT), {"to": "fc1", "at": "fc1"}, False),
        (branched(linear("fc2")), {"to": "fc1"}, False),
        (branched({"kind": "dropout", "name": "drop"}), {"to": "fc1"}, False),
        (chain(8, 8), {"to": "fc1"}, False),
    ],
)
def test_sites_that_are_ambiguous(layers: Layers, route: dict[str, Any], reported: bool) -> None:
    codes = [code for code, _ in found(layers, feedback=routes(route))]
    assert ("FAC324" in codes) == reported


def test_a_join_behind_the_activation_leaves_no_choice() -> None:
    layers = (
        linear("fc1"),
        ACT,
        linear("fc2"),
        {"kind": "add", "name": "join", "from": ("act", "fc2")},
        *NET[4:],
    )
    assert "FAC324" not in [code for code, _ in found(layers, feedback=routes({"to": "fc1"}))]


def test_a_short_hand_that_written_routes_cut_off() -> None:
    both = ({"rule": "fa", "nodes": "fc2"}, routes({"to": "fc1"}))
    (finding,) = diagnosed(feedback=both)
    assert (finding.rule.code, finding.path) == ("FAC303", ("feedback", 0, "rule"))
    assert "a `to` route cuts it there" in finding.message
    assert found(feedback=({"rule": "fa"}, routes({"to": "fc1"}))) == []


def test_a_dead_route_can_be_removed() -> None:
    (finding,) = diagnosed(feedback=routes({"through": "fc2"}, {"through": "fc1"}))
    assert finding.fix is not None
    assert finding.fix.edits == (Edit(("feedback", "routes", 1), None),)


def test_names_are_compared_with_the_nearest_only() -> None:
    many = [f"layer{i}" for i in range(5000)]
    assert meant("layer49999", many) == "did you mean `layer4999`?"
    assert meant("layre1234", ["layer1234", *many[:100]]) == "did you mean `layer1234`?"
    assert meant("quack", many, "no") == "no"


def test_help_ends_where_nobody_reads_it() -> None:
    guess = Guess()
    helps = [guess("fc11", ["fc1", "fc2"], "no") for _ in range(60)]
    assert helps == ["did you mean `fc1`?"] * 50 + [""] * 10
    assert Guess()("quack", ["fc1", "fc2"], "there are {}") == "there are `fc1` and `fc2`"
