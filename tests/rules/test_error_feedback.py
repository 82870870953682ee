"""What a low-rank route loses of the errors of one step is added to those of the next."""

from __future__ import annotations

import numpy as np
import pytest

from fac.pipeline import check
from tests.rules.nets import Array, Spec, State, batch, dense, gradients, opened, put, spec

BACKENDS = pytest.mark.parametrize("backend", ["reference", "torch", "onnx"])
CHAIN = dense(9, 8, 4, act="tanh")
RATE, RANK, LR = 0.5, 2, 0.3


def pair(**said: object) -> Spec:
    return {
        "kind": "low_rank",
        "rank": RANK,
        "read": {"rule": "oja", "rate": RATE},
        "error_feedback": True,
    } | said


def routed(**said: object) -> Spec:
    return {"routes": ({"through": "fc3", "matrix": pair(**said)},)}


def errors(state: State, x: Array, y: Array) -> tuple[Array, Array]:
    """The error at the output, and what the layer below reads."""
    h = x
    for layer in ("fc1", "fc2"):
        h = np.tanh(h @ state[f"{layer}.weight"].T + state[f"{layer}.bias"])
    z = h @ state["fc3.weight"].T + state["fc3.bias"]
    e = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    e[np.arange(len(y)), y] -= 1
    return e / len(y), h


@BACKENDS
def test_each_error_gets_the_mean_of_what_was_lost(backend: str) -> None:
    """d + e is read, sent and learned from; e is the mean of what P leaves. Batches differ in size."""
    session, lost = opened(spec(CHAIN, routed()), backend), np.zeros(4)
    for n, seed in ((12, 1), (7, 2), (12, 3)):
        x, y = batch(n, seed=seed)
        state = session.state()
        p, q = state["fc3.feedback.P"], state["fc3.feedback.Q"]
        np.testing.assert_allclose(state["fc3.feedback.lost"], lost, atol=1e-14, rtol=0)
        d, h = errors(state, x, y)
        d = d + lost
        s = d @ p.T
        found = gradients(session, x, y)
        below = s @ q.T * (1 - h * h)
        np.testing.assert_allclose(found["fc2.bias"], below.sum(0), atol=1e-14, rtol=0)
        np.testing.assert_allclose(found["fc3.feedback.Q"], h.T @ s, atol=1e-14, rtol=0)
        step = RATE * (s.T @ d - s.T @ s @ p) / (d * d).sum()
        np.testing.assert_allclose(-found["fc3.feedback.P"], step, atol=1e-13, rtol=0)
        session.step(x, y, lr=LR)
        lost = (d - s @ p).mean(0)
    assert np.abs(lost).max() > 1e-4


@BACKENDS
def test_nothing_is_lost(backend: str) -> None:
    """What P reads of the mean error, and what is kept of it: together the mean error, and what was kept before."""
    session = opened(spec(CHAIN, routed()), backend)
    for seed in range(5):
        x, y = batch(seed=seed)
        before = session.state()
        d, _ = errors(before, x, y)
        session.step(x, y, lr=LR)
        p, old = before["fc3.feedback.P"], before["fc3.feedback.lost"]
        read = (d + old).mean(0) @ p.T @ p
        np.testing.assert_allclose(
            read + session.state()["fc3.feedback.lost"], d.mean(0) + old, atol=1e-14, rtol=0
        )


def test_what_has_no_error_gets_none() -> None:
    """Labels that are ignored: such rows learn nothing, whatever others have lost."""
    x, y = batch()
    data = spec(CHAIN, routed())
    session = opened(data | {"loss": data["loss"] | {"ignore_index": -1}})
    put(session, {"fc3.feedback.lost": np.array([0.3, -0.2, 0.1, 0.4])})
    ignored = np.where(np.arange(12) < 5, -1, y)
    found = gradients(session, x, ignored)
    other = x.copy()
    other[:5] += 1.0
    np.testing.assert_allclose(gradients(session, other, ignored)["fc2.bias"], found["fc2.bias"], atol=1e-15)


def test_without_a_past_a_step_is_that_of_the_pair_alone() -> None:
    x, y = batch()
    alone = gradients(opened(spec(CHAIN, routed(error_feedback=False))), x, y)
    found = gradients(opened(spec(CHAIN, routed())), x, y)
    assert found.keys() - alone.keys() == {"fc3.feedback.lost"}
    for name, gradient in alone.items():
        np.testing.assert_allclose(found[name], gradient, atol=1e-15, rtol=0)


@pytest.mark.parametrize(
    ("said", "about"),
    [
        ({"read": {"rule": "fixed"}}, "`fixed` does not turn P towards what it lost"),
        ({"read": {"rule": "local"}}, "`local` does not turn P towards what it lost"),
        ({"init": "svd"}, "rows of P that are orthonormal"),
        ({"init_P": "zeros"}, "rows of P that are orthonormal"),
    ],
)
def test_where_nothing_would_come_of_it_it_is_refused(said: Spec, about: str) -> None:
    found = [f for f in check(spec(CHAIN, routed(**said))) if f.rule.severity == "error"]
    assert [(f.rule.code, f.path[-1]) for f in found] == [("FAC308", "error_feedback")]
    assert about in found[0].message


@pytest.mark.parametrize("rule", ["ldfa", "direct_ldfa"])
def test_short_hands_hand_it_on(rule: str) -> None:
    session = opened(spec(CHAIN, {"rule": rule, "rank": 2, "error_feedback": True}))
    assert len([name for name in session.state() if name.endswith(".lost")]) == 2
    idle = check(spec(CHAIN, {"rule": rule, "rank": 3, "learn": "fixed", "error_feedback": True}))
    assert [(f.rule.code, f.path) for f in idle] == [("FAC314", ("feedback", "error_feedback"))]
