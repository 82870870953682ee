"""What happens between steps on the host: feedback set anew from the SVD of the weight, on every backend."""

from __future__ import annotations

import numpy as np
import pytest

from fac.build.initial import svd_pair
from fac.pipeline import compile
from tests.build.nets import batch, mlp, spec

X, Y = batch()
NORMATIVE = {"rule": "ldfa", "rank": 2, "learn": "normative", "refresh": 3}


@pytest.mark.parametrize("backend", ["reference", "torch"])
def test_refresh_sets_the_svd(backend: str) -> None:
    session = compile(spec(mlp(4, 4, 3), NORMATIVE), backend=backend, precision="float64").open(device="cpu")
    distances = []
    for _ in range(6):
        session.step(X, Y)
        state = session.state()
        p, q = svd_pair(state["fc2.weight"], 2)
        distances.append(
            float(np.abs(state["fc2.feedback.P"] - p).max() + np.abs(state["fc2.feedback.Q"] - q).max())
        )
    assert [d < 1e-12 for d in distances] == [False, False, True, False, False, True]


def test_svd_pair_is_the_best_approximation_and_balanced() -> None:
    weight = np.random.default_rng(0).standard_normal((5, 7))
    p, q = svd_pair(weight, 3)
    lost = np.linalg.svd(weight, compute_uv=False)[3:]
    assert np.linalg.norm(q @ p - weight.T) == pytest.approx(np.linalg.norm(lost), rel=1e-12)
    np.testing.assert_allclose(p @ p.T, q.T @ q, atol=1e-12)


def test_refresh_counts_steps_across_sessions() -> None:
    """A resumed run refreshes when the run that it continues would have."""
    artifact = compile(spec(mlp(4, 4, 3), NORMATIVE), backend="reference")
    first = artifact.open()
    for _ in range(2):
        first.step(X, Y)
    second = artifact.open(first.state())
    second.step(X, Y)
    state = second.state()
    np.testing.assert_allclose(state["fc2.feedback.P"], svd_pair(state["fc2.weight"], 2)[0], atol=1e-12)


def test_no_tasks_without_refresh() -> None:
    plain = compile(spec(mlp(4, 3), NORMATIVE | {"refresh": None}), backend="reference")
    assert plain.compiled.tasks == ()
