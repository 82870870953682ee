"""FAC212 to FAC215: what each takes for a mistake, and what it leaves alone."""

from __future__ import annotations

from math import exp, log
from typing import Any

import pytest

from tests.checks.specs import NET, Layers, chain, diagnosed, found, linear

RELU = {"kind": "relu"}


@pytest.mark.parametrize(
    ("layers", "codes"),
    [
        ((linear("fc1"), linear("fc2"), RELU, linear("logits", 4)), ["FAC212"]),
        ((linear("fc1", 3), linear("fc2"), RELU, linear("logits", 4)), []),
        ((linear("fc1", trainable=False), linear("fc2"), RELU, linear("logits", 4)), []),
        ((linear("fc1"), linear("fc2"), linear("logits", 4)), []),
        ((linear("fc1"), {"kind": "dropout"}, linear("fc2"), RELU, linear("logits", 4)), []),
    ],
    ids=["plain", "bottleneck", "frozen", "no activation anywhere", "dropout between"],
)
def test_a_linear_layer_on_another(layers: Layers, codes: list[str]) -> None:
    assert [code for code, _ in found(layers)] == codes


def test_a_linear_layer_that_others_read_too_is_no_mistake() -> None:
    layers = (
        linear("fc1"),
        linear("fc2"),
        RELU,
        {"kind": "add", "name": "join", "from": ("fc1", "relu_1")},
        linear("logits", 4),
    )
    assert found(layers) == []


@pytest.mark.parametrize("classes", [2, 10, 1000])
@pytest.mark.parametrize(("kind", "span"), [("sigmoid", 1), ("tanh", 2)])
def test_the_floor_of_the_loss_is_that_of_the_best_logits(kind: str, span: int, classes: int) -> None:
    """The right class at the upper bound of the activation, all others at the lower."""
    layers = (linear("fc1"), RELU, linear("logits", classes), {"kind": kind})
    (finding,) = diagnosed(layers)
    right = exp(span) / (exp(span) + classes - 1)
    assert f"above {right:.2g}, and the loss no value below {-log(right):.2f}" in finding.message


@pytest.mark.parametrize("behind", [[], [{"kind": "dropout", "rate": 0.0}]])
def test_an_activation_before_the_loss(behind: list[dict[str, Any]]) -> None:
    assert found((*NET, RELU, *behind)) == [("FAC213", "layers[5].kind")]
    assert found((*NET, RELU, *behind), loss={"kind": "mse"}) == []
    assert found((*NET, {"kind": "gelu"}, *behind)) == []


def test_an_activation_of_no_weights_has_another_finding() -> None:
    assert found((RELU,)) == [("FAC206", "layers")]


def test_dropout_on_the_output() -> None:
    assert found((*NET, {"kind": "dropout"})) == [("FAC214", "layers[5].kind")]
    assert found((*NET, {"kind": "dropout", "rate": 0.0})) == []
    assert found((*NET[:4], {"kind": "dropout"}, NET[4])) == []


@pytest.mark.parametrize(
    ("between", "codes"),
    [
        ([RELU, {"kind": "leaky_relu"}], ["FAC215"]),
        ([{"kind": "sigmoid"}, {"kind": "dropout"}, RELU], ["FAC215"]),
        ([RELU, {"kind": "tanh"}, RELU], []),
        ([{"kind": "leaky_relu"}, RELU], []),
        ([RELU, {"kind": "sigmoid"}], []),
    ],
)
def test_an_activation_that_has_nothing_to_do(between: list[dict[str, Any]], codes: list[str]) -> None:
    assert [code for code, _ in found((linear("fc1"), *between, linear("logits", 4)))] == codes


def test_nothing_is_said_of_a_network_whose_names_are_wrong() -> None:
    layers = (linear("fc1"), {"kind": "relu", "from": "nowhere"}, RELU, linear("logits", 4))
    assert found(layers) == [("FAC201", "layers[1].from")]


def test_ordinary_networks_have_no_findings() -> None:
    for act in ("relu", "leaky_relu", "tanh", "sigmoid", "gelu"):
        assert found(chain(16, 16, 16, act=act)) == []
