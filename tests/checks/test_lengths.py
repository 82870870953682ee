"""What comes at every so many steps, and how many a training has: part of FAC314."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fac.checks.lengths import steps_of
from fac.pipeline import compile, lowered
from fac.training.data import declared, load
from fac.training.loop import train
from tests.checks.specs import NET, SGD, diagnosed, found

DATA = {"source": "teacher", "task": "classification", "inputs": 6, "outputs": 4, "n": 100, "test": 20}
NORMATIVE = {"rule": "ldfa", "rank": 4, "learn": "normative"}
PAIR = {"kind": "low_rank", "rank": 4, "init": "svd"}


def sections(every: int | None = None, **train: Any) -> dict[str, Any]:
    """3 epochs of 100 // 30 steps."""
    anchor = {} if every is None else {"anchor": {"every": every, "rule": "bp"}}
    return {"feedback": {"rule": "dfa"}, "data": DATA, "train": {"epochs": 3, "batch": 30, **anchor, **train}}


def test_the_steps_are_those_of_the_training() -> None:
    base = {"fac": 1, "name": "t", "input": {"shape": (6,)}, "layers": NET, "loss": {"kind": "cross_entropy"}}
    program = lowered(base | {"update": SGD} | sections())
    session = compile(program.spec, backend="reference").open()
    train(session, load(declared(program.spec.data, "t"), Path(), "float64"), program.spec)
    assert steps_of(program) == session.steps == 9


@pytest.mark.parametrize(("every", "told"), [(9, False), (10, True)])
def test_an_anchor_that_never_comes(every: int, told: bool) -> None:
    assert found(**sections(every)) == [("FAC314", "train.anchor.every")] * told


@pytest.mark.parametrize(
    ("feedback", "place"),
    [
        (NORMATIVE, "feedback.refresh"),
        ({"routes": ({"through": "*", "matrix": PAIR},)}, "feedback.routes[0].matrix.refresh"),
    ],
)
@pytest.mark.parametrize(("every", "told"), [(9, False), (10, True)])
def test_factors_that_are_never_set_anew(feedback: Any, place: str, every: int, told: bool) -> None:
    if "routes" in feedback:
        (route,) = feedback["routes"]
        feedback = {"routes": (route | {"matrix": PAIR | {"refresh": every}},)}
    else:
        feedback = feedback | {"refresh": every}
    assert [f for f in found(**sections() | {"feedback": feedback}) if f[0] == "FAC314"] == [
        ("FAC314", place)
    ] * told


def test_nothing_is_said_where_the_samples_are_not_counted() -> None:
    arrays = {"source": "arrays", "train": "a.npz", "test": "b.npz"}
    assert found(**sections(10**6) | {"data": arrays}) == []


def test_what_is_solved_makes_no_steps() -> None:
    solved = {key: value for key, value in sections(10).items() if key != "feedback"}
    assert found(update=None, solve={"rule": "zorb"}, **solved)[0] == ("FAC251", "train.epochs")
    assert "FAC314" not in [code for code, _ in found(update=None, solve={"rule": "zorb"}, **solved)]


def test_a_training_of_one_step_has_no_anchor() -> None:
    """There `every: 1` would be the help, which the spec refuses."""
    (finding,) = diagnosed(**sections(2, epochs=1, batch=90))
    assert finding.help == "remove the anchor, or train longer"


def test_the_message() -> None:
    (finding,) = diagnosed(**sections(10))
    assert finding.message == "`anchor` has no effect before step 10, and the training ends with step 9"


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"split_seed": 3}, True),
        ({"split_seed": 3, "validation": 0.1}, False),
        ({"validation": 0.1}, False),
        ({}, False),
    ],
)
def test_a_seed_by_which_nothing_is_drawn(settings: dict[str, Any], told: bool) -> None:
    assert found(**sections() | {"data": DATA | settings}) == [("FAC314", "data.split_seed")] * told


def test_a_share_for_testing_is_drawn_too() -> None:
    table = {"source": "csv", "train": "a.csv", "y": "k", "split_seed": 3}
    assert found(**sections() | {"data": table | {"test_share": 0.5}}) == []
    assert found(**sections() | {"data": table | {"test": "b.csv"}}) == [("FAC314", "data.split_seed")]


def test_what_is_held_out_counts_for_the_steps() -> None:
    """3 epochs of 90 // 30 steps, where there were 100 // 30; with 0.2 it is 80 // 30."""
    for share, every in ((0.1, 10), (0.2, 7)):
        held = sections(every) | {"data": DATA | {"validation": share}}
        assert found(**held) == [("FAC314", "train.anchor.every")]
        assert found(**sections(every - 1) | {"data": DATA | {"validation": share}}) == []
