"""Specs built as Python objects mean what the same text means."""

from __future__ import annotations

from typing import Literal

import pytest
from pydantic import Field, ValidationError, create_model

import fac
from fac import feedback, layers, losses, updates
from fac.pipeline import spec_hash
from fac.spec.base import Model, dumped, written

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


@pytest.mark.parametrize(
    ("key", "value", "same"),
    [
        ("train", {"epochs": 5}, True),
        ("constraints", {}, True),
        ("$schema", "schemas/fac.v1.schema.json", True),
        ("train", {"epochs": 6}, False),
        ("feedback", {"rule": "ldfa", "rank": 3}, False),
        ("feedback", {"rule": "ldfa", "rank": 2, "learn": "oja_kp"}, True),
        ("probes", [], False),
        ("loss", {"kind": "mse"}, False),
    ],
)
def test_the_hash_is_of_the_meaning(key: str, value: object, same: bool) -> None:
    """A default that is written out changes nothing."""
    assert (spec_hash(fac.load(TEXT | {key: value})) == spec_hash(fac.load(TEXT))) is same


def test_a_field_that_a_later_version_adds_changes_no_hash() -> None:
    later = create_model("Linear", __base__=layers.Linear, groups=(int, 1))
    assert written(later(out=3)) == written(layers.Linear(out=3)) == {"kind": "linear", "out": 3}
    assert written(later(out=3, groups=2)) != written(layers.Linear(out=3))  # type: ignore[call-arg]


class Odd(Model):
    """What fields of plug-ins may be."""

    kind: Literal["odd"] = "odd"
    out: int = 3
    hidden: int = Field(default_factory=lambda data: 2 * data["out"])
    tags: frozenset[str] = frozenset()
    on: float | bool = 1.0


def test_fields_of_any_sort_have_one_hash() -> None:
    """Defaults made of other fields, sets, in one order in every process, and truth that is no number."""
    assert written(Odd(out=4, hidden=8)) == written(Odd(out=4)) == {"kind": "odd", "out": 4}
    assert written(Odd(hidden=8)) == {"kind": "odd", "hidden": 8}
    names = [f"tag{i}" for i in range(9)]
    tagged = Odd(tags=frozenset(names[::-1]))
    assert written(tagged)["tags"] == names
    known = {"kind": "odd", "tags": names[::-1]}
    assert dumped(tagged, known) == known
    assert (written(Odd(on=True)), written(Odd(on=1.0))) == ({"kind": "odd", "on": True}, {"kind": "odd"})


def test_kinds_without_settings_differ() -> None:
    assert written(layers.Relu()) == {"kind": "relu"}
    assert written(layers.Tanh()) == {"kind": "tanh"}


def test_they_compile() -> None:
    session = fac.compile(built(updates.Adam(lr=0.1)), backend="reference").open()
    assert "fc1.weight.mean" in session.state()


def test_objects_are_as_strict_as_text() -> None:
    with pytest.raises(ValidationError, match="out"):
        layers.Linear(out="5")  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match="lr"):
        built(updates.Sgd.model_construct(lr=-1.0))
