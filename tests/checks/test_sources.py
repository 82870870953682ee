"""FAC352 and FAC353 against ways that are followed one by one, on random networks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fac.checks.places import has_weights
from fac.checks.sources import route_skips_too_far, several_error_sources
from fac.pipeline import load
from fac.program.flow import Flow
from fac.program.lower import lower
from fac.program.program import Program, Route


def program(layers: list[dict[str, Any]], routes: list[dict[str, Any]], **constraints: Any) -> Program:
    """Every layer is 4 wide, so that any may read any."""
    return lower(
        load(
            {
                "fac": 1,
                "name": "random",
                "input": {"shape": (4,)},
                "layers": tuple(layers),
                "loss": {"kind": "mse"},
                "feedback": {"routes": tuple(routes)},
                "update": {"rule": "sgd", "lr": 0.1},
                "constraints": constraints,
            }
        )
    )


@st.composite
def networks(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Up to nine layers with skips, and a few routes."""
    layers: list[dict[str, Any]] = []
    names = ["input"]
    for index in range(draw(st.integers(2, 9))):
        kind = draw(st.sampled_from(["linear", "linear", "relu", "add"]))
        layer: dict[str, Any] = {"kind": kind, "name": f"n{index}"}
        near = names[-3:]
        if kind == "add":
            if len(near) < 2:
                continue
            layer["from"] = tuple(draw(st.permutations(near))[:2])
        else:
            layer["from"] = draw(st.sampled_from(near))
        if kind == "linear":
            layer["out"] = 4
        layers.append(layer)
        names.append(f"n{index}")
    weighted = [layer["name"] for layer in layers if layer["kind"] == "linear"]
    assume(weighted)
    routes: list[dict[str, Any]] = []
    for _ in range(draw(st.integers(1, 3))):
        name, matrix = draw(st.sampled_from(weighted)), {"kind": "random"}
        if draw(st.booleans()):
            routes.append({"through": name, "matrix": matrix})
        else:
            source = draw(st.sampled_from(["loss", *names[1:]]))
            combine = draw(st.sampled_from(["replace", "add"]))
            routes.append({"to": name, "from": source, "combine": combine, "matrix": matrix})
    return layers, routes


def ways(of: Program, low: str, high: str) -> Iterator[list[str]]:
    """Every way from an output up to another, without the first."""
    if low == high:
        yield []
    for reader in of.readers.get(low, ()):
        for rest in ways(of, reader.name, high):
            yield [reader.name, *rest]


def skipped(of: Program, route: Route) -> int:
    root = of.root(route.source)
    assert root is not None
    found = [sum(has_weights(of.by_name[name]) for name in way) for way in ways(of, str(route.site), root)]
    return max(found, default=0) - 1


@settings(max_examples=300)
@given(networks(), st.integers(0, 3))
def test_skips(made: tuple[list[dict[str, Any]], list[dict[str, Any]]], limit: int) -> None:
    of = program(*made, max_skip=limit)
    expected = {
        route.origin: skipped(of, route)
        for route in of.routes
        if not route.through and skipped(of, route) > limit
    }
    found = {d.path[:-1]: int(re.findall(r"over (\d+) layer", d.message)[0]) for d in route_skips_too_far(of)}
    assert found == expected


def terms(of: Program, flow: Flow, name: str) -> set[tuple[str, str, bool]]:
    """The errors that the one at an output is a sum of, and whether a route makes them."""
    found = {("to", str(id(route)), True) for route in flow.brought.get(name, ())}
    if name == of.output and (name not in flow.cut or name in of.tapped):
        found.add(("loss", "", False))
    for reader in flow.passing(name):
        if not has_weights(reader):
            found |= terms(of, flow, reader.name)
        elif reader.name in flow.reached:
            found.add(("through", reader.name, reader.name in flow.replaced))
    return found


@settings(max_examples=300)
@given(networks())
def test_sums(made: tuple[list[dict[str, Any]], list[dict[str, Any]]]) -> None:
    of = program(*made, single_error_source=True)
    flow = Flow(of)
    sums = {node.name: terms(of, flow, node.name) for node in of.nodes if node.learns}
    expected = {
        name for name, of_it in sums.items() if len(of_it) > 1 and any(routed for *_, routed in of_it)
    }
    found = [re.findall(r"`(\w+)`", d.message.partition(" learn")[0]) for d in several_error_sources(of)]
    assert sorted(name for names in found for name in names) == sorted(expected)


CHAIN: list[dict[str, Any]] = [{"kind": "linear", "name": f"fc{i}", "out": 4} for i in range(5)]
RANDOM = {"kind": "random"}


@pytest.mark.parametrize(("source", "over"), [("fc1", 0), ("fc2", 1), ("loss", 3), ("fc4", 3)])
def test_a_chain(source: str, over: int) -> None:
    routes = [{"to": "fc0", "from": source, "matrix": RANDOM}]
    assert not list(route_skips_too_far(program(CHAIN, routes, max_skip=over)))
    if over:
        (found,) = route_skips_too_far(program(CHAIN, routes, max_skip=over - 1))
        assert f"passes over {over} layer" in found.message


def test_layers_without_weights_behind_the_last_do_not_count() -> None:
    layers = [*CHAIN, {"kind": "tanh", "name": "end"}]
    routes = [{"to": "fc3", "matrix": RANDOM}]
    assert not list(route_skips_too_far(program(layers, routes, max_skip=0)))


def test_a_frozen_layer_may_get_any_error() -> None:
    layers = [CHAIN[0] | {"trainable": False}, *CHAIN[1:]]
    routes = [{"to": "fc0", "combine": "add", "matrix": RANDOM}]
    assert not list(several_error_sources(program(layers, routes, single_error_source=True)))


def test_exact_errors_may_add_up() -> None:
    layers = [*CHAIN, {"kind": "add", "name": "skip", "from": ("fc2", "fc4")}]
    assert not list(several_error_sources(program(layers, [], single_error_source=True)))


def test_two_routes_from_one_source_are_a_sum() -> None:
    routes = [{"to": "fc0", "matrix": RANDOM}, {"to": "fc0", "matrix": RANDOM}]
    (found,) = several_error_sources(program(CHAIN, routes, single_error_source=True))
    assert found.message == (
        "`fc0` learns from a sum of several errors of `loss`, which `single_error_source` forbids"
    )
    assert found.help == "keep one of the routes"


def test_a_rule_is_told_once() -> None:
    layers = [CHAIN[0], *[
        layer
        for i in (1, 2, 3)
        for layer in (
            {"kind": "linear", "name": f"fc{i}", "out": 4},
            {"kind": "add", "name": f"add{i}", "from": (f"fc{i}", f"add{i - 1}" if i > 1 else "fc0")},
        )
    ]]  # fmt: skip
    spec = program(layers, [], single_error_source=True).spec
    fa = lower(load(spec.model_dump(by_alias=True) | {"feedback": {"rule": "fa"}}))
    (found,) = several_error_sources(fa)
    assert found.path == ("feedback", "rule")
    assert found.message == (
        "`fc0`, `fc1` and `fc2` learn from sums of errors, such as those of `fc1` and `fc2`, "
        "which `single_error_source` forbids"
    )
    assert found.help == "feed the layer with one `to` route, which replaces the sum"
