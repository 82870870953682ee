"""FAC219 says before a training what the training would say of the data: an independent look at the data themselves."""

from __future__ import annotations

from typing import Any

import pytest

from fac.diagnostics import FacError
from fac.program.feeds import feeds
from fac.program.lower import lower
from fac.spec.model import ModelSpec
from fac.training.data import load
from fac.training.data.digits import Digits
from fac.training.dataset import fitted
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
