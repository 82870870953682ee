"""FAC316, FAC503 and FAC504: ranks and costs, at the numbers where they begin."""

from __future__ import annotations

from typing import Any

import pytest

from fac.build.costs import cost
from fac.pipeline import lowered
from fac.step.ir import Phase
from tests.checks.specs import Layers, chain, diagnosed, found, linear, routes

WIDE = chain(32, 32, classes=10)


def low_rank(rank: int, **fields: Any) -> dict[str, Any]:
    return {"kind": "low_rank", "rank": rank} | fields


def codes(*arguments: Any, **sections: Any) -> list[str]:
    return [code for code, _ in found(*arguments, **sections)]


@pytest.mark.parametrize(("rank", "reported"), [(8, True), (9, False), (10, False)])
@pytest.mark.parametrize("rule", ["ldfa", "direct_ldfa"])
def test_classes_minus_one_directions_are_enough(rule: str, rank: int, reported: bool) -> None:
    assert codes(WIDE, feedback={"rule": rule, "rank": rank}) == ["FAC316"] * reported


def test_a_regression_has_no_classes() -> None:
    assert codes(WIDE, feedback={"rule": "ldfa", "rank": 2}, loss={"kind": "mse"}) == []


def test_a_narrow_layer_is_not_the_fault_of_the_matrix() -> None:
    """Rank 4 is all that a layer of 4 units has."""
    layers = chain(4, 32, classes=10)
    assert codes(layers, feedback=routes({"through": "fc2", "matrix": low_rank(4)})) == []
    assert codes(layers, feedback=routes({"through": "fc2", "matrix": low_rank(3)})) == ["FAC316"]


def test_a_subspace_is_judged_once() -> None:
    """What reads it cannot have more."""
    narrow = routes(
        {"to": "fc1", "from": "task", "matrix": low_rank(4)}, subspaces=({"name": "task", "rank": 4},)
    )
    assert found(WIDE, feedback=narrow) == [("FAC316", "feedback.subspaces[0].rank")]


def test_a_glob_is_one_finding() -> None:
    (finding,) = diagnosed(WIDE, feedback=routes({"through": "*", "matrix": low_rank(2)}))
    assert finding.message.startswith("the feedback of `fc1`, `fc2` and `logits` has rank 2")


def test_of_a_rule_that_is_clipped_the_lowest_rank_is_told() -> None:
    layers = chain(32, 5, 32, classes=10, init={"kind": "normal", "std": 0.2})
    (finding,) = [
        d for d in diagnosed(layers, feedback={"rule": "ldfa", "rank": 6}) if d.rule.code == "FAC316"
    ]
    assert finding.message.startswith("the feedback of `logits` has rank 6")
    lower = [d for d in diagnosed(layers, feedback={"rule": "ldfa", "rank": 4}) if d.rule.code == "FAC316"]
    assert lower[0].message.startswith("the feedback of `fc2`, `fc3` and `logits` has rank 4")


def error_macs(layers: Layers, feedback: Any) -> int:
    """Of the errors of the compiled step, per sample."""
    spec = {
        "fac": 1,
        "name": "cost",
        "input": {"shape": (6,)},
        "layers": layers,
        "loss": {"kind": "cross_entropy"},
        "feedback": feedback,
        "update": {"rule": "sgd", "lr": 0.1},
    }
    return cost(lowered(spec), batch=1).step.macs(Phase.ERROR)


@pytest.mark.parametrize("outputs", [10, 15, 16, 17, 40])
def test_a_direct_route_costs_more_where_the_step_says_so(outputs: int) -> None:
    """Feeding 32 units from the outputs costs 32 x outputs and spares 32 x 16: even at 16 outputs."""
    layers = chain(32, 16, classes=outputs)
    direct = routes({"to": "fc1"})
    more = error_macs(layers, direct) > error_macs(layers, {"rule": "bp"})
    assert codes(layers, feedback=direct) == ["FAC503"] * more
    assert more == (outputs > 16)


def test_the_figures_of_a_direct_route() -> None:
    layers = chain(32, 16, classes=40)
    (finding,) = diagnosed(layers, feedback=routes({"to": "fc1"}))
    assert finding.message == "this route costs 1280 multiply-adds per sample and spares 512"
    assert finding.help is not None
    assert "`loss`" not in finding.help  # that is what it reads
    difference = error_macs(layers, routes({"to": "fc1"})) - error_macs(layers, {"rule": "bp"})
    assert difference == 1280 - 512


REMOVE = "remove it if cost is what matters"
NARROWER = "read a narrower source, such as"


@pytest.mark.parametrize(
    ("classes", "route", "remedy"),
    [
        (40, {}, f"{NARROWER} a subspace of rank at most 16, or {REMOVE}"),
        (10, {"from": "fc3"}, f"{NARROWER} `loss` or a subspace of rank at most 16, or {REMOVE}"),
        (17, {"from": "fc3"}, f"{NARROWER} a subspace of rank at most 16, or {REMOVE}"),
        (40, {"matrix": low_rank(20)}, f"use a rank of at most 7, or {REMOVE}"),
    ],
)
def test_the_remedy_of_a_direct_route_is_one(classes: int, route: dict[str, Any], remedy: str) -> None:
    """It names no source that is as wide as the one that is read, and what it names costs no more than is spared."""
    layers = chain(32, 16, 24, classes=classes) if "from" in route else chain(32, 16, classes=classes)
    (finding,) = (
        d for d in diagnosed(layers, feedback=routes({"to": "fc1"} | route)) if d.rule.code == "FAC503"
    )
    assert finding.help == remedy
    if "matrix" in route:
        for rank, more in ((7, 0), (8, 1)):
            lower = routes({"to": "fc1", "matrix": low_rank(rank)})
            assert codes(layers, feedback=lower).count("FAC503") == more


def test_below_a_join_a_direct_route_spares_nothing() -> None:
    layers = (
        linear("fc1", 16),
        {"kind": "relu", "name": "low"},
        linear("fc2", 16),
        {"kind": "add", "name": "join", "from": ("low", "fc2")},
        linear("logits", 10),
    )
    (finding,) = diagnosed(layers, feedback=routes({"to": "fc2"}))
    assert finding.message == "this route costs 160 multiply-adds per sample and spares none"
    assert finding.help == REMOVE
    assert error_macs(layers, routes({"to": "fc2"})) - error_macs(layers, {"rule": "bp"}) == 160


@pytest.mark.parametrize(
    "feedback",
    [
        {"rule": "dfa"},
        routes({"to": "fc1", "combine": "add"}),
        routes({"to": "fc1", "matrix": {"kind": "identity"}, "from": "fc1"}),
        routes({"to": "fc1", "from": "task"}, subspaces=({"name": "task", "rank": 39},)),
        routes({"to": "fc1"}, {"to": "fc1", "from": "fc2"}),
    ],
    ids=["short-hand", "asked for", "a cycle", "narrow source", "two at one value"],
)
def test_routes_that_are_not_judged(feedback: Any) -> None:
    layers = chain(32, 40, classes=40)
    assert "FAC503" not in codes(layers, feedback=feedback)


def test_what_else_becomes_superfluous_counts() -> None:
    """Above frozen layers a direct route spares their whole chain, not only the next product."""
    layers = (
        linear("fc1", 32),
        {"kind": "relu"},
        linear("fc2", 8, trainable=False),
        {"kind": "relu"},
        linear("fc3", 64, trainable=False),
        {"kind": "relu"},
        linear("logits", 10),
    )
    direct = routes({"to": "fc1"})
    assert error_macs(layers, direct) < error_macs(layers, {"rule": "bp"})
    assert codes(layers, feedback=direct) == []


@pytest.mark.parametrize("rank", [11, 15, 16, 17, 32])
def test_low_rank_costs_more_where_the_step_says_so(rank: int) -> None:
    """Even at 32 x 32 / (32 + 32) = 16."""
    fixed = {"rule": "fixed"}
    pair = routes({"through": "fc2", "matrix": low_rank(rank, read=fixed, write=fixed)})
    full = routes({"through": "fc2"})
    saves = error_macs(WIDE, pair) < error_macs(WIDE, full)
    assert codes(WIDE, feedback=pair) == ["FAC504"] * (not saves)
    assert saves == (rank < 16)


def test_ranks_up_to_the_outputs_are_needed_whatever_they_cost() -> None:
    """At the last layer of 10 units rank 9 costs 378 and a full matrix 320."""
    assert codes(WIDE, feedback=routes({"through": "logits", "matrix": low_rank(9)})) == []
    assert codes(WIDE, feedback={"rule": "ldfa", "rank": 10}) == []


def test_a_short_hand_is_judged_by_the_sum() -> None:
    layers = chain(64, 64, 64, classes=10)
    (finding,) = diagnosed(layers, feedback={"rule": "ldfa", "rank": 1000})
    assert finding.message == (
        "rank 64 costs 17124 multiply-adds per sample at 3 layers, and full matrices cost 8832"
    )
    assert finding.help == "use a rank of at most 26, or a `random` matrix"
    assert codes(layers, feedback={"rule": "ldfa", "rank": 26}) == []
