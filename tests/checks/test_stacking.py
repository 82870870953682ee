"""FAC212 to FAC215: what each takes for a mistake, and what it leaves alone."""

from __future__ import annotations

from math import exp, inf, log
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


BOUNDED = {"tanh": (-1, 1), "sigmoid": (0, 1), "hardsigmoid": (0, 1), "softmax": (0, 1)}
"""Those of the core, and between what; softmax is no curve, and says it by its traits."""
BELOW = {
    "relu": 0,
    "softplus": 0,
    "elu": -1,
    "selu": -1.758,
    "silu": -0.278,
    "hardswish": -0.375,
    "gelu": -0.17,
    "abs": 0,
    "exp": 0,
}
"""Those that are bounded from below alone, and by what."""


@pytest.mark.parametrize("kind", [*BOUNDED, *BELOW, "leaky_relu"])
def test_every_activation_before_the_loss(kind: str) -> None:
    """What bounds a logit bounds its probability: on both sides for softmax, on either for the sigmoid of `bce`."""
    layers, bce = (*NET, {"kind": kind}), {"kind": "bce"}
    softmax = kind in BOUNDED or kind == "relu"  # which cuts, and so is no difference of logits any more
    assert [code for code, _ in found(layers)] == ["FAC213"] * softmax
    assert found(layers, loss={"kind": "mse"}) == found(layers, loss={"kind": "huber"}) == []
    findings = diagnosed(layers, loss=bce)
    assert [finding.rule.code for finding in findings] == ["FAC213"] * (kind != "leaky_relu")
    if findings:
        low, high = BOUNDED[kind] if kind in BOUNDED else (BELOW[kind], inf)
        least, most = 1 / (1 + exp(-low)), 1 / (1 + exp(-high))
        assert findings[0].message.endswith(f"all probabilities lie between {least:.2g} and {most:.2g}")
        name = "relu_3" if kind == "relu" else f"{kind}_1"
        assert findings[0].help == f"remove `{name}`: `bce` has its sigmoid inside"


@pytest.mark.parametrize(
    "layer",
    [
        *({"kind": "elu", "alpha": alpha} for alpha in (5e-324, 1000.0)),
        *({"kind": "softplus", "beta": beta} for beta in (0.001, 1000.0)),
    ],
    ids=str,
)
def test_the_extremes_of_settings_have_curves(layer: dict[str, Any]) -> None:
    codes = {code for code, _ in found((*NET[:3], layer, NET[4]))}
    assert codes <= {"FAC325"}


def test_bounds_that_nobody_sees_are_none() -> None:
    assert found((*NET, {"kind": "elu", "alpha": 40.0}), loss={"kind": "bce"}) == []


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
        ([{"kind": "softplus"}, {"kind": "elu"}], ["FAC215"]),
        ([{"kind": "softmax"}, {"kind": "dropout"}, RELU], ["FAC215"]),
        ([{"kind": "hardsigmoid"}, {"kind": "leaky_relu"}], ["FAC215"]),
        ([RELU, {"kind": "selu"}], []),
        ([RELU, {"kind": "silu"}], []),
        ([{"kind": "silu"}, RELU], []),
        ([{"kind": "hardswish"}, RELU], []),
    ],
)
def test_an_activation_that_has_nothing_to_do(between: list[dict[str, Any]], codes: list[str]) -> None:
    assert [code for code, _ in found((linear("fc1"), *between, linear("logits", 4)))] == codes


def test_nothing_is_said_of_a_network_whose_names_are_wrong() -> None:
    layers = (linear("fc1"), {"kind": "relu", "from": "nowhere"}, RELU, linear("logits", 4))
    assert found(layers) == [("FAC201", "layers[1].from")]


def test_ordinary_networks_have_no_findings() -> None:
    for act in ("leaky_relu", "tanh", "sigmoid", "gelu", *BELOW, *BOUNDED):
        assert found(chain(16, 16, 16, act=act)) == []
