"""Feedback through Q P."""

from __future__ import annotations

import numpy as np
import pytest

from tests.rules.nets import BP, SKIP, Spec, batch, dense, distance, gradients, opened, put, spec

CHAIN = dense(9, 8, 6, 4, act="tanh")
LINEAR = dense(9, 8, 6, 4, act=None)


def ldfa(rank: int, learn: str = "fixed") -> Spec:
    return {"rule": "ldfa", "rank": rank, "learn": learn}


@pytest.mark.parametrize("layers", [CHAIN, SKIP], ids=["chain", "skip"])
@pytest.mark.parametrize("learn", ["fixed", "kolen_pollack", "oja_kp", "local", "normative"])
def test_t2_a_pair_that_multiplies_to_the_transposed_weight_is_backpropagation(
    learn: str, layers: tuple[Spec, ...]
) -> None:
    """With P = I and Q = W^T. The rank of fc2 (9 -> 8) is 8, its number of outputs."""
    x, y = batch()
    session, exact = opened(spec(layers, ldfa(9, learn))), gradients(opened(spec(layers, BP)), x, y)
    state = session.state()
    for name in (n.removesuffix(".feedback.P") for n in state if n.endswith(".feedback.P")):
        weight = state[f"{name}.weight"]
        if state[f"{name}.feedback.P"].shape[0] != weight.shape[0]:
            pytest.fail(f"{name} has not full rank")
        put(session, {f"{name}.feedback.P": np.eye(len(weight)), f"{name}.feedback.Q": weight.T})
    found = {n: g for n, g in gradients(session, x, y).items() if "feedback" not in n}
    assert distance(found, exact) <= 2e-14


@pytest.mark.parametrize("learn", ["local", "normative"])
def test_t9_full_rank_from_the_svd_is_backpropagation(learn: str) -> None:
    x, y = batch()
    exact = gradients(opened(spec(CHAIN, BP)), x, y)
    found = gradients(opened(spec(CHAIN, ldfa(9, learn))), x, y)
    assert distance({n: found[n] for n in exact}, exact) <= 2e-14
    cut = gradients(opened(spec(CHAIN, ldfa(3, learn))), x, y)
    assert distance({n: cut[n] for n in exact}, exact) > 1e-3


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_t9_without_a_mask_the_gradient_has_the_rank_of_the_feedback(rank: int) -> None:
    """gW_l = Q (s^T H) with s the projected error; here for fc3, which fc4's pair feeds."""
    x, y = batch()
    session = opened(spec(LINEAR, ldfa(rank)))
    found, state = gradients(session, x, y), session.state()
    h = [x]
    for i in range(1, 5):
        h.append(h[-1] @ state[f"fc{i}.weight"].T + state[f"fc{i}.bias"])
    softmax = np.exp(h[4]) / np.exp(h[4]).sum(1, keepdims=True)
    s = (softmax - np.eye(4)[y]) / len(x) @ state["fc4.feedback.P"].T
    expected = state["fc4.feedback.Q"] @ (s.T @ h[2])
    np.testing.assert_allclose(found["fc3.weight"], expected, atol=1e-13, rtol=0)
    values = np.linalg.svd(found["fc3.weight"], compute_uv=False)
    assert values[rank - 1] > 1e-4
    assert values[rank:].max() <= 1e-14


def test_the_matrix_of_a_pair_has_the_declared_rank() -> None:
    state = opened(spec(CHAIN, ldfa(3))).state()
    for layer in ("fc2", "fc3", "fc4"):
        product = state[f"{layer}.feedback.Q"] @ state[f"{layer}.feedback.P"]
        assert product.T.shape == state[f"{layer}.weight"].shape
        assert np.linalg.matrix_rank(product) == 3


def test_a_short_hand_clips_the_rank_to_what_a_layer_spans() -> None:
    state = opened(spec(CHAIN, ldfa(100))).state()
    assert [len(state[f"fc{i}.feedback.P"]) for i in (2, 3, 4)] == [8, 6, 4]


def test_explicit_routes_mean_what_the_short_hand_means() -> None:
    """Bit for bit, learning included: `oja_kp` is Oja's P and Kolen-Pollack's Q."""
    matrix: Spec = {"kind": "low_rank", "read": {"rule": "oja"}, "write": {"rule": "kolen_pollack"}}
    ranks = {"fc2": 5, "fc3": 5, "fc4": 4}
    routes = tuple({"through": n, "matrix": matrix | {"rank": r}} for n, r in ranks.items())
    short, long = opened(spec(CHAIN, ldfa(5, "oja_kp"))), opened(spec(CHAIN, {"routes": routes}))
    for step in range(3):
        short.step(*batch(seed=step))
        long.step(*batch(seed=step))
    a, b = short.state(), long.state()
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name])
