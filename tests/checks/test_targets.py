"""Targets as an error source: which are meant, and which there are."""

from __future__ import annotations

from typing import Any

import pytest

from fac.checks import run_checks
from fac.diagnostics import dotted
from fac.pipeline import load
from fac.program.lower import lower

NET: tuple[dict[str, Any], ...] = (
    {"kind": "linear", "name": "fc1", "out": 12},
    {"kind": "tanh", "name": "act"},
    {"kind": "linear", "name": "aux", "out": 4},
    {"kind": "linear", "name": "logits", "from": "act", "out": 4},
)
ONE: dict[str, Any] = {"loss": {"kind": "cross_entropy"}}
TWO: dict[str, Any] = {
    "losses": ({"kind": "cross_entropy", "of": "logits"}, {"kind": "cross_entropy", "of": "aux"})
}


def found(losses: dict[str, Any], *routes: dict[str, Any], **more: Any) -> list[tuple[str, str]]:
    layers = NET if losses is TWO else (*NET[:2], {**NET[3]})
    data = {"fac": 1, "name": "net", "input": {"shape": (5,)}, "layers": layers, **losses}
    data |= {"feedback": {"routes": routes, **more}, "update": {"rule": "sgd", "lr": 0.1}}
    return [(d.rule.code, dotted(d.path)) for d in run_checks(lower(load(data)))]


def to(source: str) -> dict[str, Any]:
    return {"to": "fc1", "from": source, "matrix": {"kind": "random"}}


def test_targets_of_one_head_need_no_name() -> None:
    assert found(ONE, to("targets")) == found(ONE, to("targets.logits")) == []


def test_of_several_heads_it_is_told_which() -> None:
    assert found(TWO, to("targets")) == [("FAC330", "feedback.routes[0].from")]
    assert found(TWO, to("targets.aux")) == []


@pytest.mark.parametrize("name", ["targets.fc1", "targets.", "targets.nothing"])
def test_targets_are_those_of_a_head(name: str) -> None:
    assert found(TWO, to(name)) == [("FAC201", "feedback.routes[0].from")]


def test_a_layer_that_only_targets_feed_is_in_no_circle() -> None:
    """Also at the head's own output: targets are made of no error."""
    routes = to("targets"), {"to": "logits", "from": "targets", "matrix": {"kind": "identity"}}
    assert "FAC305" not in {code for code, _ in found(ONE, *routes)}


def test_a_subspace_of_targets() -> None:
    task = {"name": "task", "of": "targets", "rank": 3}
    assert found(ONE, to("task"), subspaces=(task,)) == []
    assert found(ONE, to("task"), subspaces=(task | {"of": "targets.x"},)) == [
        ("FAC201", "feedback.subspaces[0].of")
    ]
