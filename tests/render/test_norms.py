"""What `fac show` and `fac diff` say of layers that have parameters and no weight."""

from __future__ import annotations

from typing import Any

import pytest

from fac.build.costs import cost
from fac.pipeline import load, lowered
from fac.program.program import Program
from fac.render import facts, show
from fac.render.diff.side import Hop, Side
from fac.render.graph.read import topology
from fac.render.graph.words import headline
from fac.render.lineage import Lineage
from fac.testing.nets import linear, spec
from tests.rules import nets
from tests.rules.nets import SGD, Spec

NET = (
    {"kind": "batch_norm", "name": "n0"},
    linear("fc1", 6),
    {"kind": "batch_norm", "name": "n1"},
    {"kind": "relu", "name": "a"},
    linear("fc2", 4),
    {"kind": "layer_norm", "name": "n2"},
    linear("out", 3),
)
BP: dict[str, Any] = {"rule": "bp"}
DIRECT = {"rule": "dfa"}
FROM = {
    "bp": {"n0": "fc1", "fc1": "fc2", "n1": "fc2", "fc2": "out", "n2": "out", "out": "loss"},
    "dfa": dict.fromkeys(("n0", "fc1", "n1", "fc2", "n2", "out"), "loss"),
}


def made(feedback: Any) -> Program:
    return lowered(load(spec(NET, feedback)))


def layers(program: Program) -> dict[str, dict[str, Any]]:
    found = facts.as_json(program, Lineage(program), cost(program, 2))
    assert found["parameters"] == sum(layer["parameters"] for layer in found["layers"])
    return {layer["name"]: layer for layer in found["layers"]}


@pytest.mark.parametrize("feedback", [BP, DIRECT], ids=["bp", "dfa"])
def test_a_norm_and_the_layer_below_it_are_told_where_their_error_comes_from(feedback: Any) -> None:
    found = layers(made(feedback))
    for name, source in FROM[feedback["rule"]].items():
        (error,) = found[name]["error"]
        operator = "exact" if name == "out" else "W^T" if feedback is BP else "B, fixed"
        assert (error["from"].split(" ")[0], error["operator"], error["via"]) == (source, operator, [])
    assert not any(found["a"]["error"])


def test_statistics_are_no_parameters() -> None:
    found = layers(made(BP))
    assert {name: layer["parameters"] for name, layer in found.items() if layer["parameters"]} == {
        "n0": 10, "fc1": 36, "n1": 12, "fc2": 28, "n2": 8, "out": 15,
    }  # fmt: skip
    program = made(BP)
    assert headline(topology(program)).startswith("3 layers with weights, 109 parameters")
    figures = dict(Side(program).costs(1, 1))
    assert (figures["parameters"], figures["feedback_parameters"]) == (109, 0)


def test_what_a_route_brings_to_a_norm_is_no_hop_through_it() -> None:
    lines = dict(
        line.split(None, 1) for line in show.updates(Lineage(made(DIRECT))).splitlines() if "<-" in line
    )
    assert lines["n0.bias"] == "<- sgd <- sum of n0.error <- B (n0.feedback, fixed) <- loss error"
    assert lines["fc1.weight"] == "<- sgd <- fc1.error x n0 <- batch_norm' <- n1.error"
    assert lines["n1.bias"] == "<- sgd <- sum of n1.error <- relu' <- B (fc1.feedback, fixed) <- loss error"


def test_a_route_that_adds_to_a_norm_shows_both() -> None:
    both = {"routes": ({"to": "n2", "combine": "add", "matrix": {"kind": "random", "scale": 0.5}},)}
    found = layers(made(both))
    for name in ("fc2", "n2"):
        assert sorted((e["from"], e["operator"]) for e in found[name]["error"]) == [
            ("loss (direct)", "B, fixed"),
            ("out", "W^T"),
        ]


@pytest.mark.parametrize("feedback", [BP, DIRECT], ids=["bp", "dfa"])
def test_a_comparison_sees_through_norms_as_the_table_does(feedback: Any) -> None:
    side = Side(made(feedback))
    by = "to" if feedback is DIRECT else "exact"
    for node in side.program.parametric:
        source = FROM[feedback["rule"]][node.name]
        assert side.sources(node) == ((Hop(source, "exact" if node.name == "out" else by),),)


KEPT = {"rule": "sgd", "lr": 0.05, "groups": ({"match": "n1.*", "trainable": False},)}


@pytest.mark.parametrize(
    ("norm", "update", "told"),
    [
        ({}, KEPT, "frozen, averages follow"),
        ({"trainable": False}, SGD, "frozen"),
        ({"trainable": False, "moments": "batch"}, SGD, "frozen, averages follow"),
        ({}, SGD, "sgd"),
    ],
    ids=["by a group", "by the layer", "by the moments of a batch", "not"],
)
def test_what_of_a_frozen_norm_moves_in_a_step_is_told(norm: Spec, update: Spec, told: str) -> None:
    layers: tuple[Spec, ...] = (
        {"kind": "linear", "name": "fc1", "out": 6},
        {"kind": "batch_norm", "name": "n1"} | norm,
        {"kind": "tanh"},
        {"kind": "linear", "name": "logits", "out": 4},
    )
    net = nets.spec(layers) | {"update": update}
    program = lowered(load(net))
    found = facts.as_json(program, Lineage(program), cost(program, 2))["layers"]
    assert [layer["update"] for layer in found if layer["name"] == "n1"] == [told]
    session = nets.opened(net)
    before = session.state()
    session.step(*nets.batch())
    moved = {name for name, array in session.state().items() if (array != before[name]).any()}
    assert {"n1.running_mean", "n1.running_var"}.isdisjoint(moved) == (told == "frozen")
    assert {"n1.weight", "n1.bias"}.isdisjoint(moved) == told.startswith("frozen")


def test_a_group_means_no_averages() -> None:
    program = lowered(
        load(nets.spec(({"kind": "batch_norm", "name": "n1"}, linear("out", 4))) | {"update": KEPT})
    )
    table = show.layers(program, Lineage(program), cost(program, 2))
    assert " match `n1.*` (groups): 2 of 4 arrays: n1.weight, n1.bias\n" in table
