"""FAC317, FAC318, FAC320, FAC321 and FAC326: what is said beside what the matrices really do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fac.backend import Session
from fac.checks.laws import variance
from fac.checks.teaching import _top_singular_value
from fac.pipeline import load
from fac.program.lower import lower
from tests.checks.specs import KP, NET, SGD, diagnosed, found, linear, routes
from tests.rules.nets import batch, dense, opened, spec

TAUGHT = {"rule": "fa", "learn": KP}
DECAYED = SGD | {"weight_decay": 0.01}


def update(**fields: Any) -> dict[str, Any]:
    return DECAYED | fields


def gap(session: Session) -> float:
    """|B - W| of the last layer."""
    state = session.state()
    return float(np.linalg.norm(state["fc3.feedback.B"] - state["fc3.weight"]))


@pytest.mark.parametrize(
    "rule",
    [{"rule": "sgd", "lr": 0.1}, {"rule": "sgd", "lr": 0.1, "momentum": 0.9}, {"rule": "adam", "lr": 0.01}],
)
@pytest.mark.parametrize("decay", [0.0, 0.01])
def test_the_distance_of_twins_shrinks_by_decay_alone(rule: dict[str, Any], decay: float) -> None:
    """What FAC317 says: without decay B - W^T keeps its first value, to rounding."""
    session = opened(spec(dense(9, 8, 4), TAUGHT, rule | {"weight_decay": decay}))
    first = gap(session)
    for step in range(40):
        session.step(*batch(seed=step))
    kept = abs(gap(session) / first - 1)
    assert kept < 1e-12 if not decay else kept > 1e-2
    codes = [code for code, _ in found(feedback=TAUGHT, update=rule | {"weight_decay": decay})]
    assert codes == ([] if decay else ["FAC317"])


@pytest.mark.parametrize(
    ("feedback", "place"),
    [
        (TAUGHT, "feedback.learn"),
        (
            routes({"through": "logits", "matrix": {"kind": "random", "learn": KP}}),
            "feedback.routes[0].matrix.learn",
        ),
    ],
)
def test_where_decay_is_missed(feedback: Any, place: str) -> None:
    assert found(feedback=feedback) == [("FAC317", place)]


@pytest.mark.parametrize(
    "feedback",
    [
        {"rule": "fa"},
        {"rule": "dfa", "learn": KP},
        {"rule": "ldfa", "rank": 3},
        {"rule": "ldfa", "rank": 3, "learn": "kolen_pollack"},
    ],
    ids=["fixed", "direct", "pair", "pair with a fixed P"],
)
def test_only_full_twins_want_decay(feedback: Any) -> None:
    assert found(feedback=feedback) == []


def test_decay_may_come_from_a_group() -> None:
    both = SGD | {
        "groups": ({"match": "*.weight", "weight_decay": 0.01}, {"match": "*.B", "weight_decay": 0.01})
    }
    assert found(feedback=TAUGHT, update=both) == []
    one = SGD | {"groups": ({"match": "*.weight", "weight_decay": 0.01},)}
    assert found(feedback=TAUGHT, update=one) == [("FAC318", "update.groups[0]")]


@pytest.mark.parametrize(
    ("fields", "place", "field"),
    [
        ({"feedback": {"lr_scale": 2.0}}, "update.feedback", "`lr` 0.2, not 0.1"),
        ({"feedback": {"weight_decay": 0.0}}, "update.feedback", "`weight_decay` 0, not 0.01"),
        (
            {"feedback": {"use": {"rule": "sgd", "lr": 0.1, "momentum": 0.5, "weight_decay": 0.01}}},
            "update.feedback",
            "`momentum` 0.5, not 0",
        ),
        (
            {"feedback": {"use": {"rule": "adam", "lr": 0.1, "weight_decay": 0.01}}},
            "update.feedback",
            "`rule` `adam`, not `sgd`",
        ),
        ({"groups": ({"match": "fc2.weight", "lr_scale": 0.5},)}, "update.groups[0]", "`lr` 0.1, not 0.05"),
    ],
)
def test_twins_that_do_not_move_alike(fields: dict[str, Any], place: str, field: str) -> None:
    (finding,) = diagnosed(feedback=TAUGHT, update=update(**fields))
    assert found(feedback=TAUGHT, update=update(**fields)) == [("FAC318", place)]
    assert finding.message.endswith(field)


def test_a_twin_that_does_not_move_at_all_has_another_finding() -> None:
    assert found(feedback=TAUGHT, update=update(feedback={"lr_scale": 0.0})) == [
        ("FAC321", "update.feedback.lr_scale")
    ]


def test_settings_that_say_the_same_are_equal() -> None:
    same = {"use": {"rule": "sgd", "lr": 0.1, "weight_decay": 0.01}}
    assert found(feedback=TAUGHT, update=update(feedback=same)) == []
    assert found(feedback=TAUGHT, update=update(groups=({"match": "logits.*", "lr_scale": 0.1},))) == []


def test_unequal_steps_end_somewhere_else() -> None:
    """The reason for FAC318: with equal steps B - W^T dies out, with others it does not."""
    gaps = []
    for scale in (1.0, 3.0):
        decayed = {"rule": "sgd", "lr": 0.1, "weight_decay": 0.1, "feedback": {"lr_scale": scale}}
        session = opened(spec(dense(9, 8, 4), TAUGHT, decayed))
        first = gap(session)
        for step in range(600):
            session.step(*batch(seed=step % 4))
        gaps.append(gap(session) / first)
    assert gaps[0] == pytest.approx(0.99**600, rel=1e-6)
    assert gaps[1] > 5 * gaps[0]


def low_rank(**fields: Any) -> dict[str, Any]:
    return routes({"through": "logits", "matrix": {"kind": "low_rank", "rank": 3} | fields})


@pytest.mark.parametrize(
    ("feedback", "place"),
    [
        ({"rule": "ldfa", "rank": 3, "learn": "normative", "refresh": 1}, "feedback.refresh"),
        (low_rank(refresh=1), "feedback.routes[0].matrix.refresh"),
        (low_rank(refresh=1, read={"rule": "fixed"}), "feedback.routes[0].matrix.refresh"),
        (low_rank(refresh=1, read={"rule": "fixed"}, write={"rule": "fixed"}), None),
        (low_rank(refresh=2), None),
    ],
)
def test_learning_that_is_overwritten(feedback: Any, place: str | None) -> None:
    assert found(feedback=feedback) == ([] if place is None else [("FAC320", place)])


def test_a_refresh_after_every_step_leaves_nothing_of_what_was_learned() -> None:
    """Two ways to learn, one training, to the bit."""
    states = []
    for learning in ({"rule": "normative"}, {"rule": "fixed"}):
        matrix = {
            "kind": "low_rank",
            "rank": 3,
            "init": "svd",
            "refresh": 1,
            "read": learning,
            "write": learning,
        }
        session = opened(spec(dense(9, 8, 4), {"routes": ({"through": "fc3", "matrix": matrix},)}))
        for step in range(3):
            session.step(*batch(seed=step))
        states.append(session.state())
    assert all(np.array_equal(states[0][name], states[1][name]) for name in states[1])


@pytest.mark.parametrize(
    ("fields", "places"),
    [
        ({"feedback": {"lr_scale": 0.0}}, ["update.feedback.lr_scale"]),
        ({"groups": ({"match": "*.feedback.Q", "lr_scale": 0.0},)}, ["update.groups[0].lr_scale"]),
        ({"groups": ({"match": "*.bias", "lr_scale": 0.0},)}, []),
        ({"feedback": {"lr_scale": 0.0}, "groups": ({"match": "*.feedback.Q"},)}, []),
        ({"feedback": {"lr_scale": 0.1}}, []),
    ],
    ids=["feedback", "group", "biases", "a group decides", "small"],
)
def test_a_rate_of_zero(fields: dict[str, Any], places: list[str]) -> None:
    codes = found(feedback={"rule": "ldfa", "rank": 3}, update=update(**fields))
    assert [place for code, place in codes if code == "FAC321"] == places


def test_a_rate_of_zero_of_what_does_not_learn_has_another_finding() -> None:
    zero = update(feedback={"lr_scale": 0.0})
    assert found(feedback={"rule": "fa"}, update=zero) == [("FAC314", "update.feedback")]


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("share", [0.9, 1.2])
def test_the_largest_stable_step_of_normative_learning(share: float, momentum: float) -> None:
    """Below the limit P and Q follow the weight, above it they leave every bound; the check draws the line there."""
    layers = dense(32, 16, 10)
    feedback = {"rule": "ldfa", "rank": 8, "learn": "normative"}
    weight = next(r for r in lower(load(spec(layers, feedback, inputs=20))).routes if r.node == "fc2")
    top = _top_singular_value(weight)
    assert top is not None
    step = {"rule": "sgd", "lr": share * (1 + momentum) / top, "momentum": momentum}
    slow = {"rule": "sgd", "lr": 1e-4, "feedback": {"use": step}}
    session = opened(spec(layers, feedback, slow, inputs=20))
    w = session.state()["fc2.weight"]
    assert top == pytest.approx(np.linalg.svd(w)[1][0], rel=0.06)
    far = 0.0
    for number in range(300):
        session.step(*batch(16, 20, 10, seed=number))
        far = max(far, float(np.abs(session.state()["fc2.feedback.P"]).max()))
        if far > 1e3:
            break
    assert (far > 1e3) == (share > 1)
    codes = {code for code, _ in found(layers, input={"shape": (20,)}, feedback=feedback, update=slow)}
    assert ("FAC326" in codes) == (share > 1)


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"lr": 3.0}, "update.lr"),
        ({"lr": 0.1, "feedback": {"lr_scale": 30.0}}, "update.feedback.lr_scale"),
        ({"lr": 0.1, "feedback": {"use": {"rule": "sgd", "lr": 3.0}}}, "update.feedback"),
        ({"lr": 3.0, "clip": {"by": "norm", "at": 1.0}}, None),
        ({"rule": "adam", "lr": 3.0}, None),
        ({"lr": 3.0, "groups": ({"match": "*.Q", "lr_scale": 0.01},)}, None),
    ],
)
def test_where_a_step_too_large_is_written(fields: dict[str, Any], place: str | None) -> None:
    feedback = {"rule": "ldfa", "rank": 3, "learn": "normative"}
    codes = found(feedback=feedback, update={"rule": "sgd"} | fields)
    assert [p for code, p in codes if code == "FAC326"] == ([] if place is None else [place])


def test_a_weight_of_unknown_spread_is_not_judged() -> None:
    layers = (*NET[:4], linear("logits", 4, init="zeros"))
    feedback = {"rule": "ldfa", "rank": 3, "learn": "normative", "nodes": "logits"}
    assert "FAC326" not in {code for code, _ in found(layers, feedback=feedback, update=SGD | {"lr": 3.0})}
    route = lower(load(spec(dense(9, 8, 4), {"rule": "fa"}))).routes[0]
    assert _top_singular_value(route) is None
    assert variance(route.tensors[0]) == pytest.approx(2 / 9)
