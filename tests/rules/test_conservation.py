"""What layer-wise feedback alignment conserves where activations are homogeneous (after arXiv 2306.01870)."""

from __future__ import annotations

import numpy as np
import pytest

from tests.rules.nets import BP, Array, Spec, State, batch, dense, gradients, opened, pairs, put, spec, square

LR = 0.05
PLAIN: Spec = {"rule": "sgd", "lr": LR}
FA: Spec = {"rule": "fa"}
QP: Spec = {"rule": "ldfa", "rank": 3, "learn": "fixed"}
RULES = pytest.mark.parametrize("feedback", [FA, QP], ids=["fa", "qp"])


def matrix(state: State, layer: str) -> Array:
    """B^T of a layer in the shape of its weight, whole or as (Q P)^T."""
    name = f"{layer}.feedback"
    return state[f"{name}.B"] if f"{name}.B" in state else (state[f"{name}.Q"] @ state[f"{name}.P"]).T


def own(state: State, g: State, layer: str) -> float:
    """<W, G> + <b, g>."""
    return float(sum(np.vdot(state[f"{layer}.{part}"], g[f"{layer}.{part}"]) for part in ("weight", "bias")))


def dropped(act: str) -> tuple[Spec, ...]:
    """A net with dropout after each activation."""
    layers: list[Spec] = []
    for layer in dense(9, 8, 4, act=act):
        layers += [layer] + ([{"kind": "dropout", "rate": 0.3}] if layer["kind"] == act else [])
    return tuple(layers)


@RULES
@pytest.mark.parametrize("act", ["relu", "leaky_relu", None])
def test_t11_each_batch_balances_a_layer_against_the_feedback_above(act: str | None, feedback: Spec) -> None:
    """Law (1): <W_i, G_i> + <b_i, g_i> = <B_{i+1}^T, G_{i+1}>."""
    session = opened(spec(dense(9, 8, 4, act=act), feedback))
    state, g = session.state(), gradients(session, *batch())
    for lower, upper in pairs(3):
        right = np.vdot(matrix(state, upper), g[f"{upper}.weight"])
        assert abs(right) > 1e-3
        assert abs(own(state, g, lower) - right) <= 5e-14


def test_t11_holds_under_adam_and_dropout_too() -> None:
    """The law is about gradients, so the optimiser has no say; a mask is linear and exact."""
    session = opened(spec(dropped("relu"), FA, {"rule": "adam", "lr": 0.01}))
    for step in range(20):
        x, y = batch(seed=step)
        before = session.state()
        session.step(x, y)
        moments = session.state()
        # the first moment is .9 m + .1 g
        g = {
            n: (moments[f"{n}.mean"] - 0.9 * before[f"{n}.mean"]) / 0.1
            for n in before
            if f"{n}.mean" in before
        }
        for lower, upper in pairs(3):
            right = np.vdot(matrix(before, upper), g[f"{upper}.weight"])
            assert abs(own(before, g, lower) - right) <= 5e-14


def test_t11_fails_for_a_saturating_activation() -> None:
    """The control: the identity needs homogeneity, so it can fail."""
    session = opened(spec(dense(9, 8, 4, act="tanh"), FA))
    state, g = session.state(), gradients(session, *batch())
    misses = [
        abs(own(state, g, lower) - np.vdot(matrix(state, upper), g[f"{upper}.weight"]))
        for lower, upper in pairs(3)
    ]
    assert max(misses) > 1e-3


@RULES
def test_t12_energy_grows_by_the_squared_step_alone(feedback: Spec) -> None:
    """Laws (3) and (5) in minibatches over 500 steps, per neuron and per layer.

    C = 1/2 |W_i|^2 + 1/2 |b_i|^2 - tr(B W) grows by lr^2 / 2 (|G_i|^2 + |g_i|^2) in each step.
    """
    session = opened(spec(dense(9, 8, 4), feedback, PLAIN))
    neuron, layer, grown, total = 0.0, 0.0, 0.0, 0.0
    first = [float(c.sum()) for c in energies(session.state())]
    for step in range(500):
        x, y = batch(seed=step % 7)
        before, g = session.state(), gradients(session, x, y)
        session.step(x, y)
        after = session.state()
        for index, (old, new) in enumerate(zip(energies(before), energies(after), strict=True)):
            weight, bias = g[f"fc{index + 1}.weight"], g[f"fc{index + 1}.bias"]
            expected = 0.5 * LR**2 * ((weight**2).sum(1) + bias**2)
            neuron = max(neuron, np.abs(new - old - expected).max())
            layer = max(layer, abs((new - old - expected).sum()))
            total += expected.sum()
    grown = sum(float(c.sum()) for c in energies(session.state())) - sum(first)
    assert total > 0.01
    assert neuron <= 1e-13
    assert layer <= 1e-13
    assert abs(grown - total) <= 5e-13


def energies(state: State) -> list[Array]:
    """C of each neuron of each hidden layer."""
    found = []
    for lower, upper in pairs(3):
        held = (matrix(state, upper) * state[f"{upper}.weight"]).sum(0)
        found.append(0.5 * (state[f"{lower}.weight"] ** 2).sum(1) + 0.5 * state[f"{lower}.bias"] ** 2 - held)
    return found


def test_t10_backpropagation_balances_neighbouring_layers() -> None:
    """Law (6): |W_i|^2 + |b_i|^2 - |W_{i+1}|^2 grows by lr^2 (|G_i|^2 + |g_i|^2 - |G_{i+1}|^2)."""
    session = opened(spec(dense(9, 8, 4), BP, PLAIN))
    for step in range(100):
        x, y = batch(seed=step)
        before, g = session.state(), gradients(session, x, y)
        session.step(x, y)
        after = session.state()
        for lower, upper in pairs(3):

            def energy(state: State, lower: str = lower, upper: str = upper) -> float:
                return square(state[f"{lower}.weight"], state[f"{lower}.bias"]) - square(
                    state[f"{upper}.weight"]
                )

            assert abs(energy(after) - energy(before) - LR**2 * energy(g)) / 2 <= 2e-13


@RULES
def test_t16_in_a_linear_net_a_matrix_is_conserved(feedback: Spec) -> None:
    """Law (4): W W^T + b b^T - B W' - (B W')^T grows by lr^2 (G G^T + g g^T), W' the weight above."""

    def conserved(state: State, lower: str, upper: str) -> Array:
        mixed = matrix(state, upper).T @ state[f"{upper}.weight"]
        return np.asarray(gram(state, lower) - mixed - mixed.T)

    def gram(state: State, layer: str) -> Array:
        weight, bias = state[f"{layer}.weight"], state[f"{layer}.bias"]
        return np.asarray(weight @ weight.T + np.outer(bias, bias))

    session = opened(spec(dense(9, 8, 4, act=None), feedback, PLAIN))
    for step in range(50):
        x, y = batch(seed=step)
        before, g = session.state(), gradients(session, x, y)
        session.step(x, y)
        after = session.state()
        for lower, upper in pairs(3):
            change = conserved(after, lower, upper) - conserved(before, lower, upper)
            assert np.abs(change - LR**2 * gram(g, lower)).max() <= 2e-13


def test_decay_and_momentum_break_the_law() -> None:
    """The control for T12: with anything but plain SGD the increment is another one."""
    for extra in ({"weight_decay": 0.1}, {"momentum": 0.9}):
        session = opened(spec(dense(9, 8, 4), FA, PLAIN | extra))
        x, y = batch()
        session.step(x, y)
        before = session.state()
        twin = put(opened(spec(dense(9, 8, 4), FA, PLAIN)), {n: before[n] for n in before if "mom" not in n})
        g = gradients(twin, x, y)
        session.step(x, y)
        grown = energies(session.state())[0] - energies(before)[0]
        expected = 0.5 * LR**2 * ((g["fc1.weight"] ** 2).sum(1) + g["fc1.bias"] ** 2)
        assert np.abs(grown - expected).max() > 1e-5
