"""Whatever is installed has a case: a new kind without one fails here."""

from __future__ import annotations

from typing import Any

import pytest

from fac.build.functions import build_probe
from fac.pipeline import lowered
from fac.plugins import kinds
from fac.program.lower import kind_of
from fac.program.program import Program
from fac.step.ops import OPS
from fac.testing.calls import CALLS
from fac.testing.layers import LAYERS
from fac.testing.nets import NET, linear, mlp, spec
from fac.testing.rules import RULES, UPDATES
from fac.testing.solves import ZORB
from fac.testing.steps import IDENTITY, LOSSES
from fac.testing.suite import CASES, FAMILIES

ROUTED = [lowered(spec(NET, rule)) for rule in RULES.values()] + [lowered(spec(mlp(6, 6, 3), IDENTITY))]


def names(group: str) -> set[str]:
    return {kind.name for kind in kinds(group)}


def learning(program: Program) -> set[str]:
    """The rules that teach the matrices of a program and the bases of its subspaces."""
    rules: list[Any] = [subspace.basis for subspace in program.subspaces]
    for route in program.routes:
        rules += kind_of("fac.feedback", route.matrix).learning(route.matrix).values()
    return {kind_of("fac.learning", rule).name for rule in rules}


def test_no_two_cases_have_one_name() -> None:
    found = [case.id for family in FAMILIES for case in family.cases()]
    assert len(found) == len(set(found)) == len(CASES)


def test_every_op() -> None:
    assert {call.kind for call in CALLS} == set(OPS)


def test_every_layer() -> None:
    assert {name.split()[0] for name in LAYERS} == names("fac.layers")


def standing(layers: Any) -> set[str]:
    """The kinds of layers, and of those that blocks hold."""
    if isinstance(layers, dict):
        return {layers["kind"]}.union(*(standing(v) for v in layers.values() if isinstance(v, tuple)))
    return set().union(*map(standing, layers)) if isinstance(layers, tuple) else set()


def test_every_layer_stands_in_its_case() -> None:
    assert all(name.split()[0] in standing(layers) for name, layers in LAYERS.items())


def test_every_rule() -> None:
    assert {rule["rule"] for rule in RULES.values() if "rule" in rule} == names("fac.rules")


def test_every_feedback_operator() -> None:
    found = {kind_of("fac.feedback", route.matrix).name for program in ROUTED for route in program.routes}
    assert found == names("fac.feedback")


def test_every_way_to_learn() -> None:
    assert set().union(*map(learning, ROUTED)) == names("fac.learning")


def test_every_update() -> None:
    assert {update["rule"] for update in UPDATES.values()} == names("fac.updates")


def test_every_solve_rule() -> None:
    assert {ZORB["rule"]} == names("fac.solve")


def test_every_loss() -> None:
    """The grid of rules has one, the regressions another, and the rest are written out."""
    rest = {loss["kind"] for loss in LOSSES.values()}
    assert names("fac.losses") == {"cross_entropy", "mse"} | rest


def test_every_probe() -> None:
    """Each measures something, be it of a network of products alone."""
    for kind in kinds("fac.probes"):
        only = {"probes": ({"kind": kind.name},)}
        asked = [lowered(spec(NET, rule) | only) for rule in RULES.values()]
        asked.append(lowered(spec((linear("out", 3, bias=False),), loss="mse") | only))
        assert any(len(build_probe(program).outputs) > 1 for program in asked), kind.name


@pytest.mark.parametrize("rule", ["bp", "dfa_kp", "ldfa_oja_kp", "mixed"])
def test_what_is_measured_depends_on_no_update(rule: str) -> None:
    """So the grid has probes with one update of each rule."""
    found = {str(build_probe(lowered(spec(NET, RULES[rule], update)))) for update in UPDATES.values()}
    assert len(found) == 1
