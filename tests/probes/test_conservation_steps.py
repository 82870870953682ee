"""The probe `conservation` where errors are sums, signs, targets or more than a matrix makes, or parameters stay.

What is told is compared with one step of plain SGD, in float64: C grows by lr^2 growth, within 1e-13 of numbers of the
order of 10. What no law tells is named by FAC328.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fac
from fac.backend import Session
from tests.rules.nets import Spec, batch, dense, opened, put, spec

LR = 0.05
SGD: Spec = {"rule": "sgd", "lr": LR}
NET = dense(9, 8, 7, 4)
KP: Spec = {"rule": "kolen_pollack"}
HIDDEN = {"fc1", "fc2", "fc3"}
PROBES = ({"kind": "conservation", "neurons": True},)


def asked(feedback: Any, update: Spec = SGD, **train: Any) -> Spec:
    made = spec(NET, feedback, update) | {"probes": PROBES}
    return made | {"train": made["train"] | train}


def said(made: Spec) -> list[str]:
    """The messages of FAC328."""
    return [d.message for d in fac.check(made) if d.rule.code == "FAC328"]


def follows(session: Session, n: int = 24) -> set[str]:
    """Steps, at each of which balances hold and C grows as is told; the layers at which a C is told."""
    told = set[str]()
    for step in range(3):
        x, y = batch(n, seed=step)
        before = session.probe(x, y)
        session.step(x, y)
        after = session.probe(x, y)
        assert {f"{layer}.balance" for layer in HIDDEN} <= before.keys()
        assert all(value <= 1e-13 for name, value in before.items() if name.endswith(".balance"))
        told = {layer for layer in HIDDEN if f"{layer}.conserved" in before}
        for layer in told:
            grown = after[f"{layer}.conserved"] - before[f"{layer}.conserved"]
            growth = before[f"{layer}.growth"]
            assert abs(growth) > 1e-5
            assert grown == pytest.approx(LR**2 * growth, rel=1e-8, abs=1e-13), layer
    return told


@pytest.mark.parametrize(
    ("feedback", "told"),
    [
        ({"rule": "dfa"}, {"fc3"}),
        ({"rule": "dfa", "learn": KP, "scale": 0.7}, HIDDEN),
        ({"rule": "direct_ldfa", "rank": 3}, HIDDEN),
        ({"rule": "direct_ldfa", "rank": 3, "learn": "fixed"}, {"fc3"}),
        ({"rule": "drtp"}, set()),
    ],
)
def test_sums_are_as_many_times_the_means_as_there_are_samples(feedback: Spec, told: set[str]) -> None:
    assert follows(opened(asked(feedback | {"error_scale": "sum"}))) == told


@pytest.mark.parametrize("scale", ["mean", "sum"])
def test_targets_and_signs_are_no_error_that_a_weight_learns_from(scale: str) -> None:
    for feedback, cause in (
        ({"rule": "drtp"}, "no weight follows an error that comes directly from `targets`"),
        ({"rule": "dfa", "signs": True}, "no weight follows the signs of `loss`"),
    ):
        made = asked({**feedback, "error_scale": scale})
        assert said(made) == [f"nothing is conserved at `fc1`, `fc2` and `fc3`: {cause}"]
        assert follows(opened(made)) == set()


def test_feedback_that_follows_signs_conserves() -> None:
    made = asked({"rule": "dfa", "signs": True, "learn": KP})
    assert not said(made)
    assert follows(opened(made)) == HIDDEN


@pytest.mark.parametrize("rule", ["ldfa", "direct_ldfa"])
def test_what_was_lost_is_part_of_what_is_sent(rule: str) -> None:
    """Neurons, too. From the second step on `lost` is there; P has rows that are hardly orthonormal by then."""
    feedback = {"rule": rule, "rank": 2, "error_feedback": True}
    made = asked(feedback)
    session = opened(made)
    assert not said(made)
    assert follows(session) == HIDDEN
    lost = [array for name, array in session.state().items() if name.endswith(".lost")]
    assert lost
    assert all(np.abs(array).max() > 1e-6 for array in lost)
    assert ("fc1.neurons.balance" in session.probe(*batch())) == (rule == "ldfa")


def test_anchors_by_another_rule_are_named() -> None:
    made = asked({"rule": "fa"}, anchor={"every": 2, "rule": "bp"})
    assert said(made) == ["`conserved` drifts at `fc1`, `fc2` and `fc3` because of anchors by another rule"]
    session = opened(made)
    off = []
    for step in range(2):
        x, y = batch(seed=step)
        before = session.probe(x, y)
        session.step(x, y)
        grown = session.probe(x, y)["fc3.conserved"] - before["fc3.conserved"]
        off.append(abs(grown - LR**2 * before["fc3.growth"]))
    assert off[0] <= 1e-13
    assert off[1] > 1e-6


def test_an_anchor_leaves_a_layer_as_it_is_whose_errors_come_the_same_way() -> None:
    routes = {"routes": ({"through": "fc4", "matrix": {"kind": "random"}},)}
    made = asked(routes, anchor={"every": 2, "rule": "bp"})
    assert said(made) == ["`conserved` drifts at `fc3` because of anchors by another rule"]


@pytest.mark.parametrize("rule", ["bp", "fa", "dfa"])
def test_growth_counts_no_bias_that_stays(rule: str) -> None:
    made = asked({"rule": rule}, SGD | {"groups": ({"match": "*.bias", "trainable": False},)})
    session = opened(made)
    state = session.state()
    put(session, {name: 0 * array for name, array in state.items() if name.endswith(".bias")})
    assert follows(session) == (HIDDEN if rule != "dfa" else {"fc3"})


def test_units_that_are_kept_are_named() -> None:
    made = asked({"rule": "fa"}, SGD | {"groups": ({"match": "fc2.bias", "keep": 3},)})
    assert said(made) == ["`conserved` drifts at `fc2` because of gradients of which `keep` leaves out some"]
