"""Class weights that only the training data tell: counted by hand, and by PyTorch's loss with these counts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import fac
from fac import pipeline, source
from fac.diagnostics import FacError
from fac.experiments.comparing import Design, compared
from fac.experiments.job import Where
from fac.program.feeds import feeds
from fac.training.dataset import Dataset, HeldOut, Split
from fac.training.fitting import fitted
from fac.training.settling import settled

DRAW = np.random.default_rng(0)
NAMES = ("cat", "dog", "owl")
COUNT = np.array([24, 12, 4])
CLASSES = np.repeat([0, 1, 2], COUNT)
PETS = Dataset(
    "pets",
    Split(DRAW.standard_normal((40, 4)), DRAW.permutation(CLASSES)),
    Split(DRAW.standard_normal((30, 4)), np.repeat([0, 1, 2], 10)),
    classes=NAMES,
)
EXACT = Where("reference", precision="float64")


def spec(weight: Any, **loss: Any) -> dict[str, Any]:
    return {
        "fac": 1,
        "name": "pets",
        "input": {"shape": [4]},
        "layers": [
            {"kind": "linear", "out": 6},
            {"kind": "tanh"},
            {"kind": "linear", "name": "out", "out": 3},
        ],
        "loss": {"kind": "cross_entropy", "weight": weight, **loss},
        "feedback": {"rule": "fa"},
        "update": {"rule": "sgd", "lr": 0.1},
        "train": {"epochs": 2, "batch": 8},
    }


def numbers(weight: Any, dataset: Dataset = PETS, **loss: Any) -> Any:
    """What stands in the spec after it was settled."""
    document = source.from_data(spec(weight, **loss))
    made, _ = settled(document, pipeline.lowered(document), dataset, "float64")
    return made.data["loss"]["weight"]


def train(weight: Any, out: Path | None = None, **changes: Any) -> fac.Trained:
    return fac.train(spec(weight), PETS, out=out, backend="reference", precision="float64", **changes)


def same(one: fac.Trained, other: fac.Trained) -> bool:
    ours, theirs = one.session.state(), other.session.state()
    return ours.keys() == theirs.keys() and all(np.array_equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize(
    ("weight", "by_hand"),
    [("balanced", 40 / (3 * COUNT)), ({"owl": 5.0, "cat": 0.5}, np.array([0.5, 1.0, 5.0]))],
)
def test_it_trains_and_measures_with_the_weights_of_pytorch(weight: Any, by_hand: Any) -> None:
    trained = train(weight)
    assert same(trained, train(list(by_hand)))
    assert not same(trained, train([1.0, 1.0, 1.0]))
    output = fac.predict(trained, PETS.test.x)["output"]
    theirs = torch.nn.functional.cross_entropy(
        torch.tensor(output), torch.tensor(PETS.test.y), weight=torch.tensor(by_hand)
    )
    assert fac.evaluate(trained).means["loss"] == pytest.approx(float(theirs), abs=1e-12)


def test_each_class_has_the_same_part_of_the_whole() -> None:
    weight = np.array(numbers("balanced"))
    np.testing.assert_allclose(weight * COUNT, 40 / 3, rtol=1e-15)


def test_what_is_held_out_or_left_out_is_not_counted() -> None:
    held = replace(PETS, held_out=HeldOut(0.25, 7))
    document = source.from_data(spec("balanced"))
    train_on = fitted(held, feeds(pipeline.lowered(document)), "float64").train.y
    count = np.bincount(train_on)
    assert count.sum() == 30
    assert numbers("balanced", held) == tuple(30 / (3 * count))
    y = PETS.train.y.copy()
    y[np.flatnonzero(y == 0)[:18]] = -100
    left = replace(PETS, train=Split(PETS.train.x, y))
    assert numbers("balanced", left, ignore_index=-100) == tuple(22 / (3 * np.array([6, 12, 4])))


def test_a_mask_says_which_labels_are_counted() -> None:
    y, kept = DRAW.integers(0, 3, (20, 5)), DRAW.integers(0, 2, (20, 5))
    dataset = Dataset("tokens", *(Split(x=DRAW.standard_normal((20, 5, 2)), m=kept, y=y) for _ in range(2)))
    document = source.from_data(
        {
            "fac": 1,
            "name": "tokens",
            "inputs": {"x": {"shape": [5, 2]}, "m": {"shape": [5], "mask": True}},
            "layers": [{"kind": "linear", "name": "out", "from": "x", "out": 3}],
            "losses": [{"kind": "cross_entropy", "weight": "balanced", "mask": "m"}],
            "update": {"rule": "sgd", "lr": 0.1},
        }
    )
    made, told = settled(document, pipeline.lowered(document), dataset, "float64")
    count = np.bincount(y[kept == 1])
    assert made.data["losses"][0]["weight"] == tuple(count.sum() / (3 * count))
    assert told[0].startswith("`balanced` of `losses[0].weight`, for the `train` split of `tokens`: `0` ")


@pytest.mark.parametrize(
    ("weight", "classes", "said"),
    [
        ({"kat": 2.0}, NAMES, "no class is called `kat`: did you mean `cat`?"),
        ({"zebra": 2.0}, NAMES, "no class is called `zebra`: there are `cat`, `dog`, `owl`"),
        ({"3": 2.0}, (), "no class is called `3`: there are `0`, `1`, `2`"),
    ],
)
def test_names_of_no_class_are_told(weight: Any, classes: tuple[str, ...], said: str) -> None:
    with pytest.raises(FacError) as caught:
        numbers(weight, replace(PETS, classes=classes))
    assert str(caught.value) == f"`loss.weight` for the `train` split of `pets`: {said}"


def test_a_class_without_a_sample_has_no_weight() -> None:
    few = replace(PETS, train=Split(PETS.train.x, PETS.train.y % 2))
    with pytest.raises(FacError, match="no sample to train on is of class `owl`, so that `balanced`"):
        numbers("balanced", few)


def test_without_data_nothing_runs_and_a_check_says_what_it_can() -> None:
    assert fac.check(spec("balanced"), backend="reference") == ()
    with pytest.raises(FacError, match=r"`loss\.weight` gives `balanced`, and only training data tell"):
        fac.compile(spec("balanced"), "reference")
    many = dict.fromkeys(("cat", "dog", "owl", "cow"), 2.0)
    (finding,) = fac.check(spec(many))
    assert finding.message == "there are 4 class weights, and the network has 3 outputs"


def test_a_run_keeps_the_numbers(tmp_path: Path) -> None:
    by_hand = list(40 / (3 * COUNT))
    whole = train("balanced", tmp_path / "whole")
    run = tmp_path / "run"
    train("balanced", run, overrides=["train.epochs=1"])
    assert str(by_hand[0]) in (run / "spec.fac.yaml").read_text()
    resumed = fac.train(resume=run, data=PETS, overrides=["train.epochs=2"])
    assert resumed.program.spec.minimised[0].weight == tuple(by_hand)  # type: ignore[attr-defined]
    assert same(resumed, whole)
    means = fac.evaluate(run, (PETS.test.x, PETS.test.y), backend="reference", precision="float64").means
    assert means == fac.evaluate(whole).means


def test_a_comparison_trains_all_rows_with_them(tmp_path: Path) -> None:
    document = source.from_data(spec("balanced"))
    design = Design(rules=["bp", "dfa"], seeds=1, audit=False)
    found = compared([document], design, EXACT, out=tmp_path / "out", dataset=PETS)
    plan = json.loads((tmp_path / "out" / "plan.json").read_text())
    assert [row["trains"]["loss"]["weight"] for row in plan["rows"]] == [list(40 / (3 * COUNT))] * 2
    (told,) = (note for note in found.notes if note.startswith("`balanced`"))
    assert told.endswith("`cat` 0.5556, `dog` 1.111, `owl` 3.333")
    other = compared([source.from_data(spec(list(40 / (3 * COUNT))))], design, EXACT, dataset=PETS)
    reports = [
        (row.runs[0].report, beside.runs[0].report)
        for row, beside in zip(found.rows, other.rows, strict=True)
    ]
    assert [one and one.test_loss for one, _ in reports] == [two and two.test_loss for _, two in reports]
    assert all(one for one, _ in reports)
