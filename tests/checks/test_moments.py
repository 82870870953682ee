"""FAC329, and FAC314 of a bias in front of a normalisation, against what steps do."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import pytest

import fac
from fac.diagnostics import dotted
from fac.pipeline import compiled, find_backend
from fac.program.lower import lower
from fac.spec.model import ModelSpec
from fac.testing.case import Subject
from fac.testing.nets import Data, Layers, batches, linear, spec
from tests.checks.specs import diagnosed, found

FLAT: Data = {"kind": "flatten"}
NORMS: dict[str, tuple[Data, tuple[int, ...], int, bool]] = {
    "samples": ({"kind": "batch_norm"}, (4,), 2, False),
    "one sample": ({"kind": "batch_norm"}, (4,), 1, True),
    "one sample, one place": ({"kind": "batch_norm"}, (4, 1, 1), 1, True),
    "one sample, two places": ({"kind": "batch_norm"}, (4, 1, 2), 1, False),
    "one sample, frozen": ({"kind": "batch_norm", "trainable": False}, (4,), 1, False),
    "groups": ({"kind": "group_norm", "groups": 2}, (4,), 1, False),
    "groups of one": ({"kind": "group_norm", "groups": 4}, (4,), 8, True),
    "groups of one with places": ({"kind": "group_norm", "groups": 4}, (4, 3), 1, False),
    "an axis": ({"kind": "layer_norm"}, (4,), 1, False),
    "an axis of one": ({"kind": "layer_norm", "axes": 1}, (4, 1), 8, True),
    "mean squares of one": ({"kind": "rms_norm", "axes": 1}, (4, 1), 8, False),
}
"""A norm, the shape of what it reads, the batch, and whether nothing is left."""


def below(norm: Data, shape: tuple[int, ...]) -> Layers:
    """A layer that learns only by what the norm lets past."""
    return (
        linear("fc1", prod(shape)),
        {"kind": "reshape", "shape": shape},
        {**norm, "name": "n1"},
        FLAT,
        linear("out", 3),
    )


@pytest.mark.parametrize("name", NORMS)
def test_where_nothing_is_left_nothing_below_learns(name: str) -> None:
    norm, shape, size, nothing = NORMS[name]
    layers = below(norm, shape)
    places = [("FAC329", "train.batch" if norm["kind"] == "batch_norm" else "layers[2].name")]
    places = places if nothing else [("FAC314", "layers[2].kind")] * ("trainable" in norm)
    assert found(layers, train={"batch": size}) == places
    # A spec with an error is taken by no command: its step is built past the checks.
    program = lower(ModelSpec.model_validate(spec(layers, train={"batch": size})))
    session = Subject(find_backend("reference"), "float64", "cpu").open_functions(compiled(program))
    before = session.state()["fc1.weight"]
    for x, y in batches(size, size):
        session.step(x, y)
    assert np.allclose(session.state()["fc1.weight"], before, rtol=0, atol=1e-14) == nothing


IDLE: dict[str, tuple[Data, list[str]]] = {
    "a bias of no weight": ({"kind": "layer_norm", "affine": False, "bias": True}, ["bias"]),
    "nothing to train": (
        {"kind": "group_norm", "groups": 2, "affine": False, "trainable": True},
        ["trainable"],
    ),
    "a weight to train": ({"kind": "rms_norm", "affine": True, "trainable": False}, []),
    "averages that stay": ({"kind": "batch_norm", "trainable": False, "momentum": 0.2}, ["kind", "momentum"]),
    "averages that move": ({"kind": "batch_norm", "affine": False, "momentum": 0.2, "trainable": True}, []),
}


@pytest.mark.parametrize("name", IDLE)
def test_settings_of_what_is_not_there_are_told(name: str) -> None:
    norm, fields = IDLE[name]
    said = found((linear("fc1", 6), norm, {"kind": "tanh"}, linear("out", 3)))
    assert said == [("FAC314", f"layers[1].{field}") for field in fields]


def test_a_batch_norm_that_is_frozen_from_the_start_does_nothing() -> None:
    """Up to its `eps`, until it is given averages."""
    norm = {"kind": "batch_norm", "name": "n1", "trainable": False, "eps": 1e-12}
    layers: Any = (linear("fc1", 4), norm, {"kind": "tanh"}, linear("out", 3))
    (finding,) = diagnosed(layers)
    assert (finding.rule.code, dotted(finding.path), finding.fix) == ("FAC314", "layers[1].kind", None)
    assert finding.message == (
        "`batch_norm` has no effect on what it reads: its averages stay where they start, 0 and 1, unless the state "
        "is given weights"
    )
    assert finding.help == "write `moments: batch`, or use `layer_norm` or `group_norm`"
    session, without = (
        fac.compile(spec(shorter), "reference", "float64").open()
        for shorter in (layers, (layers[0], *layers[2:]))
    )
    x, y = batches(6)[0]
    assert np.allclose(session.forward(x), without.forward(x), rtol=0, atol=1e-10)
    session.step(x, y)
    without.step(x, y)
    assert np.allclose(session.forward(x), without.forward(x), rtol=0, atol=1e-10)
    session.load_state(session.state() | {"n1.running_var": np.full(4, 4.0)})
    assert not np.allclose(session.forward(x), without.forward(x), rtol=0, atol=1e-3)


AXES = "normalises over the axes"
MISFITS: dict[str, tuple[Data, str, str]] = {
    "no axes of a map": ({"kind": "layer_norm"}, "does not say over which axes", "layers[0].kind"),
    "no axes of a map, by size": ({"kind": "rms_norm"}, "does not say over which axes", "layers[0].kind"),
    "an axis too many": ({"kind": "layer_norm", "axes": 3}, f"{AXES} [3] of [6, 4, 2]", "layers[0].axes"),
    "an axis before the first": ({"kind": "rms_norm", "axes": -4}, f"{AXES} [-4] of", "layers[0].axes"),
    "an axis twice": ({"kind": "layer_norm", "axes": (0, -3)}, f"{AXES} [0, -3] of", "layers[0].axes"),
    "none of the axes": ({"kind": "layer_norm", "axes": ()}, f"{AXES} [] of", "layers[0].axes"),
    "groups": (
        {"kind": "group_norm", "groups": 4},
        "4 groups, which do not divide 6 channels",
        "layers[0].groups",
    ),
    "two layers": (
        {"kind": "batch_norm", "from": ("input", "input")},
        "reads one layer, not 2",
        "layers[0].from",
    ),
}


@pytest.mark.parametrize("name", MISFITS)
def test_what_cannot_be_normalised_is_said(name: str) -> None:
    norm, said, place = MISFITS[name]
    layers = ({**norm, "name": "n1"}, FLAT, linear("out", 3))
    (finding,) = diagnosed(layers, input={"shape": (6, 4, 2)})
    assert (finding.rule.code, dotted(finding.path)) == ("FAC203", place)
    assert said in finding.message
    assert finding.help


BIASED: dict[str, tuple[Layers, bool]] = {
    "batch norm": (({"kind": "batch_norm"},), True),
    "frozen": (({"kind": "batch_norm", "trainable": False},), False),
    "relu first": (({"kind": "relu"}, {"kind": "batch_norm"}), False),
    "layer norm": (({"kind": "layer_norm"},), False),
    "two readers": (({"kind": "batch_norm", "name": "n1"}, {"kind": "add", "from": ("n1", "fc1")}), False),
    "nothing": (({"kind": "tanh"},), False),
}


@pytest.mark.parametrize("name", BIASED)
def test_a_bias_that_is_subtracted_has_no_effect(name: str) -> None:
    """It is told of where it is written out, and then changes no loss and is never moved."""
    behind, idle = BIASED[name]
    layers: Any = (linear("fc1", 4, bias=True), *behind, {"kind": "tanh"}, linear("out", 3))
    frozen = [("FAC314", "layers[1].kind")] * ("trainable" in behind[0])
    assert found(layers) == ([("FAC314", "layers[0].bias")] if idle else frozen)
    assert found((linear("fc1", 4, bias=False), *layers[1:])) == frozen
    session = fac.compile(spec(layers), "reference", "float64").open()
    x, y = batches(6)[0]
    moved = session.state() | {"fc1.bias": np.linspace(-1, 2, 4)}
    loss = session.probe(x, y)["loss"]
    session.load_state(moved)
    assert (abs(session.probe(x, y)["loss"] - loss) <= 1e-12) == idle
    session.step(x, y)
    assert np.allclose(session.state()["fc1.bias"], moved["fc1.bias"], rtol=0, atol=1e-12) == idle
