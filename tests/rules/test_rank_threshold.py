"""The rank that feedback needs is the dimension of the task (Hanut and Kadmon 2025, arXiv 2502.20580).

A two-layer linear net of 64 inputs, 48 hidden and 32 output units learns a teacher S of rank 4 from whitened inputs, so
that each full-batch step is an exact step of the flow

    dW2 = D W1^T - .04 W2,    dW1 = Q P D - .04 W1,    D = S - W2 W1.

With X^T X = N I and C outputs, `mse` has the gradient -(2 / C) D W1^T for W2: a learning rate of lr is a step of
2 lr / C on 1/2 |D|^2.
"""

from __future__ import annotations

import numpy as np
import pytest

from tests.rules.nets import Array, Spec, opened, spec

INPUTS, HIDDEN, OUTPUTS, DIMENSION = 64, 48, 32, 4
STEP, FLOW_DECAY, STEPS = 2e-2, 0.04, 1500
LR = STEP * OUTPUTS / 2
SEEDS = range(3)
DECAY = {"weight_decay": STEP * FLOW_DECAY / LR}
UPDATE: Spec = {"rule": "sgd", "lr": LR, **DECAY}

FIXED, KP, LOCAL = {"rule": "fixed"}, {"rule": "kolen_pollack"}, {"rule": "local"}
NORMATIVE, OJA = {"rule": "normative"}, {"rule": "oja", "rate": 0.5}
RANDOM: Spec = {"init_Q": {"kind": "normal", "std": HIDDEN**-0.5}}
RULES: dict[str, Spec] = {
    "fixed": {"read": FIXED, "write": FIXED, **RANDOM},
    "kp_q": {"read": FIXED, "write": KP, **RANDOM},
    "oja_kp": {"read": OJA, "write": KP, **RANDOM},
    "local": {"read": LOCAL, "write": KP, "init": "svd"},
    "normative": {"read": NORMATIVE, "write": NORMATIVE, "init": "svd"},
}


def teacher(seed: int) -> Array:
    """S [outputs, inputs] with four singular values from 3 to 1."""
    rng = np.random.default_rng(seed)
    u, _ = np.linalg.qr(rng.standard_normal((OUTPUTS, DIMENSION)))
    v, _ = np.linalg.qr(rng.standard_normal((INPUTS, DIMENSION)))
    return np.asarray(u * np.array([3, 7 / 3, 5 / 3, 1]) @ v.T)


def error(rule: str, rank: int, seed: int, steps: int = STEPS) -> float:
    """|S - W2 W1|^2 / |S|^2 after training."""
    layers = tuple(
        {"kind": "linear", "name": n, "out": w, "bias": False, "init": {"kind": "normal", "std": 0.01}}
        for n, w in (("fc1", HIDDEN), ("fc2", OUTPUTS))
    )
    route: Spec = {"through": "fc2", "matrix": {"kind": "low_rank", "rank": rank} | RULES[rule]}
    # the normative step is that of the flow itself: its gradient knows neither the batch nor the decay
    own: Spec = {"feedback": {"lr_scale": STEP / LR, "weight_decay": 0.0}} if rule == "normative" else {}
    session = opened(spec(layers, {"routes": (route,)}, UPDATE | own, inputs=INPUTS, loss="mse", seed=seed))
    x, s = np.sqrt(INPUTS) * np.eye(INPUTS), teacher(seed)
    x, y = session.place(x), session.place(x @ s.T)
    for _ in range(steps):
        session.step(x, y)
    state = session.state()
    return float(((s - state["fc2.weight"] @ state["fc1.weight"]) ** 2).sum() / (s**2).sum())


def test_t21_one_step_is_a_step_of_the_flow() -> None:
    """The scaling that the thresholds rest on, written out once."""
    layers = tuple(
        {"kind": "linear", "name": n, "out": w, "bias": False} for n, w in (("fc1", HIDDEN), ("fc2", OUTPUTS))
    )
    route: Spec = {"through": "fc2", "matrix": {"kind": "low_rank", "rank": 4} | RULES["kp_q"]}
    session = opened(spec(layers, {"routes": (route,)}, UPDATE, inputs=INPUTS, loss="mse"))
    s, x, old = teacher(0), np.sqrt(INPUTS) * np.eye(INPUTS), session.state()
    session.step(x, x @ s.T)
    new, w1, w2, q = session.state(), old["fc1.weight"], old["fc2.weight"], old["fc2.feedback.Q"]
    d, p = s - w2 @ w1, old["fc2.feedback.P"]
    for name, flow in {
        "fc2.weight": d @ w1.T - FLOW_DECAY * w2,
        "fc1.weight": q @ p @ d - FLOW_DECAY * w1,
        "fc2.feedback.Q": w1 @ d.T @ p.T - FLOW_DECAY * q,
    }.items():
        np.testing.assert_allclose(new[name] - old[name], STEP * flow, atol=1e-14, rtol=0, err_msg=name)


@pytest.mark.parametrize("rule", ["oja_kp", "local", "normative"])
def test_t21_adaptive_feedback_needs_the_dimension_of_the_task(rule: str) -> None:
    assert max(error(rule, DIMENSION, seed) for seed in SEEDS) <= 1e-3
    assert min(error(rule, DIMENSION // 2, seed) for seed in SEEDS) >= 0.03


@pytest.mark.parametrize("rule", ["fixed", "kp_q"])
def test_t21_fixed_reading_needs_more(rule: str) -> None:
    """At the dimension of the task some draw goes wrong, at twice that none does."""
    assert any(error(rule, DIMENSION, seed) >= 0.01 for seed in SEEDS)
    assert max(error(rule, 2 * DIMENSION, seed) for seed in SEEDS) <= 5e-3
