"""Feedback that takes the step of the forward weight."""

from __future__ import annotations

import numpy as np
import pytest

from fac.backend import Session
from tests.rules.nets import Array, Spec, State, batch, dense, gradients, opened, pairs, spec, square

DECAY, LR = 0.1, 0.05
PLAIN: Spec = {"rule": "sgd", "lr": LR, "weight_decay": DECAY}
UNDECAYED: Spec = {"rule": "sgd", "lr": LR}
HEAVY: Spec = PLAIN | {"momentum": 0.9}
KP: Spec = {"rule": "fa", "learn": {"rule": "kolen_pollack"}}
KP_ROUTES: Spec = {
    "routes": tuple(
        {"through": n, "matrix": {"kind": "random", "learn": {"rule": "kolen_pollack"}}}
        for n in ("fc2", "fc3")
    )
}
DKP_ROUTES: Spec = {
    "routes": tuple(
        {"to": n, "matrix": {"kind": "random", "learn": {"rule": "kolen_pollack"}}} for n in ("fc1", "fc2")
    )
}
KP_Q: Spec = {"rule": "ldfa", "rank": 3, "learn": "kolen_pollack"}
NET = dense(9, 8, 4)


def gap(state: State, layer: str) -> Array:
    """B - W (both weight-shaped), or Q - W^T P^T."""
    weight, name = state[f"{layer}.weight"], f"{layer}.feedback"
    if f"{name}.B" in state:
        return state[f"{name}.B"] - weight
    return np.asarray(state[f"{name}.Q"] - weight.T @ state[f"{name}.P"].T)


@pytest.mark.parametrize("feedback", [KP, KP_Q], ids=["kp", "kp_q"])
@pytest.mark.parametrize("act", ["relu", "tanh"])
def test_t6_the_gap_contracts_by_decay_alone(act: str, feedback: Spec) -> None:
    """(B - W^T)' = (1 - lr decay) (B - W^T), whatever the data say."""
    session = opened(spec(dense(9, 8, 4, act=act), feedback, PLAIN))
    for step in range(30):
        before = session.state()
        session.step(*batch(seed=step))
        after = session.state()
        for layer in ("fc2", "fc3"):
            assert np.abs(after[f"{layer}.weight"] - before[f"{layer}.weight"]).max() > 1e-4
            assert np.abs(gap(after, layer) - (1 - LR * DECAY) * gap(before, layer)).max() <= 2e-13


@pytest.mark.parametrize("feedback", [KP, KP_Q], ids=["kp", "kp_q"])
def test_t6_under_momentum_the_gap_is_a_damped_oscillator(feedback: Spec) -> None:
    """v <- mu v + decay Z, Z <- Z - lr v, with Z = B - W^T."""
    session = opened(spec(NET, feedback, HEAVY))
    z = {layer: gap(session.state(), layer) for layer in ("fc2", "fc3")}
    v = {layer: np.zeros_like(value) for layer, value in z.items()}
    for step in range(100):
        session.step(*batch(seed=step))
        for layer in z:
            v[layer] = 0.9 * v[layer] + DECAY * z[layer]
            z[layer] = z[layer] - LR * v[layer]
            assert np.abs(gap(session.state(), layer) - z[layer]).max() <= 1e-12


@pytest.mark.parametrize("feedback", [KP, KP_Q], ids=["kp", "kp_q"])
def test_decay_aligns_layers_that_are_not_square(feedback: Spec) -> None:
    """500 steps at 1 - lr decay = .95 leave 1e-11 of the gap: B is W^T, or Q is W^T P^T."""
    session = opened(spec(NET, feedback, {"rule": "sgd", "lr": LR, "weight_decay": 1.0}))
    start = {layer: np.abs(gap(session.state(), layer)).max() for layer in ("fc2", "fc3")}
    x, y = batch()
    for _ in range(500):
        session.step(x, y)
    for layer, first in start.items():
        assert first > 0.1
        assert np.abs(gap(session.state(), layer)).max() <= 1e-9


def law(session: Session, x: Array, y: Array, above: str) -> float:
    """The largest miss of the discrete conservation law over layers, for one step of plain SGD.

    C = 1/2 |W_i|^2 + 1/2 |b_i|^2 - 1/2 |F|^2 with F the feedback array called `above`, in which {i} is the
    receiving layer and {j} the one above it, grows by lr^2 / 2 (|G_i|^2 + |g_i|^2 - |gF|^2).
    """
    before, g = session.state(), gradients(session, x, y)
    session.step(x, y)
    after = session.state()
    worst = 0.0
    for lower, upper in pairs(3):
        name = above.format(i=lower, j=upper)

        def energy(state: State, lower: str = lower, name: str = name) -> float:
            return square(state[f"{lower}.weight"], state[f"{lower}.bias"]) - square(state[name])

        grown = energy(after) - energy(before)
        assert square(g[f"{lower}.weight"]) > 1e-6
        worst = max(worst, abs(grown - LR**2 * energy(g)) / 2)
    return worst


@pytest.mark.parametrize("feedback", [KP, KP_ROUTES], ids=["short", "routes"])
def test_t14_weights_and_feedback_grow_in_step(feedback: Spec) -> None:
    """Law (12): the feedback above takes the place that the forward weight has in backpropagation."""
    session = opened(spec(NET, feedback, UNDECAYED))
    assert max(law(session, *batch(seed=s), above="{j}.feedback.B") for s in range(200)) <= 1e-12


def test_t14_the_feedback_gradient_is_that_of_the_weight() -> None:
    found = gradients(opened(spec(NET, KP_ROUTES, UNDECAYED)), *batch())
    for layer in ("fc2", "fc3"):
        np.testing.assert_allclose(found[f"{layer}.feedback.B"], found[f"{layer}.weight"], atol=1e-15, rtol=0)


def test_t15_direct_kolen_pollack_grows_in_step() -> None:
    """Law (14), with the direct matrix of the layer itself and gB = H^T e."""
    session = opened(spec(NET, DKP_ROUTES, UNDECAYED))
    assert max(law(session, *batch(seed=s), above="{i}.feedback.B") for s in range(200)) <= 1e-12


@pytest.mark.parametrize("learning", [DKP_ROUTES, {"rule": "dfa"}], ids=["learned", "fixed"])
def test_t15_direct_feedback_balances_each_layer_against_its_own_matrix(learning: Spec) -> None:
    """<W_i, G_i> + <b_i, g_i> = <B_i, H_i^T e>; the gradient of a direct Kolen-Pollack matrix is H_i^T e."""
    x, y = batch()
    session = opened(spec(NET, learning, UNDECAYED))
    state, g, h = session.state(), gradients(session, x, y), [x]
    for i in (1, 2, 3):
        h.append(np.maximum(h[-1] @ state[f"fc{i}.weight"].T + state[f"fc{i}.bias"], 0 if i < 3 else -np.inf))
    softmax = np.exp(h[3]) / np.exp(h[3]).sum(1, keepdims=True)
    e = (softmax - np.eye(4)[y]) / len(x)
    for i in (1, 2):
        own = sum(np.vdot(state[f"fc{i}.{part}"], g[f"fc{i}.{part}"]) for part in ("weight", "bias"))
        assert abs(own - np.vdot(state[f"fc{i}.feedback.B"], h[i].T @ e)) <= 2e-14
        if "routes" in learning:
            np.testing.assert_allclose(g[f"fc{i}.feedback.B"], h[i].T @ e, atol=1e-15, rtol=0)


@pytest.mark.parametrize(
    ("learn", "factors"), [("kolen_pollack", "Q"), ("local", "QP")], ids=["kp_q", "local"]
)
@pytest.mark.parametrize("act", ["relu", "leaky_relu"])
def test_t13_weights_and_factors_grow_in_step(act: str, learn: str, factors: str) -> None:
    """Law (13), in Q and, for synapse-local learning, in P too."""
    for factor in factors:
        session = opened(
            spec(dense(9, 8, 4, act=act), {"rule": "ldfa", "rank": 3, "learn": learn}, UNDECAYED)
        )
        above = "{j}.feedback." + factor
        assert max(law(session, *batch(seed=s), above=above) for s in range(100)) <= 8e-13


def test_t13_direct_low_rank_grows_in_step() -> None:
    """Law (13) for Q_i on a direct route, whose receiver is the layer's own output."""
    session = opened(spec(NET, {"rule": "direct_ldfa", "rank": 3, "learn": "kolen_pollack"}, UNDECAYED))
    assert max(law(session, *batch(seed=s), above="{i}.feedback.Q") for s in range(100)) <= 5e-13
