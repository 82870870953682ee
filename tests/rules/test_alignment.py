"""Layer-wise routes: exact with the transposed weight, and reaching all that lies upstream and nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.rules.nets import (
    BP,
    SKIP,
    Array,
    Spec,
    State,
    batch,
    dense,
    distance,
    gradients,
    moved,
    opened,
    perturbed,
    put,
    spec,
)

CHAIN = dense(9, 8, 6, 4, act="tanh")
FA: Spec = {"rule": "fa"}
KP: Spec = {"rule": "fa", "learn": {"rule": "kolen_pollack"}}
LDFA: Spec = {"rule": "ldfa", "rank": 3, "learn": "fixed"}
DECAYING: Spec = {"rule": "sgd", "lr": 0.05, "momentum": 0.9, "weight_decay": 0.1}


def transposed(state: State) -> State:
    """Every full feedback matrix of a `through` route equal to the weight that it stands for, in its shape."""
    return {n: state[n.replace("feedback.B", "weight")] for n in state if n.endswith(".feedback.B")}


@pytest.mark.parametrize("feedback", [FA, KP], ids=["fa", "kp"])
@pytest.mark.parametrize("layers", [CHAIN, dense(9, 8, 6, 4), SKIP], ids=["tanh", "relu", "skip"])
def test_t2_the_transposed_weight_gives_backpropagation(layers: tuple[Spec, ...], feedback: Spec) -> None:
    x, y = batch()
    session, exact = opened(spec(layers, feedback)), gradients(opened(spec(layers, BP)), x, y)
    assert distance(gradients(session, x, y), exact) > 1e-3
    put(session, transposed(session.state()))
    assert distance(gradients(session, x, y), exact) <= 2e-14


def test_t2_the_transpose_operator_is_backpropagation() -> None:
    routes = tuple({"through": f"fc{i}", "matrix": {"kind": "transpose"}} for i in (2, 3, 4))
    x, y = batch()
    exact = gradients(opened(spec(CHAIN, BP)), x, y)
    assert distance(gradients(opened(spec(CHAIN, {"routes": routes})), x, y), exact) <= 2e-14


def test_t2_kolen_pollack_from_the_transposed_weight_stays_backpropagation() -> None:
    """B and W then take the same step each time, momentum and decay included."""
    session, exact = opened(spec(CHAIN, KP, DECAYING)), opened(spec(CHAIN, BP, DECAYING))
    put(session, transposed(session.state()))
    for step in range(20):
        session.step(*batch(seed=step))
        exact.step(*batch(seed=step))
    assert distance(session.state(), exact.state()) <= 1e-12


@pytest.mark.parametrize(
    ("layers", "layer", "upstream"),
    [
        (CHAIN, "fc4", {"fc1", "fc2", "fc3"}),
        (CHAIN, "fc3", {"fc1", "fc2"}),
        (CHAIN, "fc2", {"fc1"}),
        (SKIP, "fc3", {"fc1", "fc2"}),
        (SKIP, "fc2", {"fc1"}),
    ],
)
@pytest.mark.parametrize(("feedback", "matrix"), [(FA, "B"), (LDFA, "P"), (LDFA, "Q")], ids=["fa", "P", "Q"])
def test_t3_a_matrix_moves_exactly_what_lies_upstream(
    feedback: Spec, matrix: str, layers: tuple[Spec, ...], layer: str, upstream: set[str]
) -> None:
    x, y = batch()
    session = opened(spec(layers, feedback))
    before = gradients(session, x, y)
    loss = session.step(x, y, lr=0.0)["loss"]
    after = gradients(perturbed(session, f"{layer}.feedback.{matrix}"), x, y)
    assert moved(before, after) == {f"{node}.{part}" for node in upstream for part in ("weight", "bias")}
    assert session.step(x, y, lr=0.0)["loss"] == loss


def test_t3_no_error_passes_through_a_forward_weight() -> None:
    """A change of W that the batch cannot see keeps all forward values; only backpropagation notices it."""
    x, y = batch(4)
    layers = dense(9, 8, 6, 4, act="tanh")
    for feedback, sees in ((BP, True), (FA, False), ({"rule": "dfa"}, False), (LDFA, False)):
        session = opened(spec(layers, feedback))
        before, state = gradients(session, x, y), session.state()
        hidden = x
        for node in ("fc1", "fc2"):
            hidden = np.tanh(hidden @ state[f"{node}.weight"].T + state[f"{node}.bias"])
        blind = np.eye(8) - np.linalg.pinv(hidden) @ hidden
        shift = np.random.default_rng(0).standard_normal((6, 8)) @ blind
        assert np.abs(hidden @ shift.T).max() < 1e-13
        put(session, {"fc3.weight": state["fc3.weight"] + shift})
        change = distance({"g": gradients(session, x, y)["fc2.weight"]}, {"g": before["fc2.weight"]})
        assert change > 1e-3 if sees else change <= 1e-14


def columns(session: Any, x: Array, y: Array, feedback: Spec) -> State:
    """The gradients as papers write them: one column vector per sample, summed over the batch."""
    state, depth = session.state(), 4
    total = {name: np.zeros_like(a) for name, a in state.items() if name.endswith((".weight", ".bias"))}
    for sample, label in zip(x, y, strict=True):
        h = [sample]
        for i in range(1, depth + 1):
            a = state[f"fc{i}.weight"] @ h[-1] + state[f"fc{i}.bias"]
            h.append(np.tanh(a) if i < depth else a)
        softmax = np.exp(h[-1]) / np.exp(h[-1]).sum()
        output = (softmax - np.eye(len(softmax))[label]) / len(x)
        delta = output
        for i in range(depth, 0, -1):
            total[f"fc{i}.weight"] += np.outer(delta, h[i - 1])
            total[f"fc{i}.bias"] += delta
            if i > 1:
                delta = received(state, feedback, i, delta, output) * (1 - h[i - 1] ** 2)
    return total


def received(state: State, feedback: Spec, i: int, delta: Array, output: Array) -> Array:
    """What arrives at the output of layer i - 1: B d, Q P d, B e or Q P e."""
    if feedback["rule"] == "fa":
        return np.asarray(state[f"fc{i}.feedback.B"].T @ delta)
    if feedback["rule"] == "ldfa":
        return np.asarray(state[f"fc{i}.feedback.Q"] @ (state[f"fc{i}.feedback.P"] @ delta))
    if feedback["rule"] == "dfa":
        return np.asarray(state[f"fc{i - 1}.feedback.B"] @ output)
    return np.asarray(state[f"fc{i - 1}.feedback.Q"] @ (state[f"fc{i - 1}.feedback.P"] @ output))


@pytest.mark.parametrize(
    "feedback",
    [FA, LDFA, {"rule": "dfa"}, {"rule": "direct_ldfa", "rank": 3, "learn": "fixed"}],
    ids=["fa", "ldfa", "dfa", "direct_ldfa"],
)
def test_t4_rows_equal_columns(feedback: Spec) -> None:
    x, y = batch()
    session = opened(spec(CHAIN, feedback))
    found = gradients(session, x, y)
    assert distance(columns(session, x, y, feedback), found) <= 1e-14


def test_scale_multiplies_the_operator() -> None:
    x, y = batch()
    doubled = gradients(opened(spec(CHAIN, FA | {"scale": 2.0})), x, y)
    session = opened(spec(CHAIN, FA))
    put(session, {n: 2 * a for n, a in session.state().items() if n.endswith(".B")})
    assert distance(gradients(session, x, y), doubled) <= 1e-15
