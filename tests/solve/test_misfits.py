"""Every way in which a network or its loss cannot be solved: a finding at its place, and no other."""

from __future__ import annotations

from typing import Any

import pytest

import fac

LINEAR = {"kind": "linear", "name": "out", "out": 4}
FC = {"kind": "linear", "name": "fc", "out": 5}
TANH = {"kind": "tanh", "name": "act"}
MAP = {"input": {"shape": (2, 6, 6)}}
LOSS = {"loss": {"kind": "mse"}}


def conv(**settings: Any) -> dict[str, Any]:
    layers = (
        {"kind": "conv2d", "name": "conv", "out": 3, "kernel": 3, **settings},
        {"kind": "flatten"},
        LINEAR,
    )
    return MAP | {"layers": layers}


def layers(*found: dict[str, Any]) -> dict[str, Any]:
    return {"layers": found}


CASES: dict[str, tuple[dict[str, Any], str]] = {
    "dropout": (layers(FC, {"kind": "dropout"}, LINEAR), "layers[1]: `dropout` has no inverse"),
    "norm": (layers(FC, {"kind": "batch_norm"}, LINEAR), "layers[1]: `batch_norm` has no inverse"),
    "gelu": (layers(FC, {"kind": "gelu"}, LINEAR), "layers[1]: `gelu` has no inverse"),
    "residual": (
        layers({**FC, "out": 6}, {"kind": "residual", "body": ({**FC, "name": "in", "out": 6},)}, LINEAR),
        "layers[1]: targets go back along one chain",
    ),
    "stride": (conv(stride=2), "layers[0]: windows show all of the map and nothing else"),
    "padding": (conv(padding=1), "layers[0]: windows show all of the map and nothing else"),
    "dilation": (conv(dilation=2), "layers[0]: windows show all of the map and nothing else"),
    "groups": (conv(groups=2, out=4), "layers[0]: windows show all of the map and nothing else"),
    "tie": (
        layers({**FC, "out": 6}, {"kind": "relu"}, {**FC, "name": "b", "out": 6, "tie": "fc"}, LINEAR),
        "layers[2]: two solves would set them",
    ),
    "range at the end": (
        layers(FC, TANH) | LOSS,
        "layers[1]: maps its targets onto its own range, and is the output",
    ),
    "range without a bias": (
        layers(FC, TANH, {**LINEAR, "bias": False}),
        "layers[1]: is read by `out`, which is not solved with a bias",
    ),
    "range below frozen": (
        layers(FC, TANH, {**FC, "name": "b", "trainable": False}, {"kind": "relu"}, LINEAR),
        "layers[1]: is read by `b`, which is not solved with a bias",
    ),
    "zeros above": (
        layers(FC, {"kind": "relu"}, {**LINEAR, "init": "zeros"}),
        "layers[2]: start at zero, and no target gets back through them",
    ),
    "huber": (layers(LINEAR) | {"loss": {"kind": "huber"}}, "loss: `huber` does not say one output"),
    "bce": (layers(LINEAR) | {"loss": {"kind": "bce"}}, "loss: `bce` does not say one output"),
    "class weights": (
        layers(LINEAR) | {"loss": {"kind": "cross_entropy", "weight": (1.0, 1.0, 1.0, 2.0)}},
        "loss: `weight` has no effect",
    ),
    "ignored labels": (
        layers(LINEAR) | {"loss": {"kind": "cross_entropy", "ignore_index": 0}},
        "loss: `ignore_index` has no effect",
    ),
    "several losses": (
        layers(LINEAR)
        | {"loss": None, "losses": ({"kind": "mse"}, {"kind": "mse", "name": "b", "of": "out"})},
        "losses: least squares are for one output",
    ),
    "several inputs": (
        {"input": None, "inputs": {"a": {"shape": (6,)}, "b": {"shape": (6,)}}}
        | layers(
            {**FC, "from": "a"},
            {"kind": "linear", "name": "two", "out": 5, "from": "b"},
            {**LINEAR, "from": "fc"},
        ),
        "inputs: there are several inputs",
    ),
}


@pytest.mark.parametrize(("sections", "said"), CASES.values(), ids=CASES)
def test_what_cannot_be_solved_is_told_where_it_stands(sections: dict[str, Any], said: str) -> None:
    spec = {
        "fac": 1,
        "name": "unsolvable",
        "input": {"shape": (6,)},
        "loss": {"kind": "cross_entropy"},
        "solve": {"rule": "zorb"},
    } | sections
    spec = {key: value for key, value in spec.items() if value is not None}
    place, _, message = said.partition(": ")
    found = [
        (f"{d.path[0]}[{d.path[1]}]" if d.path[0] == "layers" else d.path[0], d.message)
        for d in fac.check(spec)
        if d.rule.code == "FAC250"
    ]
    assert any(at == place and message in text for at, text in found), found


def test_forbidden_weight_transport_is_told() -> None:
    spec = {
        "fac": 1,
        "name": "transports",
        "input": {"shape": (6,)},
        "layers": (FC, TANH, LINEAR),
        "loss": {"kind": "cross_entropy"},
        "solve": {"rule": "zorb"},
        "constraints": {"no_weight_transport": True},
    }
    (found,) = fac.check(spec)
    assert (
        found.message == "`zorb` makes targets by the weights of `out`, which `no_weight_transport` forbids"
    )
    assert fac.check(spec | {"layers": (LINEAR,)}) == ()
