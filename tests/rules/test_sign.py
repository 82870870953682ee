"""Sign-symmetric feedback (arXiv 1510.05067): the signs of the weight, and other sizes."""

from __future__ import annotations

from math import pi, sqrt
from typing import Any

import numpy as np
import pytest

from fac.backend import Session
from fac.feedback.sign import SIGN, Sign
from fac.pipeline import check
from fac.testing.declarations import check_declarations
from tests.rules.nets import (
    BP,
    Array,
    Spec,
    State,
    batch,
    dense,
    distance,
    gradients,
    opened,
    pairs,
    put,
    spec,
)

NET = dense(9, 8, 4)
PLAIN: Spec = {"rule": "sgd", "lr": 0.01}
WIDE = dense(300, 400, 4, init={"kind": "normal", "std": 0.1})


def feedback(session: Session, layer: str, size: str) -> Array:
    """F, written down anew."""
    state = session.state()
    weight = state[f"{layer}.weight"]
    sizes: dict[str, Any] = {
        "spread": weight.std(),
        "fans": sqrt(2 / sum(weight.shape)),
        "one": 1.0,
    }
    drawn = state.get(f"{layer}.feedback.M")
    return np.sign(weight) * (np.abs(drawn) if drawn is not None else sizes[size])


def by_hand(session: Session, x: Array, y: Array, size: str) -> State:
    """The gradients of three layers with ReLU between them, a product at a time."""
    s = session.state()
    h1 = np.maximum(x @ s["fc1.weight"].T + s["fc1.bias"], 0)
    h2 = np.maximum(h1 @ s["fc2.weight"].T + s["fc2.bias"], 0)
    z = h2 @ s["fc3.weight"].T + s["fc3.bias"]
    p = np.exp(z - z.max(1, keepdims=True))
    e = (p / p.sum(1, keepdims=True) - np.eye(4)[y]) / len(x)
    d2 = (e @ feedback(session, "fc3", size)) * (h2 > 0)
    d1 = (d2 @ feedback(session, "fc2", size)) * (h1 > 0)
    return {"fc3.weight": e.T @ h2, "fc2.weight": d2.T @ h1, "fc1.weight": d1.T @ x, "fc1.bias": d1.sum(0)}


@pytest.mark.parametrize("size", ["spread", "fans", "one", "drawn", "redrawn"])
@pytest.mark.parametrize("backend", ["reference", "torch", "onnx"])
def test_errors_pass_the_signs_of_the_weight_with_those_sizes(size: str, backend: str) -> None:
    route = {"through": "fc*", "matrix": {"kind": "sign", "size": size}}
    session = opened(spec(NET, {"routes": (route | {"through": "fc2"}, route | {"through": "fc3"})}), backend)
    for step in range(3):
        x, y = batch(seed=step)
        assert distance(by_hand(session, x, y, size), gradients(session, x, y)) <= 1e-14
        session.step(x, y)


def test_t2_with_the_sizes_of_the_weight_it_is_backpropagation() -> None:
    session, exact = opened(spec(NET, {"rule": "frsf"})), opened(spec(NET, BP))
    state = session.state()
    put(session, {f"{n}.feedback.M": -np.abs(state[f"{n}.weight"]) for n in ("fc2", "fc3")})
    assert distance(gradients(session, *batch()), gradients(exact, *batch())) <= 1e-15


@pytest.mark.parametrize(
    ("rule", "init", "expected"),
    [
        ("usf", {"kind": "normal", "std": 0.1}, sqrt(2 / pi)),
        ("usf", "kaiming_uniform", sqrt(3) / 2),
        ("frsf", {"kind": "normal", "std": 0.1}, 2 / pi),
        ("frsf", "kaiming_uniform", 0.75),
        ("brsf", {"kind": "normal", "std": 0.1}, 2 / pi),
        ("brsf", "kaiming_uniform", 0.75),
    ],
)
def test_the_angle_to_the_weight_is_that_of_independent_sizes(rule: str, init: Any, expected: float) -> None:
    session = opened(spec(dense(300, 400, 4, init=init), {"rule": rule}))
    for _ in range(2):
        weight, f = session.state()["fc2.weight"], feedback(session, "fc2", "spread")
        cosine = float((weight * f).sum() / np.linalg.norm(weight) / np.linalg.norm(f))
        assert abs(cosine - expected) <= 0.006
        session.step(*batch(), lr=0.0)


def test_a_size_is_drawn_once_or_at_every_step() -> None:
    once, anew = (opened(spec(WIDE, {"rule": rule})) for rule in ("frsf", "brsf"))
    kept, seen = once.state()["fc2.feedback.M"], [np.abs(anew.state()["fc2.feedback.M"]).ravel()]
    for step in range(3):
        once.step(*batch(seed=step))
        anew.step(*batch(seed=step))
        assert np.array_equal(once.state()["fc2.feedback.M"], kept)
        seen.append(np.abs(anew.state()["fc2.feedback.M"]).ravel())
    for drawn in seen:
        assert abs(drawn.mean() / (0.1 * sqrt(2 / pi)) - 1) <= 0.01
        assert abs((drawn**2).mean() / 0.01 - 1) <= 0.02
    apart = np.corrcoef(seen) - np.eye(4)
    assert np.abs(apart).max() <= 0.015  # four standard deviations of independent ones


@pytest.mark.parametrize("size", ["fans", "one"])
def test_t17_a_step_in_which_no_sign_turns_conserves_as_a_fixed_matrix_does(size: str) -> None:
    """Law (7): |W|^2 / 2 + |b|^2 / 2 - a |W'|_1 grows by lr^2 / 2 (|G|^2 + |g|^2)."""

    def a(weight: Array) -> float:
        return 1.0 if size == "one" else sqrt(2 / sum(weight.shape))

    session, seen = opened(spec(NET, {"rule": "usf", "size": size}, PLAIN)), 0

    def energy(state: State, lower: str, upper: str) -> float:
        own = (state[f"{lower}.weight"] ** 2).sum() + (state[f"{lower}.bias"] ** 2).sum()
        return float(own / 2 - a(state[f"{upper}.weight"]) * np.abs(state[f"{upper}.weight"]).sum())

    for step in range(50):
        x, y = batch(seed=step)
        before, g = session.state(), gradients(session, x, y)
        session.step(x, y)
        after = session.state()
        for lower, upper in pairs(3):
            grown = energy(after, lower, upper) - energy(before, lower, upper)
            expected = (
                PLAIN["lr"] ** 2 / 2 * ((g[f"{lower}.weight"] ** 2).sum() + (g[f"{lower}.bias"] ** 2).sum())
            )
            if np.array_equal(np.sign(after[f"{upper}.weight"]), np.sign(before[f"{upper}.weight"])):
                seen += 1
                assert abs(grown - expected) <= 1e-13
    assert seen >= 20


@pytest.mark.parametrize(("rule", "voided"), [("usf", True), ("frsf", False), ("brsf", True)])
def test_what_is_conserved_is_said(rule: str, voided: bool) -> None:
    probed = spec(NET, {"rule": rule}, PLAIN) | {"probes": ({"kind": "conservation"},)}
    assert any(found.rule.code == "FAC328" for found in check(probed)) == voided


def test_it_cannot_go_to_a_layer() -> None:
    to = {"routes": ({"to": "fc1", "matrix": {"kind": "sign"}},)}
    (found,) = (f for f in check(spec(NET, to)) if f.rule.severity.name == "ERROR")
    assert "signs are those of a forward weight" in found.message


def test_a_law_that_cannot_be_drawn_anew_is_told() -> None:
    route = {"through": "fc2", "matrix": {"kind": "sign", "size": "redrawn", "init": "orthogonal"}}
    (found,) = (f for f in check(spec(NET, {"routes": (route,)})) if f.rule.severity.name == "ERROR")
    assert "`orthogonal`" in found.message


def test_sizes_of_zero_are_told() -> None:
    found = check(spec(NET, {"rule": "frsf", "init": "zeros"}))
    assert [f.rule.code for f in found] == ["FAC319"]


@pytest.mark.parametrize("size", ["spread", "fans", "one", "drawn", "redrawn"])
def test_what_it_says_of_itself(size: Any) -> None:
    check_declarations(SIGN, Sign(size=size))
