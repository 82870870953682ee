"""Rules whose P and Q together stand for the weight: normative and synapse-local learning."""

from __future__ import annotations

import numpy as np
import pytest

from fac.backend import Session
from tests.rules.nets import Array, Spec, State, batch, dense, gradients, opened, put, spec

LR = 0.05
NET = dense(9, 8, 4)
LAYERS = ("fc2", "fc3")


def ldfa(learn: str, **fields: object) -> Spec:
    return {"rule": "ldfa", "rank": 3, "learn": learn, **fields}


def factors(state: State, layer: str) -> tuple[Array, Array, Array]:
    """W, P, Q."""
    return state[f"{layer}.weight"], state[f"{layer}.feedback.P"], state[f"{layer}.feedback.Q"]


def scattered(session: Session) -> Session:
    """P and Q away from the SVD that they start from, which is a point of rest."""
    rng = np.random.default_rng(3)
    state = session.state()
    names = [name for name in state if name.endswith((".P", ".Q"))]
    return put(session, {n: state[n] + 0.3 * rng.standard_normal(state[n].shape) for n in names})


def loss(w: Array, p: Array, q: Array) -> float:
    """1/2 |W^T - Q P|^2."""
    return float(0.5 * ((w.T - q @ p) ** 2).sum())


def test_t24_normative_gradients_are_central_differences() -> None:
    session = scattered(opened(spec(NET, ldfa("normative"))))
    state, found, h = session.state(), gradients(session, *batch()), 1e-6
    for layer in LAYERS:
        w, p, q = factors(state, layer)
        for name, array in (("P", p), ("Q", q)):
            numeric = np.zeros_like(array)
            for index in np.ndindex(array.shape):
                kept = array[index]
                array[index] = kept + h
                up = loss(w, p, q)
                array[index] = kept - h
                numeric[index] = (up - loss(w, p, q)) / (2 * h)
                array[index] = kept
            assert np.abs(numeric).max() > 0.1
            np.testing.assert_allclose(found[f"{layer}.feedback.{name}"], numeric, atol=6e-7, rtol=0)


def test_t24_the_svd_is_a_point_of_rest_with_the_least_residual() -> None:
    session = opened(spec(NET, ldfa("normative")))
    state, found = session.state(), gradients(session, *batch())
    for layer in LAYERS:
        w, p, q = factors(state, layer)
        values = np.linalg.svd(w, compute_uv=False)
        assert 2 * loss(w, p, q) == pytest.approx((values[3:] ** 2).sum(), abs=1e-12)
        for name in ("P", "Q"):
            assert np.abs(found[f"{layer}.feedback.{name}"]).max() <= 2e-12


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("learn", ["normative", "local"])
def test_t25_the_balance_of_the_factors_changes_by_the_squared_step_alone(learn: str, decay: float) -> None:
    """Q^T Q - P P^T: the old value by (1 - lr decay)^2, plus lr^2 (gQ^T gQ - gP gP^T)."""
    session = scattered(opened(spec(NET, ldfa(learn), {"rule": "sgd", "lr": LR, "weight_decay": decay})))
    bare = opened(spec(NET, ldfa(learn), {"rule": "sgd", "lr": LR}))
    for step in range(30):
        x, y = batch(seed=step)
        before = session.state()
        g = gradients(put(bare, before), x, y)
        session.step(x, y)
        after = session.state()
        for layer in LAYERS:
            _, gp, gq = factors(g, layer)
            expected = (1 - LR * decay) ** 2 * balance(before, layer) + LR**2 * (gq.T @ gq - gp @ gp.T)
            assert np.abs(balance(after, layer) - expected).max() <= 1e-12


def balance(state: State, layer: str) -> Array:
    _, p, q = factors(state, layer)
    return np.asarray(q.T @ q - p @ p.T)


def test_t25_fails_for_factors_that_learn_apart() -> None:
    """The control: Kolen-Pollack's Q alone has no partner in P."""
    session = opened(spec(NET, ldfa("kolen_pollack"), {"rule": "sgd", "lr": LR}))
    before = session.state()
    g = gradients(session, *batch())
    session.step(*batch())
    change = balance(session.state(), "fc3") - balance(before, "fc3")
    gq = g["fc3.feedback.Q"]
    assert np.abs(change - LR**2 * gq.T @ gq).max() > 1e-4


def test_local_gradients_are_images_of_the_weight_gradient() -> None:
    """gQ = gW^T P^T, gP = Q^T gW^T: the gradients of the loss if W were (Q P)^T."""
    session = scattered(opened(spec(NET, ldfa("local"))))
    state, g = session.state(), gradients(session, *batch())
    for layer in LAYERS:
        _, p, q = factors(state, layer)
        gw, gp, gq = factors(g, layer)
        np.testing.assert_allclose(gq, gw.T @ p.T, atol=3e-14, rtol=0)
        np.testing.assert_allclose(gp, q.T @ gw.T, atol=3e-14, rtol=0)


def test_normative_factors_find_the_weight_from_anywhere() -> None:
    """Gradient flow reaches the residual of the SVD, because the weight stands still at a learning rate of zero."""
    update: Spec = {"rule": "sgd", "lr": 0.05, "groups": ({"match": "fc?.weight", "lr_scale": 0.0},)}
    session = scattered(opened(spec(NET, ldfa("normative"), update)))
    x, y = batch()
    for _ in range(2000):
        session.step(x, y)
    for layer in LAYERS:
        w, p, q = factors(session.state(), layer)
        values = np.linalg.svd(w, compute_uv=False)
        assert 2 * loss(w, p, q) == pytest.approx((values[3:] ** 2).sum(), rel=1e-6)


def test_a_refresh_sets_the_factors_from_the_weight_as_it_is() -> None:
    session = opened(spec(NET, ldfa("normative", refresh=3), {"rule": "sgd", "lr": 0.5}))
    misses = []
    for step in range(6):
        session.step(*batch(seed=step))
        w, p, q = factors(session.state(), "fc2")
        best = (np.linalg.svd(w, compute_uv=False)[3:] ** 2).sum()
        misses.append(2 * loss(w, p, q) - best)
    assert [miss <= 1e-12 for miss in misses] == [False, False, True, False, False, True]
