"""The flow of errors that the checks see is the one that reverse mode builds: random networks, random routings."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fac.build.routing import Routing
from fac.build.trace import Trace
from fac.checks import run_checks
from fac.diagnostics import Diagnostic, Severity
from fac.program import flow
from fac.program.flow import Flow
from fac.program.lower import lower
from fac.program.program import Program
from fac.spec.model import ModelSpec
from fac.step.ir import Phase
from tests.checks.specs import chain, diagnosed, routes

WIDTH = 4


@st.composite
def specs(draw: st.DrawFn) -> dict[str, Any]:
    """Networks of equal width with skips, unread branches, layers that stop errors, and losses of some layers.

    Routes go between any two places.
    """
    names = ["n0"]
    layers: list[dict[str, Any]] = [
        {"kind": "linear", "name": "n0", "out": WIDTH, "trainable": draw(st.booleans())}
    ]
    for index in range(1, draw(st.integers(2, 7))):
        kind = draw(st.sampled_from(["linear", "linear", "relu", "add", "zeros"]))
        below = st.sampled_from(["input", *names]) if draw(st.booleans()) else st.just(names[-1])
        layer: dict[str, Any] = {"kind": kind, "name": f"n{index}", "from": draw(below)}
        if kind == "linear":
            layer |= {"out": WIDTH, "trainable": draw(st.booleans())}
        if kind == "zeros":
            layer |= {"shape": (WIDTH,)}
        if kind == "add":
            layer["from"] = (layer["from"], draw(st.sampled_from(names)))
        layers.append(layer)
        names.append(layer["name"])
    heads = draw(
        st.just((names[-1],)) | st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True)
    )
    losses: dict[str, Any] = {"losses": tuple({"kind": "mse", "of": head} for head in heads)}
    if heads == (names[-1],):
        losses = {"loss": {"kind": "cross_entropy"}}
    weighted = st.sampled_from([layer["name"] for layer in layers if layer["kind"] == "linear"])
    routes: list[dict[str, Any]] = []
    for _ in range(draw(st.integers(0, 4))):
        if draw(st.booleans()):
            routes.append({"through": draw(weighted)})
        else:
            source = draw(st.sampled_from(["loss"] * (len(heads) == 1) + names))
            combine = draw(st.sampled_from(["replace", "add"]))
            routes.append({"to": draw(weighted), "from": source, "combine": combine})
            if draw(st.booleans()):
                routes[-1]["at"] = draw(st.sampled_from(names))
    matrix = {"kind": "identity"}
    return {
        "fac": 1,
        "name": "random",
        "input": {"shape": (WIDTH,)},
        "layers": tuple(layers),
        **losses,
        "feedback": {"routes": tuple(route | {"matrix": matrix} for route in routes)},
        "update": {"rule": "sgd", "lr": 0.1},
        "constraints": {"no_weight_transport": True},
    }


def lowered(spec: dict[str, Any]) -> tuple[Program, list[Diagnostic]]:
    program = lower(ModelSpec.model_validate(spec))
    return program, list(run_checks(program))


def routed(program: Program) -> tuple[Trace, Routing]:
    trace = Trace(program, training=True)
    return trace, Routing(trace, trace.loss())


def codes(found: list[Diagnostic]) -> set[str]:
    return {finding.rule.code for finding in found}


@settings(max_examples=200)
@given(specs())
def test_a_cycle_is_reported_exactly_where_reverse_mode_meets_one(spec: dict[str, Any]) -> None:
    program, found = lowered(spec)
    met = False
    for name in program.by_name:
        trace, routing = routed(program)
        try:
            routing.reverse.cotangent(trace.values[name])
        except RuntimeError:
            met = True
    assert met == ("FAC305" in codes(found))


@settings(max_examples=200)
@given(specs())
def test_errors_arrive_where_the_checks_say(spec: dict[str, Any]) -> None:
    program, found = lowered(spec)
    if "FAC305" in codes(found):
        return
    trace, routing = routed(program)
    flow = Flow(program)
    for name in program.by_name:
        assert (routing.reverse.cotangent(trace.values[name]) is not None) == (name in flow.reached)
    unreached = {spec["layers"][f.path[1]]["name"] for f in found if f.rule.code == "FAC302"}
    assert unreached == {n.name for n in program.weighted if n.trainable and n.name not in flow.reached}


@settings(max_examples=200)
@given(specs())
def test_dead_routes_and_weight_transport_are_those_of_the_step(spec: dict[str, Any]) -> None:
    program, found = lowered(spec)
    if "FAC305" in codes(found):
        return
    trace, routing = routed(program)
    for node in program.nodes:
        for tensor in node.tensors:
            if tensor.trainable:
                routing.reverse.cotangent(trace.state[tensor.name])
    reached = Flow(program).reached
    dead = {f.path[2] for f in found if f.rule.code == "FAC303"}
    for index, route in enumerate(program.routes):
        if program.root(route.source) in reached:
            assert (index in dead) == (index not in routing.used)
    weights = {trace.state[node.weight.name] for node in program.weighted if node.weight}
    transported = any(op.origin.phase == Phase.ERROR and weights & set(op.operands) for op in trace.b.ops)
    # A spec with other errors has no step that could be asked.
    if not any(f.rule.severity is Severity.ERROR for f in found if f.rule.code != "FAC350"):
        assert transported == ("FAC350" in codes(found))


@settings(max_examples=200)
@given(specs())
def test_layerwise_rules_replace_what_backpropagation_crosses(spec: dict[str, Any]) -> None:
    """As far as the loss is joined with a layer at all; elsewhere nobody computes anything."""
    exact, _ = lowered(spec | {"feedback": {"rule": "bp"}, "constraints": {}})
    alignment, _ = lowered(spec | {"feedback": {"rule": "fa"}, "constraints": {}})
    trace, routing = routed(exact)
    for node in exact.nodes:
        if node.learns:
            routing.reverse.cotangent(trace.values[node.name])
    down = {v for op in trace.b.ops if op.origin.phase == Phase.ERROR for v in op.operands}
    crossed = {n.name for n in exact.weighted if n.weight and trace.state[n.weight.name] in down}
    reached = Flow(exact).reached
    assert {route.node for route in alignment.routes if route.node in reached} == crossed


def test_that_there_are_more_cycles_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last finding says so, and none does where all are found."""
    layers = chain(*[4] * 8)
    circles = routes(*({"to": f"fc{i}", "from": f"fc{i}"} for i in range(1, 8)))
    found = [d for d in diagnosed(layers, feedback=circles) if d.rule.code == "FAC305"]
    assert len(found) == 7
    assert not [d for d in found if "there are more" in d.help]
    monkeypatch.setattr(flow, "MAX_WALKED", 3)
    fewer = [d for d in diagnosed(layers, feedback=circles) if d.rule.code == "FAC305"]
    assert 1 <= len(fewer) < 7
    assert ["there are more" in d.help for d in fewer] == [False] * (len(fewer) - 1) + [True]


def test_what_feeds_a_block_that_cannot_be_written_out_is_not_told_apart() -> None:
    """The steps of the repeat read `ih`, which nobody reads where it stands for itself."""
    body = ({"kind": "linear", "name": "hh", "out": 6}, {"kind": "add", "from": ("hh", "token")})
    steps = {"kind": "repeat", "times": 3, "steps": "ih", "from": "start", "body": body}
    layers = (
        {"kind": "linear", "name": "ih", "out": 6},
        {"kind": "zeros", "name": "start", "shape": (6,)},
        steps,
        {"kind": "linear", "name": "logits", "out": 4},
    )
    assert [d.rule.code for d in diagnosed(layers, input={"shape": (4, 2)})] == ["FAC203"]


def test_a_head_without_its_loss_is_told_where_losses_name_theirs() -> None:
    layers = (*chain(8), {"kind": "linear", "name": "side", "from": "relu_1", "out": 3})
    losses = ({"kind": "cross_entropy", "of": "logits"},)
    (one,) = (d for d in diagnosed(layers, loss=None, losses=losses) if d.rule.code == "FAC302")
    assert "no layer and no loss reads it" in one.message
    assert one.help is not None
    assert one.help.startswith("name it in the `of:` of a loss or in a `from:`")
