"""FAC207: what a loss cannot read of the output, and settings that are none."""

from __future__ import annotations

from typing import Any

import pytest

from fac.pipeline import check
from tests.checks.specs import NET, diagnosed, routes

SPEC: dict[str, Any] = {
    "fac": 1,
    "name": "example",
    "input": {"shape": [6]},
    "layers": list(NET),
    "update": {"rule": "sgd", "lr": 0.1},
}
IMAGES = (*NET[:-1], {"kind": "linear", "name": "logits", "out": 6}, {"kind": "reshape", "shape": (2, 3)})


@pytest.mark.parametrize(
    ("loss", "place", "message", "help"),
    [
        (
            {"kind": "cross_entropy", "weight": (1.0, 2.0)},
            "weight",
            "there are 2 class weights, and the network has 4 outputs",
            "write 4 weights, one for each class",
        ),
        (
            {"kind": "cross_entropy", "weight": (0.0, 0.0, 0.0, 0.0)},
            "weight",
            "all class weights are 0, so nothing is learned",
            "give a class a weight above 0",
        ),
        (
            {"kind": "bce", "pos_weight": (1.0, 2.0, 3.0)},
            "pos_weight",
            "`pos_weight` has 3 numbers, and the network 4 outputs",
            "write 4 numbers, or one for all",
        ),
    ],
)
def test_weights_that_are_not_those_of_the_outputs(loss: Any, place: str, message: str, help: str) -> None:
    (finding,) = diagnosed(loss=loss)
    assert (finding.rule.code, finding.path) == ("FAC207", ("loss", place))
    assert (finding.message, finding.help) == (message, help)


def test_a_list_of_weights_needs_an_output_in_one_row() -> None:
    (finding,) = diagnosed(IMAGES, loss={"kind": "bce", "pos_weight": (1.0, 2.0)})
    assert finding.message == "`pos_weight` is a list, and the output of the network has shape [2, 3]"
    assert finding.help == "write one number"
    assert diagnosed(IMAGES, loss={"kind": "bce", "pos_weight": 2.0}) == ()


@pytest.mark.parametrize(
    ("loss", "place", "said"),
    [
        ({"kind": "cross_entropy", "label_smoothing": 1.0}, ("label_smoothing",), "less than 1, is 1.0"),
        ({"kind": "cross_entropy", "label_smoothing": -0.1}, ("label_smoothing",), "at least 0, is -0.1"),
        ({"kind": "cross_entropy", "weight": [1.0, -2.0, 1.0, 1.0]}, ("weight", 1), "at least 0, is -2.0"),
        ({"kind": "bce", "pos_weight": [1.0, 0.0, 1.0, 1.0]}, ("pos_weight", 1), "greater than 0, is 0.0"),
        ({"kind": "bce", "pos_weight": -1.0}, ("pos_weight",), "greater than 0, is -1.0"),
        ({"kind": "huber", "delta": 0.0}, ("delta",), "greater than 0, is 0.0"),
    ],
)
def test_settings_out_of_range(loss: Any, place: tuple[str | int, ...], said: str) -> None:
    (finding,) = check(SPEC | {"loss": loss})
    assert finding.path == ("loss", *place)
    key = place[0] if len(place) == 1 else f"{place[0]}[{place[1]}]"
    assert finding.message == f"`{key}` must be {said}"


@pytest.mark.parametrize("kind", ["bce", "mse", "huber"])
def test_losses_on_targets_take_any_output(kind: str) -> None:
    assert diagnosed(IMAGES, loss={"kind": kind}) == ()
    assert diagnosed((*NET[:-1], {"kind": "linear", "name": "logits", "out": 1}), loss={"kind": kind}) == ()


def test_a_subspace_of_no_layer_that_feeds_tokens_is_a_finding() -> None:
    """Its rank is known, and nothing of what it reads."""
    feedback = routes(
        {"to": "fc1", "from": "task"}, subspaces=({"name": "task", "of": "nothing", "rank": 2},)
    )
    assert [d.rule.code for d in diagnosed(input={"shape": (3, 6)}, feedback=feedback)] == ["FAC201"]
