"""FAC211, FAC217 and FAC218: the numbers at which they begin."""

from __future__ import annotations

from typing import Any

import pytest

from tests.checks.specs import SGD, diagnosed, found

TRAIN = {"epochs": 20}


def scheduled(schedule: Any, **sections: Any) -> list[tuple[str, str]]:
    return found(update=SGD | {"schedule": schedule}, **({"train": TRAIN} | sections))


@pytest.mark.parametrize(
    ("schedule", "place"),
    [
        ({"kind": "step", "every": 20}, "every"),
        ({"kind": "step", "every": 5, "gamma": 1.0}, "gamma"),
        ({"kind": "cosine", "floor": 1.0}, "floor"),
        ({"kind": "cosine", "warmup": {"epochs": 21}}, "warmup.epochs"),
        ({"kind": "constant", "warmup": {"epochs": 40}}, "warmup.epochs"),
    ],
)
def test_schedules_that_never_fall(schedule: Any, place: str) -> None:
    assert scheduled(schedule) == [("FAC211", f"update.schedule.{place}")]


@pytest.mark.parametrize(
    "schedule",
    [
        "constant",
        "cosine",
        {"kind": "step", "every": 19},
        {"kind": "cosine", "warmup": {"epochs": 20}},
        {"kind": "cosine", "warmup": 10**9},
    ],
)
def test_schedules_that_do(schedule: Any) -> None:
    """How many steps an epoch has depends on the data: without such a warm-up in steps is not judged."""
    assert scheduled(schedule) == []


@pytest.mark.parametrize(("warmup", "told"), [(100, False), (101, True)])
def test_a_warm_up_in_steps_is_judged_where_their_number_is_known(warmup: int, told: bool) -> None:
    data = {"source": "teacher", "task": "classification", "inputs": 6, "outputs": 4, "n": 160}
    found = scheduled({"kind": "cosine", "warmup": warmup}, data=data, train=TRAIN | {"batch": 32})
    assert found == [("FAC211", "update.schedule.warmup")] * told


def test_nothing_is_said_where_others_decide_how_long_it_trains() -> None:
    late = {"kind": "step", "every": 20}
    assert scheduled(late, train={"batch": 32}) == []
    data = {"source": "teacher", "task": "classification", "inputs": 6, "outputs": 4}
    assert scheduled(late, train={}, data=data) == [("FAC211", "update.schedule.every")]


@pytest.mark.parametrize(
    ("update", "places"),
    [
        ({"weight_decay": 9.99}, []),
        ({"weight_decay": 10.0}, ["update.weight_decay"]),
        ({"rule": "adamw", "lr": 200.0}, ["update.lr"]),
        ({"rule": "adam", "weight_decay": 100.0}, []),
        (
            {"weight_decay": 1.0, "groups": ({"match": "*.bias", "lr_scale": 10.0},)},
            ["update.groups[0].lr_scale"],
        ),
        ({"groups": ({"match": "*.bias", "weight_decay": 10.0},)}, ["update.groups[0].weight_decay"]),
        (
            {"groups": ({"match": "*", "use": {"rule": "sgd", "lr": 2.0, "weight_decay": 0.5}},)},
            ["update.groups[0].use.weight_decay"],
        ),
        (
            {"feedback": {"use": {"rule": "adamw", "lr": 100.0}}},
            ["update.feedback.use.lr"],
        ),
    ],
)
def test_weight_decay_that_erases(update: dict[str, Any], places: list[str]) -> None:
    feedback = {"rule": "ldfa", "rank": 3}
    assert found(update=SGD | update, feedback=feedback) == [("FAC217", place) for place in places]


def test_the_factor_is_the_one_of_a_step() -> None:
    (finding,) = diagnosed(update=SGD | {"weight_decay": 25.0})
    assert finding.message == "every step multiplies a weight by 1 - 0.1 * 25 = -1.5"


@pytest.mark.parametrize(
    ("betas", "codes"),
    [
        ({}, []),
        ({"beta2": 0.95}, []),
        ({"beta1": 0.0}, []),
        ({"beta1": 0.9, "beta2": 0.6562}, []),
        ({"beta1": 0.9, "beta2": 0.656}, ["FAC218"]),
        ({"beta1": 0.999, "beta2": 0.9}, ["FAC218"]),
    ],
)
def test_moments_of_adam(betas: dict[str, float], codes: list[str]) -> None:
    """beta1^2 against the root of beta2: 0.81^2 = 0.6561."""
    adam = {"rule": "adam", "lr": 0.001} | betas
    assert [code for code, _ in found(update=adam)] == codes
    used = SGD | {"groups": ({"match": "*.weight", "use": adam},), "weight_decay": 0.01}
    assert [code for code, _ in found(update=used)] == codes


def test_settings_of_feedback_are_looked_at() -> None:
    use = {"rule": "adamw", "lr": 0.001, "beta1": 0.999, "beta2": 0.9}
    feedback = {"rule": "ldfa", "rank": 3}
    update = SGD | {"feedback": {"use": use}}
    assert found(update=update, feedback=feedback) == [("FAC218", "update.feedback.use.beta1")]
