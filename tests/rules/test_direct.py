"""Direct routes: from the output error straight to a hidden layer."""

from __future__ import annotations

import numpy as np
import pytest

from tests.rules.nets import (
    BP,
    SKIP,
    Spec,
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

DFA: Spec = {"rule": "dfa"}
CHAIN = dense(9, 8, 6, 4, act="tanh")
LINEAR = dense(9, 8, 6, 4, act=None)


def test_t2_the_product_of_the_weights_above_gives_backpropagation_in_a_linear_net() -> None:
    x, y = batch()
    session = opened(spec(LINEAR, DFA))
    exact = gradients(opened(spec(LINEAR, BP)), x, y)
    assert distance(gradients(session, x, y), exact) > 1e-3
    state, above = session.state(), np.eye(4)
    for i in (4, 3, 2):
        above = above @ state[f"fc{i}.weight"]
        put(session, {f"fc{i - 1}.feedback.B": above.T})
    assert distance(gradients(session, x, y), exact) <= 2e-14


def test_t2_low_rank_with_the_product_of_the_weights_above_gives_backpropagation() -> None:
    """At full rank, P = I and Q = (W_L ... W_{l+1})^T."""
    x, y = batch()
    session = opened(spec(LINEAR, {"rule": "direct_ldfa", "rank": 4, "learn": "fixed"}))
    exact = gradients(opened(spec(LINEAR, BP)), x, y)
    state, above = session.state(), np.eye(4)
    for i in (4, 3, 2):
        above = above @ state[f"fc{i}.weight"]
        put(session, {f"fc{i - 1}.feedback.P": np.eye(4), f"fc{i - 1}.feedback.Q": above.T})
    assert distance(gradients(session, x, y), exact) <= 2e-14


@pytest.mark.parametrize("layer", ["fc1", "fc2", "fc3"])
@pytest.mark.parametrize(
    ("feedback", "matrix"),
    [
        (DFA, "B"),
        ({"rule": "direct_ldfa", "rank": 3, "learn": "fixed"}, "P"),
        ({"rule": "direct_ldfa", "rank": 3, "learn": "fixed"}, "Q"),
    ],
    ids=["dfa", "P", "Q"],
)
def test_t3_a_matrix_moves_the_layer_that_it_feeds_and_no_other(
    feedback: Spec, matrix: str, layer: str
) -> None:
    x, y = batch()
    session = opened(spec(CHAIN, feedback))
    before, loss = gradients(session, x, y), session.step(x, y, lr=0.0)["loss"]
    after = gradients(perturbed(session, f"{layer}.feedback.{matrix}"), x, y)
    assert moved(before, after) == {f"{layer}.weight", f"{layer}.bias"}
    assert session.step(x, y, lr=0.0)["loss"] == loss


def test_t3_in_a_net_with_a_skip() -> None:
    """The site of fc2 is act2, before the join: what fc2 is fed neither goes round it nor passes below it.

    The site of fc1 is fc1 itself, whose activation has two readers.
    """
    x, y = batch()
    session = opened(spec(SKIP, DFA))
    before = gradients(session, x, y)
    for layer in ("fc1", "fc2"):
        state = session.state()
        after = gradients(perturbed(session, f"{layer}.feedback.B"), x, y)
        assert moved(before, after) == {f"{layer}.weight", f"{layer}.bias"}
        put(session, state)


def test_a_route_that_adds_keeps_what_comes_from_above() -> None:
    x, y = batch()
    route: Spec = {"to": "fc2", "matrix": {"kind": "random"}, "combine": "add"}
    session = opened(spec(CHAIN, {"routes": (route,)}))
    matrix = session.state()["fc2.feedback.B"]
    both = gradients(session, x, y)
    exact = gradients(put(session, {"fc2.feedback.B": np.zeros_like(matrix)}), x, y)
    assert distance(exact, gradients(opened(spec(CHAIN, BP)), x, y)) <= 1e-15
    alone = gradients(opened(spec(CHAIN, {"routes": (route | {"combine": "replace"},)})), x, y)
    for name in ("fc1.weight", "fc2.weight", "fc2.bias"):
        np.testing.assert_allclose(both[name], exact[name] + alone[name], atol=1e-14, rtol=0)


def test_a_subspace_is_a_reading_that_routes_share() -> None:
    """B P e through a subspace equals the direct matrix B P."""
    x, y = batch()
    shared: Spec = {
        "subspaces": ({"name": "task", "of": "loss", "rank": 3},),
        "routes": tuple(
            {"to": n, "from": "task", "matrix": {"kind": "random"}} for n in ("fc1", "fc2", "fc3")
        ),
    }
    session, direct = opened(spec(CHAIN, shared)), opened(spec(CHAIN, DFA))
    state = session.state()
    for layer in ("fc1", "fc2", "fc3"):
        put(direct, {f"{layer}.feedback.B": state[f"{layer}.feedback.B"] @ state["task.feedback.P"]})
    weights = {n for n in state if n.endswith((".weight", ".bias"))}
    found, expected = gradients(session, x, y), gradients(direct, x, y)
    assert max(np.abs(found[n] - expected[n]).max() for n in weights) <= 1e-14


def test_t5_direct_equals_layerwise_feedback_in_the_last_hidden_layer() -> None:
    x, y = batch()
    direct, layerwise = opened(spec(CHAIN, DFA)), opened(spec(CHAIN, {"rule": "fa"}))
    put(layerwise, {"fc4.feedback.B": direct.state()["fc3.feedback.B"].T})
    a, b = gradients(direct, x, y), gradients(layerwise, x, y)
    last = {"fc3.weight", "fc3.bias", "fc4.weight", "fc4.bias"}
    assert max(np.abs(a[name] - b[name]).max() for name in last) <= 1e-16
    assert np.abs(a["fc2.weight"] - b["fc2.weight"]).max() > 1e-3


def zeroed(feedback: Spec) -> dict[str, np.ndarray]:
    """Gradients of a tanh net all of whose weights and biases are zero."""
    x, y = batch()
    session = opened(spec(CHAIN, feedback))
    names = [n for n in session.state() if n.endswith((".weight", ".bias"))]
    put(session, {n: np.zeros_like(session.state()[n]) for n in names})
    return {n: g for n, g in gradients(session, x, y).items() if n in names}


def test_t19_from_zero_backpropagation_moves_no_weight() -> None:
    found = zeroed(BP)
    assert {name for name, g in found.items() if g.any()} == {"fc4.bias"}


def test_t19_from_zero_direct_feedback_moves_the_first_weight_and_the_biases() -> None:
    found = zeroed(DFA)
    moving = {"fc1.weight", "fc1.bias", "fc2.bias", "fc3.bias", "fc4.bias"}
    assert {name for name, g in found.items() if g.any()} == moving
