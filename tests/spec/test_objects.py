"""Specs built as Python objects mean what the same text means."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

import fac
from fac import feedback, layers, losses, updates
from fac.pipeline import spec_hash

TEXT = {
    "fac": 1,
    "name": "built",
    "input": {"shape": [4]},
    "layers": [
        {"kind": "linear", "name": "fc1", "out": 5},
        {"kind": "leaky_relu", "slope": 0.2},
        {"kind": "linear", "name": "out", "out": 3},
    ],
    "loss": {"kind": "cross_entropy"},
    "feedback": {"rule": "ldfa", "rank": 2},
    "update": {"rule": "sgd", "lr": 0.1, "momentum": 0.9},
}


def built(update: object) -> fac.ModelSpec:
    return fac.ModelSpec(
        fac=1,
        name="built",
        input=fac.Input(shape=(4,)),
        layers=(
            layers.Linear(name="fc1", out=5),
            layers.LeakyRelu(slope=0.2),
            layers.Linear(name="out", out=3),
        ),
        loss=losses.CrossEntropy(),
        feedback=feedback.Ldfa(rank=2),
        update=update,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    "update",
    [updates.Sgd(lr=0.1, momentum=0.9), {"rule": "sgd", "lr": 0.1, "momentum": 0.9}],
    ids=["object", "data"],
)
def test_objects_and_text_are_one_spec(update: object) -> None:
    assert built(update) == fac.load(TEXT)
    assert spec_hash(built(update)) == spec_hash(fac.load(TEXT))
    assert fac.check(built(update)) == ()


def test_they_compile() -> None:
    session = fac.compile(built(updates.Adam(lr=0.1)), backend="reference").open()
    assert "fc1.weight.mean" in session.state()


def test_objects_are_as_strict_as_text() -> None:
    with pytest.raises(ValidationError, match="out"):
        layers.Linear(out="5")  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match="lr"):
        built(updates.Sgd.model_construct(lr=-1.0))
