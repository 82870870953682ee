"""Fixed points of learning and their stability: t39, against the equations written out, on each backend. float64."""

from __future__ import annotations

import numpy as np
import pytest

from fac.backend import Session
from fac.diagnostics import FacError
from fac.pipeline import compile
from fac.training.stability import kicked, stability
from tests.rules.nets import Array, Spec, dense, put, spec

EACH = pytest.mark.parametrize("backend", ["reference", "torch", "onnx"])
SAMPLES, FEATURES, HIDDEN, OUTPUTS = 3, 4, 8, 2
X = np.random.default_rng(0).standard_normal((SAMPLES, FEATURES))
FA: Spec = {"rule": "fa"}


def net(act: str | None, feedback: Spec = FA, update: Spec | None = None, *, bias: bool = False) -> Spec:
    layers = dense(HIDDEN, OUTPUTS, act=act, bias=bias)
    return spec(layers, feedback, update or {"rule": "sgd", "lr": 0.1}, inputs=FEATURES, loss="mse") | {
        "probes": ()
    }


def opened(act: str | None, factor: float | None, backend: str = "reference") -> Session:
    """With W2 = factor B, or as it was drawn."""
    session = compile(net(act), backend=backend, precision="float64").open(device="cpu")
    if factor is not None:
        put(session, {"fc2.weight": factor * session.state()["fc2.feedback.B"]})
    return session


def written_out(state: dict[str, Array], act: str | None) -> tuple[Array, Array]:
    """J and P of f = W2 phi(W1 x), for the parameters (W1, W2) row by row."""
    w1, w2, b = (state[name] for name in ("fc1.weight", "fc2.weight", "fc2.feedback.B"))
    a = X @ w1.T
    h, slope = (np.tanh(a), 1 - np.tanh(a) ** 2) if act else (a, np.ones_like(a))
    both = []
    for back in (w2, b):
        below = np.einsum("oh,nh,ni->nohi", back, slope, X).reshape(SAMPLES * OUTPUTS, -1)
        above = np.einsum("op,nh->noph", np.eye(OUTPUTS), h).reshape(SAMPLES * OUTPUTS, -1)
        both.append(np.hstack([below, above]))
    return both[0], both[1]


@EACH
@pytest.mark.parametrize("act", [None, "tanh"])
def test_t39_the_field_is_linearised_by_p_and_j(backend: str, act: str | None) -> None:
    session = opened(act, 0.7, backend)
    before = session.state()
    found = stability(session, X)
    after = session.state()
    assert all(np.array_equal(before[name], after[name]) for name in before)
    assert found.names == ("fc1.weight", "fc2.weight")
    j, p = written_out(before, act)
    scale = 2 / (SAMPLES * OUTPUTS)
    np.testing.assert_allclose(found.field, 0, atol=1e-15)
    np.testing.assert_allclose(found.outputs, j, atol=1e-9)
    np.testing.assert_allclose(found.pseudo, scale * p, atol=1e-12)
    np.testing.assert_allclose(found.jacobian, scale * p.T @ j, atol=1e-9)
    wanted = np.linalg.eigvals(scale * j @ p.T)
    np.testing.assert_allclose(found.eigenvalues, wanted[np.argsort(wanted.real)], atol=1e-8)
    assert found.stable
    assert found.symmetric[0] > 0, "of W2 a multiple of B every error is aligned"


@pytest.mark.parametrize("act", [None, "tanh"])
def test_what_attracts_brings_back_what_was_kicked_away(act: str | None) -> None:
    """Section 5.5: W2 = B attracts, is aligned, and moves by less than a kick; W2 = -B is none of these."""
    errors = np.random.default_rng(3).standard_normal((500, SAMPLES * OUTPUTS))
    ends = {}
    for factor in (1.0, -1.0):
        session = opened(act, factor)
        found = stability(session, X)
        cosines = found.cosines(errors)
        assert found.stable == (factor > 0)
        assert bool((cosines > 0).all()) == (factor > 0)
        ends[factor] = kicked(session, X, kick=1e-3, rate=0.05, steps=4000)
    assert ends[1.0] < 2e-3
    assert ends[-1.0] > 0.1


def test_a_field_away_from_a_fixed_point() -> None:
    session = opened("tanh", None)
    y = np.ones((SAMPLES, OUTPUTS))
    found = stability(session, X, y)
    state = session.state()
    session.step(X, y, lr=1.0)
    moved = np.concatenate([(state[n] - session.state()[n]).ravel() for n in found.names])
    np.testing.assert_allclose(found.field, moved, atol=1e-14)


@pytest.mark.parametrize(
    ("of", "precision", "told"),
    [
        (net("tanh"), "float32", "open the session with precision float64"),
        (net("tanh", update={"rule": "sgd", "lr": 0.1, "momentum": 0.9}), "float64", "a step moves `fc"),
        (net("tanh", {"rule": "fa", "learn": {"rule": "kolen_pollack"}}), "float64", "a step moves `fc2.feedback.B`"),
        (spec(dense(300, 9), FA, inputs=FEATURES, loss="mse"), "float64", "stability is measured up to 2,000"),
    ],
)  # fmt: skip
def test_what_has_no_field_is_refused(of: Spec, precision: str, told: str) -> None:
    session = compile(of, backend="reference", precision=precision).open()  # type: ignore[arg-type]
    with pytest.raises(FacError, match=told.replace("(", r"\(")):
        stability(session, X)
