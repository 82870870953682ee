"""What short-hands mean: weights whose passed-on error somebody needs, and parameters below a weight."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from fac.build.transport import transport
from fac.checks import run_checks
from fac.diagnostics import dotted
from fac.pipeline import load, lowered
from fac.program.lower import lower
from fac.program.program import Program
from fac.spec.model import ModelSpec
from fac.step.ir import Phase
from fac.testing.layers import LAYERS, network
from fac.testing.nets import batch, linear
from fac.testing.nets import spec as written
from tests.rules.nets import Spec, gradients, opened, put
from tests.rules.test_direct_maps import NETS, SHAPES, Layers, act, norm

RULES: dict[str, Spec] = {
    "fa": {"rule": "fa"},
    "ldfa": {"rule": "ldfa", "rank": 2},
    "dfa": {"rule": "dfa"},
    "direct_ldfa": {"rule": "direct_ldfa", "rank": 2},
    "shallow": {"rule": "shallow"},
}
THROUGH = {
    "dense": ["r1.c1", "r1.c2", "r2.c1", "r2.c2", "r2.short", "head"],
    # A norm below the first weight needs the error that this passes on.
    "norms first": ["stem", "r1.c1", "r1.c2", "head"],
    "maps": ["r1.c1", "r1.c2", "r2.c1", "r2.c2", "r2.short", "head"],
}
CHAIN: Layers = (
    norm("n0"),
    linear("fc1", 6),
    norm("n1"),
    act("a"),
    linear("fc2", 6),
    act("b"),
    linear("out", 3),
)


def program(layers: Layers, feedback: Any, shape: tuple[int, ...] = (5,)) -> Program:
    return lowered(load(written(layers, feedback, shape=shape)))


def frozen(layers: Layers, *names: str) -> Layers:
    """The same layers, and blocks, with `trainable: false` at those of these names."""
    found = []
    for layer in layers:
        layer = layer | ({"trainable": False} if layer.get("name") in names else {})
        for part in ("body", "shortcut"):
            if part in layer:
                layer[part] = frozen(layer[part], *names)
        found.append(layer)
    return tuple(found)


@pytest.mark.parametrize("net", NETS)
def test_layerwise_rules_replace_every_weight_above_something_that_learns(net: str) -> None:
    for rule in ("fa", "ldfa"):
        routes = program(NETS[net], RULES[rule], SHAPES[net]).routes
        assert [route.node for route in routes if route.through] == THROUGH[net]
        assert len(routes) == len(THROUGH[net])


@pytest.mark.parametrize(
    ("names", "left"),
    [
        (("n0",), ["fc2", "out"]),
        (("n0", "fc1"), ["fc2", "out"]),
        (("n0", "fc1", "n1"), ["out"]),
        (("n0", "fc1", "n1", "fc2"), []),
        (("fc1", "n1", "fc2"), ["fc1", "fc2", "out"]),
    ],
)
def test_below_frozen_layers_nobody_needs_an_error(names: tuple[str, ...], left: list[str]) -> None:
    made = program(frozen(CHAIN, *names), {"rule": "fa"})
    assert [route.node for route in made.routes] == left
    # Nothing is said of it: once the layers learn, the rule means the others, too. Only a frozen norm is told of.
    still = [
        index for index, layer in enumerate(CHAIN) if layer["name"] in names and layer["kind"] == "batch_norm"
    ]
    assert [f.path for f in run_checks(made)] == [("layers", index, "kind") for index in still]


def replaces_all(write: Callable[[Spec], Spec]) -> None:
    """Layer-wise routes stand where backpropagation crosses a weight, there alone; no rule leaves a transposed one.

    `write` makes the spec of a network from its feedback.
    """
    crossed = transport(lowered(load(write({"rule": "bp"})))).exact
    for rule, feedback in RULES.items():
        made = lowered(load(write(feedback)))
        assert transport(made).exact == ()
        if rule in ("fa", "ldfa"):
            assert tuple(route.node for route in made.routes) == crossed


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("still", [(), ("stem",), ("n0", "n", "n1"), ("c1", "c2"), ("short", "n2")])
def test_no_short_hand_leaves_a_transposed_weight(net: str, still: tuple[str, ...]) -> None:
    """Whatever is frozen."""
    replaces_all(partial(written, frozen(NETS[net], *still), shape=SHAPES[net]))


@pytest.mark.parametrize("name", LAYERS)
def test_nor_beside_any_layer(name: str) -> None:
    replaces_all(partial(network, name))


def test_a_first_state_of_zeros_needs_no_error() -> None:
    """No route of a rule sends one there, and a route that is written for it is told of."""
    made = lowered(load(network("gru", {"rule": "fa"})))
    assert "state.0.hh" not in {route.node for route in made.routes}
    route = {"routes": ({"through": "state.0.hh", "matrix": {"kind": "random"}},)}
    (finding,) = run_checks(lower(load(network("gru", route))))
    assert (finding.rule.code, dotted(finding.path)) == ("FAC303", "feedback.routes[0].through")
    assert finding.message.endswith("from `state.0.hh` to `state.start`: it passes none on")


def test_what_is_frozen_below_costs_no_error() -> None:
    """A norm below a frozen body is frozen by `shallow` as well: nothing is sent down to it."""
    made = program(NETS["maps"], {"rule": "shallow"}, SHAPES["maps"])
    assert [node.name for node in made.nodes if node.parametric and node.trainable] == ["head"]
    step = opened(written(NETS["maps"], {"rule": "shallow"}, shape=SHAPES["maps"], train={"seed": 0}))
    down = {op.kind for op in step.compiled.step.ops if op.origin.phase in (Phase.ERROR, Phase.GRADIENT)}
    assert not {kind for kind in down if kind.startswith(("conv2d", "max_pool2d", "normalize"))}


def test_one_projection_serves_a_layer_and_its_norm() -> None:
    """Both have one site: a route to each would add two projections."""
    routes = program(CHAIN, {"rule": "dfa"}).routes
    assert [(route.node, route.site) for route in routes] == [("n0", "n0"), ("fc1", "a"), ("fc2", "b")]
    only = program(CHAIN, {"rule": "dfa", "nodes": "n?"}).routes
    assert [(route.node, route.site) for route in only] == [("n0", "n0"), ("n1", "a")]


def test_a_route_to_a_norm_is_a_route_to_the_layer_below() -> None:
    x, y = batch()
    found = []
    for name in ("fc1", "n1"):
        feedback = {"routes": ({"to": name, "matrix": {"kind": "random"}},)}
        session = opened(written(CHAIN, feedback, {"rule": "sgd", "lr": 1.0}, train={"seed": 0}))
        b = np.random.default_rng(4).standard_normal((6, 3))
        found.append(gradients(put(session, {f"{name}.feedback.B": b}), x, y))
    for name in ("n0.weight", "fc1.weight", "n1.weight", "n1.bias"):
        assert np.abs(found[0][name]).max() > 1e-3
        np.testing.assert_array_equal(found[0][name], found[1][name])


@pytest.mark.parametrize(
    ("feedback", "code", "place", "message", "help"),
    [
        (
            {"routes": ({"through": "n1", "matrix": {"kind": "random"}},)},
            "FAC304",
            "feedback.routes[0].through",
            "`n1` has parameters, but no weight that feedback could replace",
            "name a layer with weights, such as `fc1`",
        ),
        (
            {"routes": ({"to": "a", "matrix": {"kind": "random"}},)},
            "FAC304",
            "feedback.routes[0].to",
            "`a` has no parameters that could learn from an error brought to it",
            "name a layer with weights, such as `fc1`",
        ),
        (
            {"routes": ({"through": "n*", "matrix": {"kind": "random"}},)},
            "FAC209",
            "feedback.routes[0].through",
            "no layer with weights matches `n*`",
            "the layers with weights are `fc1`, `fc2` and `out`",
        ),
        (
            {"rule": "fa", "nodes": "n1"},
            "FAC209",
            "feedback.nodes",
            "no layer with weights matches `n1`",
            "the layers with weights are `fc1`, `fc2` and `out`",
        ),
        (
            {"routes": ({"to": "x*", "matrix": {"kind": "random"}},)},
            "FAC209",
            "feedback.routes[0].to",
            "no layer with parameters matches `x*`",
            "the layers with parameters are `n0`, `fc1`, `n1`, `fc2` and `out`",
        ),
        (
            {"rule": "dfa", "nodes": "out"},
            "FAC314",
            "feedback.nodes",
            "`nodes` has no effect where the loss reaches these layers without crossing a weight, and so exactly",
            "name other layers, or remove the section",
        ),
        (
            ({"rule": "dfa", "nodes": "fc1"}, {"rule": "dfa", "nodes": "n1"}),
            "FAC306",
            "feedback[1].rule",
            "`dfa` and `dfa` both decide which error reaches `a`",
            "keep them apart with `nodes:`, or remove one of them",
        ),
        (
            {"routes": ({"to": "n1", "at": "fc2", "matrix": {"kind": "random"}},)},
            "FAC313",
            "feedback.routes[0].at",
            "the error enters at the output of `fc2`, above `fc2`, and crosses its weights on the way down to `n1`",
            "leave `at` out, which means `a`, or route `to: fc2`",
        ),
        (
            {"routes": ({"to": "n1", "at": "fc1", "matrix": {"kind": "random"}},)},
            "FAC311",
            "feedback.routes[0].at",
            "no error comes from the output of `fc1` down to `n1`",
            "leave `at` out: the error then enters at the output of `a`",
        ),
    ],
)
def test_what_a_route_may_name_is_said(feedback: Any, code: str, place: str, message: str, help: str) -> None:
    found = run_checks(lower(ModelSpec.model_validate(written(CHAIN, feedback))))
    assert [(d.rule.code, dotted(d.path), d.message, d.help) for d in found] == [(code, place, message, help)]
