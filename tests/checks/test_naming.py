"""A word that names nothing is explained alike wherever it stands, and dots in names open no scopes."""

from __future__ import annotations

from typing import Any

import pytest

from fac.diagnostics import dotted
from fac.program.lower import lower
from fac.spec.model import ModelSpec
from tests.checks.specs import RANDOM, SGD, Layers, diagnosed, linear, routes

RELU: dict[str, Any] = {"kind": "relu"}
DEEP: Layers = (
    linear("first"),
    {"kind": "repeat", "name": "deep", "times": 2, "body": (RELU, linear("fc"))},
    RELU,
    linear("logits", 4),
)
WORDS = {
    "fc": (
        "`fc` stands inside of a block, and is not known by this name outside",
        "write `deep.0.fc`",
    ),
    "deep.fc": (
        "`deep.fc` stands in parts of a block, which have numbers",
        "write `deep.0.fc`",
    ),
    "deep.1": ("`deep.1` is a part of a block, and no layer", "its last layer is `deep.1.fc`"),
}


def written(place: str, word: str) -> dict[str, Any]:
    """The sections of a spec that names a layer in this place."""
    into = {"to": "first", "matrix": RANDOM}
    match place:
        case "losses":
            return {"loss": None, "losses": ({"kind": "mse", "of": word},)}
        case "of":
            task = {"name": "task", "of": word, "rank": 2}
            return {"feedback": routes(into | {"from": "task"}, subspaces=(task,))}
        case "layers":
            return {"layers": (*DEEP[:2], RELU | {"from": word}, DEEP[3])}
    return {"feedback": routes(into | {place: word})}


def unknown(layers: Layers = DEEP, **sections: Any) -> list[tuple[str, str, str]]:
    """Place, message and help of each name that names nothing."""
    found = (d for d in diagnosed(layers, **sections) if d.rule.code == "FAC201")
    return [(dotted(d.path), d.message, d.help or "") for d in found]


@pytest.mark.parametrize(
    ("place", "path"),
    [
        ("from", "feedback.routes[0].from"),
        ("at", "feedback.routes[0].at"),
        ("of", "feedback.subspaces[0].of"),
        ("losses", "losses[0].of"),
        ("layers", "layers[2].from"),
    ],
)
@pytest.mark.parametrize("word", WORDS)
def test_one_explanation_wherever_a_name_is_needed(place: str, path: str, word: str) -> None:
    assert unknown(**written(place, word)) == [(path, *WORDS[word])]
    assert unknown(**written(place, "deep")) == []  # its output


@pytest.mark.parametrize(
    ("word", "help"),
    [
        ("fc", "write `deep.0.fc`"),
        ("deep.fc", "write `deep.*.fc` for all of them, or `deep.0.fc` for one"),
        ("deep.1", "name a layer inside: `deep.1.fc`"),
        ("deep", "name a layer inside: `deep.0.fc` or `deep.1.fc`"),
    ],
)
@pytest.mark.parametrize("end", ["to", "through"])
def test_what_a_route_aims_at_is_a_layer_or_a_glob(end: str, word: str, help: str) -> None:
    (found,) = unknown(feedback=routes({end: word}))
    assert (found[0], found[2]) == (f"feedback.routes[0].{end}", help)
    assert unknown(feedback=routes({end: "deep.*.fc"})) == []


def test_the_mask_of_a_loss_is_an_input_wherever_its_name_stands_elsewhere() -> None:
    loss = {"kind": "mse", "mask": "fc"}
    assert unknown(loss=loss) == [("loss.mask", "no input is called `fc`", "the inputs are `input`")]


INSIDE = {"kind": "sequence", "name": "tower.a", "body": (RELU, linear("fc2") | {"from": "fc1"})}
"""In a block with a dot in its name. What is around it is the network, and no `tower`."""


@pytest.mark.parametrize("later", [True, False])
def test_a_dot_in_the_name_of_a_block_opens_no_scope(later: bool) -> None:
    """`fc1` is the one of the network in a block `tower.a`, and `tower.fc1` another layer."""
    other = linear("tower.fc1")
    layers: Layers = (
        linear("fc1"),
        *(() if later else (other,)),
        INSIDE,
        *((other,) if later else ()),
        *DEEP[2:],
    )
    assert not [d for d in diagnosed(layers) if d.rule.code in ("FAC201", "FAC223")]
    spec = {
        "fac": 1,
        "name": "x",
        "input": {"shape": (6,)},
        "layers": layers,
        "loss": {"kind": "mse"},
        "update": SGD,
    }
    assert lower(ModelSpec.model_validate(spec)).by_name["tower.a.fc2"].inputs == ("fc1",)


def test_without_it_a_layer_with_a_dot_is_not_the_one_that_is_meant() -> None:
    layers: Layers = (linear("first"), INSIDE, linear("tower.fc1"), *DEEP[2:])
    (found,) = unknown(layers)
    assert found[:2] == ("layers[1].body[1].from", "no layer is called `fc1`")


def test_no_block_is_made_of_the_dots_in_the_name_of_a_layer() -> None:
    layers: Layers = (linear("tower.fc1"), RELU, linear("logits", 4) | {"from": "fc1"})
    (found,) = unknown(layers)
    assert found[1] == "no layer is called `fc1`"
