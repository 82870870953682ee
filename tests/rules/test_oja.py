"""Oja's rule for the reading factor P, driven by errors that the test chooses.

At learning rate 0 the weights stay zero, so the output of the net is 0 and the error of `mse` is -2 Y / (N C):
Y decides what P reads. The rate of Oja's rule is its own.
"""

from __future__ import annotations

import numpy as np
import pytest

from fac.backend import Session
from fac.diagnostics import SpecError
from tests.rules.nets import Array, Spec, opened, put, spec

WIDTH = 40
HIDDEN = 8
"""Not below the ranks that are read."""


def reader(rank: int, rate: float, width: int = WIDTH) -> Session:
    """A net that does not learn, but whose P of `fc2` follows the error at its output."""
    layers = (
        {"kind": "linear", "name": "fc1", "out": HIDDEN, "bias": False, "init": "zeros"},
        {"kind": "linear", "name": "fc2", "out": width, "bias": False, "init": "zeros"},
    )
    matrix: Spec = {"kind": "low_rank", "rank": rank, "read": {"rule": "oja", "rate": rate}}
    return opened(spec(layers, {"routes": ({"through": "fc2", "matrix": matrix},)}, inputs=2, loss="mse"))


def read(session: Session, errors: Array) -> Array:
    """P after one batch of errors [N, width]."""
    session.step(np.ones((len(errors), 2)), -errors, lr=0.0)
    return session.state()["fc2.feedback.P"]


def sine(p: Array, top: Array) -> float:
    """Sine of the largest angle between the rows of P and the span of `top`, both [r, m] with orthonormal `top`."""
    q, _ = np.linalg.qr(p.T)
    return float(np.linalg.svd(q - top.T @ (top @ q), compute_uv=False).max())


def spread(values: Array, seed: int = 0) -> tuple[Array, Array]:
    """A symmetric root of a covariance with these eigenvalues, and its eigenvectors as rows, largest first."""
    basis, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((WIDTH, WIDTH)))
    return np.asarray(basis * np.sqrt(values) @ basis.T), np.asarray(basis.T)


def test_t22_a_fixed_covariance_is_tracked_to_rounding() -> None:
    """P finds the top five directions of a fixed C, and its rows become orthonormal.

    The spectrum has a gap of factor 4; the error shrinks by 1 - rate (c_5 - c_6) / tr C per step.
    """
    root, vectors = spread(np.r_[2.0, 1.8, 1.6, 1.4, 1.2, np.full(WIDTH - 5, 0.02)])
    session, p = reader(5, 0.5), np.zeros(0)
    for _ in range(2000):
        p = read(session, root)
    assert sine(p, vectors[:5]) <= 3e-13
    assert np.abs(p @ p.T - np.eye(5)).max() <= 1e-13


@pytest.mark.parametrize(("rate", "bound"), [(0.1, 0.03), (0.5, 0.06), (1.0, 0.09)])
def test_t22_minibatches_are_tracked_within_the_band_of_the_rate(rate: float, bound: float) -> None:
    """64 samples per batch from a covariance with five eigenvalues of 1 and the others .1; means over 200 steps."""
    root, vectors = spread(np.r_[np.ones(5), np.full(WIDTH - 5, 0.1)])
    session, rng = reader(5, rate), np.random.default_rng(1)
    sines, captured = [], []
    for step in range(1200):
        p = read(session, rng.standard_normal((64, WIDTH)) @ root)
        if step >= 1000:
            sines.append(sine(p, vectors[:5]))
            captured.append(np.trace(p @ root @ root @ np.linalg.pinv(p)) / 5)
            assert np.abs(p @ p.T - np.eye(5)).max() <= 0.006
    assert np.mean(sines) <= bound
    assert np.mean(captured) >= 0.996


@pytest.mark.parametrize("factor", [1e-30, 1e-15, 1e30])
def test_t23_the_scale_of_the_error_does_not_matter(factor: float) -> None:
    rng = np.random.default_rng(2)
    batches = [rng.standard_normal((16, WIDTH)) for _ in range(50)]
    one, other = reader(5, 1.0), reader(5, 1.0)
    for errors in batches:
        a, b = read(one, errors), read(other, factor * errors)
    assert np.abs(a - reader(5, 1.0).state()["fc2.feedback.P"]).max() > 0.1
    assert np.abs(a - b).max() <= 1e-10


def ruled(p: Array, d: Array, rate: float) -> Array:
    """The next P by the rule as it stands in books."""
    c = d.T @ d
    return np.asarray(p + rate * (p @ c - (p @ c @ p.T) @ p) / np.trace(c))


def test_one_step_is_the_subspace_rule() -> None:
    """P + rate (P C - P C P^T P) / tr C with C = d^T d, for a P without any order."""
    session, rng = reader(3, 0.7), np.random.default_rng(3)
    p = rng.standard_normal((3, WIDTH))
    put(session, {"fc2.feedback.P": p})
    d = rng.standard_normal((16, WIDTH))
    np.testing.assert_allclose(read(session, d), ruled(p, d, 0.7), atol=1e-14, rtol=0)


def test_no_error_leaves_p_as_it_is() -> None:
    session = reader(5, 1.0)
    before = session.state()["fc2.feedback.P"]
    np.testing.assert_array_equal(read(session, np.zeros((8, WIDTH))), before)


@pytest.mark.parametrize(("rate", "stable"), [(0.9, True), (1.1, False)])
def test_a_rate_below_one_is_stable_even_for_an_error_of_rank_one(rate: float, stable: bool) -> None:
    """Why no rate above 1 is allowed: there P goes round in a circle for ever. So the rule itself is run here, too."""
    rng = np.random.default_rng(4)
    direction = rng.standard_normal(WIDTH)
    direction /= np.linalg.norm(direction)
    session = reader(1, min(rate, 1.0))
    p = q = session.state()["fc2.feedback.P"]
    for _ in range(500):
        errors = np.outer(rng.standard_normal(8), direction)
        p, q = ruled(p, errors, rate), read(session, errors) if stable else q
    assert (abs(float(np.abs(p @ direction)[0]) - 1) <= 1e-6) is stable
    if stable:
        np.testing.assert_allclose(q, p, atol=1e-12, rtol=0)


@pytest.mark.parametrize(
    "feedback",
    [
        {"rule": "ldfa", "rank": 2, "rate": 1.1},
        {"rule": "direct_ldfa", "rank": 2, "rate": 5.0},
        {"subspaces": ({"name": "task", "rank": 2, "basis": {"rule": "oja", "rate": 1.1}},)},
    ],
)
def test_a_rate_above_one_is_refused(feedback: Spec) -> None:
    with pytest.raises(SpecError, match="at most 1"):
        opened(spec(({"kind": "linear", "name": "fc1", "out": 3},), feedback))


def test_a_subspace_learns_by_the_same_rule() -> None:
    """A named subspace of the loss moves its P as the pair of a `through` route at the output does."""
    session = reader(4, 0.5)
    layers = tuple(
        {"kind": "linear", "name": n, "out": w, "bias": False, "init": "zeros"}
        for n, w in (("fc1", HIDDEN), ("fc2", WIDTH))
    )
    feedback: Spec = {
        "subspaces": ({"name": "task", "of": "loss", "rank": 4, "basis": {"rule": "oja", "rate": 0.5}},),
        "routes": ({"to": "fc1", "from": "task", "matrix": {"kind": "random"}},),
    }
    named = opened(spec(layers, feedback, inputs=2, loss="mse"))
    put(named, {"task.feedback.P": session.state()["fc2.feedback.P"]})
    rng = np.random.default_rng(6)
    for _ in range(5):
        errors = rng.standard_normal((16, WIDTH))
        p = read(session, errors)
        named.step(np.ones((16, 2)), -errors, lr=0.0)
    assert np.abs(named.state()["task.feedback.P"] - p).max() <= 1e-14
