"""FAC338: which feedback a negative scale turns round, and what that does to the errors of a training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.checks.specs import KP, diagnosed, found, routes
from tests.rules.nets import batch, dense, opened, spec

FORWARD = {"rule": "forward_gradient", "rate": 0.3}
MIRROR = {"rule": "weight_mirror"}


@pytest.mark.parametrize(
    ("feedback", "told"),
    [
        ({"rule": "fa", "learn": KP}, "learns by `kolen_pollack`"),
        ({"rule": "fa", "learn": MIRROR}, "learns by `weight_mirror`"),
        ({"rule": "dfa", "learn": FORWARD}, "learns by `forward_gradient`"),
        ({"rule": "ldfa", "rank": 4}, "learns by `kolen_pollack`"),
        ({"rule": "usf"}, "is made of the weight"),
        ({"rule": "fa"}, ""),
        ({"rule": "dfa"}, ""),
        ({"rule": "ldfa", "rank": 4, "learn": "fixed"}, ""),
    ],
)
def test_which_is_turned(feedback: dict[str, Any], told: str) -> None:
    messages = [d.message for d in diagnosed(feedback=feedback | {"scale": -1.0}) if d.rule.code == "FAC338"]
    assert len(messages) == bool(told)
    assert all(told in message and "a `scale` of -1 sends the opposite" in message for message in messages)
    assert "FAC338" not in [code for code, _ in found(feedback=feedback | {"scale": 2.0})]


def test_only_p_learns_and_the_sign_of_q_is_as_good_as_its_opposite() -> None:
    pair = {"kind": "low_rank", "rank": 4, "scale": -1.0, "read": {"rule": "oja"}, "write": {"rule": "fixed"}}
    assert "FAC338" not in [code for code, _ in found(feedback=routes({"through": "fc2", "matrix": pair}))]


@pytest.mark.parametrize(
    "feedback",
    [
        {"rule": "fa", "learn": KP},
        {"rule": "fa", "learn": MIRROR},
        {"rule": "dfa", "learn": FORWARD},
        {"rule": "usf"},
    ],
)
def test_what_is_sent_then_points_the_other_way(feedback: dict[str, Any]) -> None:
    """The cosine of the error below one matrix and the true one, after 300 steps on a task that can be learned."""
    for sign in (1, -1):
        assert sign * _cosine(feedback | {"scale": float(sign)}) > 0.25
    assert _cosine({"rule": "fa", "scale": -1.0}) > 0.25


def _cosine(feedback: dict[str, Any]) -> float:
    def data(seed: int) -> tuple[Any, Any]:
        x, _ = batch(n=40, seed=seed)
        return x, np.argmax(x[:, :4], axis=1)

    made = spec(dense(9, 8, 4, act="tanh"), feedback, {"rule": "sgd", "lr": 0.3, "weight_decay": 0.02})
    session = opened(made | {"probes": ({"kind": "alignment"},)})
    for number in range(300):
        session.step(*data(number))
    return session.probe(*data(1000))["fc2.error.cosine"]
