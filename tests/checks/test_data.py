"""FAC219 says before a training what the training would say of the data: an independent look at the data themselves."""

from __future__ import annotations

from typing import Any

import pytest

from fac.diagnostics import FacError, dotted
from fac.pipeline import check
from fac.program.feeds import feeds
from fac.program.lower import lower
from fac.spec.model import ModelSpec
from fac.training.data import load
from fac.training.data.digits import Digits
from fac.training.fitting import fitted
from tests.checks.specs import diagnosed, linear

TEACHER = {"source": "teacher", "n": 128, "test": 8, "inputs": 6, "outputs": 4}
CLASSES = TEACHER | {"task": "classification"}
DIGITS = {"source": "digits"}
CROSS, MSE, HUBER, BCE = ({"kind": kind} for kind in ("cross_entropy", "mse", "huber", "bce"))


@pytest.mark.parametrize(
    ("data", "shape", "outputs", "loss", "places"),
    [
        (DIGITS, (64,), 10, CROSS, ()),
        (DIGITS, (8, 8), 12, CROSS, ()),
        (DIGITS, (1, 8, 8), 10, CROSS, ()),
        (DIGITS, (4, 16), 10, CROSS, ("shape",)),
        (DIGITS, (2, 4, 8), 10, CROSS, ("shape",)),
        (TEACHER, (2, 3), 4, MSE, ()),
        (DIGITS, (63,), 10, CROSS, ("shape",)),
        (DIGITS, (64,), 9, CROSS, ("out",)),
        (DIGITS, (63,), 9, CROSS, ("shape", "out")),
        (DIGITS, (64,), 10, MSE, ("source",)),
        (TEACHER, (6,), 4, MSE, ()),
        (TEACHER, (6,), 5, MSE, ("out",)),
        (TEACHER, (6,), 4, CROSS, ("source",)),
        (CLASSES, (6,), 4, CROSS, ()),
        (CLASSES, (6,), 5, CROSS, ()),
        (CLASSES, (6,), 2, CROSS, ("out",)),
        (CLASSES, (6,), 4, MSE, ("source",)),
        (TEACHER, (6,), 4, HUBER, ()),
        (CLASSES, (6,), 4, HUBER, ("source",)),
        (CLASSES, (6,), 4, BCE, ("source",)),
        (TEACHER, (6,), 4, BCE, ("source",)),
    ],
)
def test_it_is_what_the_training_refuses(
    data: dict[str, Any], shape: tuple[int, ...], outputs: int, loss: dict[str, Any], places: tuple[str, ...]
) -> None:
    layers = ({"kind": "flatten"}, linear("logits", outputs))
    sections = {"data": data, "input": {"shape": shape}, "loss": loss}
    found = [finding for finding in diagnosed(layers, **sections) if finding.rule.code == "FAC219"]
    assert [str(finding.path[-1]) for finding in found] == list(places)

    base = {"fac": 1, "name": "example", "layers": layers, "update": {"rule": "sgd", "lr": 0.1}}
    spec = ModelSpec.model_validate(base | sections)
    assert spec.data is not None
    assert lower(spec).nodes[-1].shape == (outputs,)
    dataset = load(spec.data)
    try:
        fitted(dataset, feeds(lower(spec)), "float64")
    except FacError:
        assert found
    else:
        assert not found


@pytest.mark.parametrize("batch", [1400, 1401])
def test_a_batch_that_the_data_do_not_fill(batch: int) -> None:
    layers = ({"kind": "flatten"}, linear("logits", 10))
    train = {"batch": batch, "epochs": 1}
    sections: dict[str, Any] = {"data": DIGITS, "input": {"shape": (64,)}, "train": train}
    found = [finding for finding in diagnosed(layers, **sections) if finding.rule.code == "FAC219"]
    samples = len(load(Digits()).train.x)
    assert [finding.path for finding in found] == [("train", "batch")] * (batch > samples)
    solved = diagnosed(
        ({"kind": "flatten"}, linear("logits", 10)), **sections | {"update": None, "solve": {"rule": "zorb"}}
    )
    assert "FAC219" not in {finding.rule.code for finding in solved}, "what is solved is read in no batches"


PAIR: dict[str, Any] = {
    "inputs": {"left": {"shape": (6,)}, "right": {"shape": (6,)}},
    "loss": None,
    "layers": (
        {"kind": "add", "name": "both", "from": ("left", "right")},
        linear("side", 3),
        linear("logits", 4, **{"from": "both"}),
    ),
}


def told(names: tuple[str, ...], *targets: str) -> list[tuple[str, str, str]]:
    """Code, place and help of what is found of data with these arrays."""
    losses = tuple(CROSS | {"of": of, "target": y} for of, y in zip(("logits", "side"), targets, strict=True))
    data = {"source": "arrays", "train": "train.npz", "test": "test.npz", "names": names}
    found = diagnosed(**PAIR | {"input": None, "losses": losses, "data": data})
    return [(d.rule.code, dotted(d.path), d.help or "") for d in found]


def test_a_misspelt_array_is_told_where_it_is_asked_for() -> None:
    names = ("left", "right", "same", "which")
    assert told(names, "same", "which") == []
    assert told(names, "same", "wich") == [("FAC219", "losses[1].target", "did you mean `which`?")]
    assert told(("lfet", *names[1:]), "same", "which") == [("FAC219", "inputs.left", "did you mean `lfet`?")]


def test_a_target_called_as_an_input_is_no_matter_of_the_data() -> None:
    assert [code for code, _, _ in told(("left", "right", "same", "which"), "same", "left")] == ["FAC202"]


def test_an_input_without_a_name_is_to_be_called_as_its_array() -> None:
    data = {"source": "arrays", "train": "train.npz", "test": "test.npz", "names": ("photo", "y")}
    (one,) = diagnosed(data=data)
    assert one.help == "call the input as its array: `inputs: {photo: {shape: [6]}}`"


def test_keys_that_names_make_void_are_refused() -> None:
    data = {"source": "arrays", "train": "a.npz", "test": "b.npz", "names": ["x", "y"], "x": "left"}
    (one,) = check({"data": data})[-1:]
    assert "`x` and `y` say nothing: remove them" in one.message
