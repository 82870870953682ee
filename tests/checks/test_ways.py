"""What lies between two layers, and which errors run in circles: beside the plain way to find out."""

from __future__ import annotations

from typing import Any

import networkx as nx  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fac.checks import sources, ways
from fac.checks.places import SHOWN
from fac.checks.ways import Between, between
from fac.program import flow
from fac.program.flow import Flow
from fac.program.lower import lower
from fac.program.program import Program
from fac.spec.model import ModelSpec
from tests.checks.specs import NET, diagnosed, routes
from tests.checks.test_flow import specs
from tests.fuzz.families import FAMILIES, grown


def program_of(data: dict[str, Any]) -> Program:
    return lower(ModelSpec.model_validate(data))


def by_walking(program: Program, low: str, high: str) -> Between:
    """The same by the search of another library."""
    graph = nx.DiGraph((name, node.name) for node in program.nodes for name in node.inputs)
    graph.add_nodes_from(program.by_name)
    if not nx.has_path(graph, low, high):
        return Between()
    on_the_way = {low, *nx.descendants(graph, low)} & {high, *nx.ancestors(graph, high)}
    names = [node.name for node in program.weighted if node.name in on_the_way - {low}]
    return Between(True, tuple(names[: SHOWN + 1]), names[-1] if names else "", len(names))


@given(specs(), st.sampled_from([1, 2, 3, 8192]))
@settings(max_examples=100)
def test_what_lies_between(data: dict[str, Any], block: int) -> None:
    program = program_of(data)
    pairs = [(low.name, high.name) for low in program.weighted for high in program.nodes]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ways, "BLOCK", block)
        found = between(program, pairs)
    assert found == {pair: by_walking(program, *pair) for pair in pairs}


@given(specs())
@settings(max_examples=200)
def test_circles_are_those_that_searches_one_by_one_find(data: dict[str, Any]) -> None:
    program = program_of(data)
    one = Flow(program)
    graph = nx.DiGraph((name, maker) for name in one.order for maker in one.makers(name))
    expected = []
    for routes_ in one.brought.values():
        for route in routes_:
            root = program.root(route.source)
            closing = root and one.order[root] <= one.order[str(route.site)]
            if closing and graph.has_edge(route.site, root) and nx.has_path(graph, root, route.site):
                expected.append((route, nx.shortest_path_length(graph, root, route.site)))
                graph.remove_edge(route.site, root)
    assert [(route, len(way) - 1) for route, way in one.cycles] == expected
    assert bool(one.cyclic) == bool(one.cycles)
    assert one.reached_from(one.cyclic) == one.reached_from(str(route.site) for route, _ in one.cycles)


def test_of_many_circles_the_first_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    circles = [{"to": "logits", "from": name, "combine": "add"} for name in ("fc1", "fc2", "relu_1")]

    def reported() -> int:
        found = diagnosed(feedback=routes(*circles))
        return sum(finding.rule.code == "FAC305" for finding in found)

    assert reported() == 3
    monkeypatch.setattr(flow, "MAX_WALKED", 1)
    assert reported() == 1


def test_skips_that_take_too_long_to_count_are_judged_by_the_longest_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    layers = (
        *NET[:-1],
        {"kind": "linear", "name": "fc3", "out": 8},
        {"kind": "linear", "name": "side", "from": "fc1", "out": 8},
        {"kind": "add", "from": ("fc3", "side")},
        NET[-1],
    )
    feedback = routes({"to": "fc1", "from": "side", "combine": "add"})

    def messages() -> list[str]:
        found = diagnosed(layers, feedback=feedback, constraints={"max_skip": 0})
        return [finding.message for finding in found if finding.rule.code == "FAC353"]

    assert messages() == []
    monkeypatch.setattr(sources, "MAX_COUNTED", 0)
    assert messages() == [
        "the route from `side` to `fc1` may pass over 1 layer with weights, above the `max_skip` of 0"
    ]


@pytest.mark.parametrize("name", ["at_glob", "long_cycles", "at_routes", "dense"])
def test_large_networks_have_the_findings_of_small_ones(name: str) -> None:
    small, large = (
        {finding.rule.code for finding in _findings(grown(FAMILIES[name], size))} for size in (2_000, 40_000)
    )
    assert small == large


def _findings(text: str) -> tuple[Any, ...]:
    from fac.lint.run import lint
    from fac.lint.settings import Settings
    from fac.source import parse_text

    return lint(parse_text(text), Settings())
