"""Targets in place of the error: direct random target projection, arXiv 1909.01311."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fac.build.costs import step_cost
from fac.pipeline import lowered
from fac.step.ir import Phase
from tests.rules.nets import SGD, Array, Spec, batch, dense, distance, gradients, opened, perturbed, put, spec

BACKENDS = pytest.mark.parametrize("backend", ["reference", "torch", "onnx"])
DRTP: Spec = {"rule": "drtp"}
CHAIN = dense(9, 8, 6, 4, act="tanh")
HIDDEN = ("fc1", "fc2", "fc3")


def to(layer: str, source: str = "targets", **said: Any) -> Spec:
    """A route of a full matrix."""
    return {"to": layer, "from": source, "matrix": {"kind": "random"}} | said


def routes(*routes: Spec, **more: Any) -> Spec:
    """The long form."""
    return {"routes": routes} | more


def one_hot(y: Array, classes: int = 4) -> Array:
    return np.eye(classes)[y]


def hidden(session: Any, x: Array, errors: dict[str, Array]) -> dict[str, Array]:
    """The gradients of the tanh layers of `CHAIN` for errors at their outputs, by NumPy alone."""
    state, h = session.state(), x
    found: dict[str, Array] = {}
    for layer in HIDDEN:
        below, h = h, np.tanh(h @ state[f"{layer}.weight"].T + state[f"{layer}.bias"])
        d = errors[layer] * (1 - h * h)
        found |= {f"{layer}.weight": d.T @ below, f"{layer}.bias": d.sum(0)}
    return found


@BACKENDS
@pytest.mark.parametrize("sign", ["minus", "plus"])
def test_each_layer_gets_the_column_of_the_label(sign: str, backend: str) -> None:
    """E_l = -Y B^T / N; the last layer learns as in backpropagation."""
    x, y = batch()
    session = opened(spec(CHAIN, DRTP | {"sign": sign}), backend)
    state, factor = session.state(), 1.0 if sign == "plus" else -1.0
    errors = {layer: factor * one_hot(y) @ state[f"{layer}.feedback.B"].T / len(y) for layer in HIDDEN}
    found = gradients(session, x, y)
    assert distance(found, hidden(session, x, errors)) <= 1e-15
    exact = gradients(opened(spec(CHAIN), backend), x, y)
    assert np.abs(found["fc4.weight"] - exact["fc4.weight"]).max() <= 1e-15


def test_t35_what_stands_above_a_layer_has_no_say_in_its_step() -> None:
    """Nor has whether it stands there: networks of any depth move their first layers alike."""
    x, y = batch()
    session = opened(spec(CHAIN, DRTP))
    found = gradients(session, x, y)
    other = gradients(perturbed(session, "fc3.weight"), x, y)
    for name in ("fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"):
        np.testing.assert_array_equal(found[name], other[name])
    low = opened(spec(dense(9, 4, act="tanh"), DRTP))
    put(low, {name: session.state()[name] for name in ("fc1.weight", "fc1.bias", "fc1.feedback.B")})
    again = gradients(low, x, y)
    for name in ("fc1.weight", "fc1.bias"):
        np.testing.assert_array_equal(found[name], again[name])


def test_t20_signs_train_alike_and_align_against_each_other() -> None:
    """With the signs of the error the read-out grows towards B, with the other ones against it."""
    x, y = batch(200, seed=3)
    y = (x @ np.random.default_rng(0).standard_normal((7, 4))).argmax(1)
    cosines, hits = {}, {}
    for sign in ("minus", "plus"):
        session = opened(spec(dense(40, 4, act="tanh"), DRTP | {"sign": sign}, {"rule": "sgd", "lr": 0.2}))
        for _ in range(300):
            session.step(x, y)
        state = session.state()
        w, b = state["fc2.weight"], state["fc1.feedback.B"].T
        cosines[sign] = float((w * b).sum() / np.linalg.norm(w) / np.linalg.norm(b))
        hits[sign] = session.evaluate(x, y)["accuracy"]
    assert cosines["minus"] > 0.3
    assert cosines["plus"] < -0.3
    assert min(hits.values()) > 0.9
    assert abs(hits["minus"] - hits["plus"]) <= 0.015


def test_t34_a_projection_costs_no_multiply_adds_and_reads_one_column_for_each_sample() -> None:
    step = step_cost(lowered(spec(CHAIN, DRTP)), 12)
    errors = {layer.name: layer.phases[Phase.ERROR] for layer in step.layers if Phase.ERROR in layer.phases}
    assert sum(tally.macs for tally in errors.values()) == 0
    assert {name: errors[name].words for name in HIDDEN} == {"fc1": 12 * 9, "fc2": 12 * 8, "fc3": 12 * 6}


@BACKENDS
@pytest.mark.parametrize("settings", [{"weight": (1.0, 3.0, 0.5, 0.0)}, {"ignore_index": -100}])
def test_labels_count_as_the_loss_counts_them(settings: Spec, backend: str) -> None:
    x, y = batch()
    y = np.where(np.arange(12) < 3, -100, y) if "ignore_index" in settings else y
    data = spec(CHAIN, DRTP)
    session = opened(data | {"loss": data["loss"] | settings}, backend)
    each = np.array(settings.get("weight", (1.0,) * 4))[y % 4] * (y >= 0)
    errors = {
        layer: -each[:, None] / each.sum() * one_hot(y % 4) @ session.state()[f"{layer}.feedback.B"].T
        for layer in HIDDEN
    }
    assert distance(gradients(session, x, y), hidden(session, x, errors)) <= 1e-15


@BACKENDS
def test_yes_and_no_stand_for_the_error_of_an_undecided_output(backend: str) -> None:
    x, _ = batch()
    y = np.random.default_rng(2).integers(0, 2, (12, 4)).astype(float)
    data = spec(CHAIN, DRTP) | {"loss": {"kind": "bce", "pos_weight": (1.0, 2.0, 3.0, 0.5)}}
    session = opened(data, backend)
    error = (1 - y - y * np.array([1.0, 2.0, 3.0, 0.5])) / 2 / y.size
    errors = {layer: error @ session.state()[f"{layer}.feedback.B"].T for layer in HIDDEN}
    assert distance(gradients(session, x, y), hidden(session, x, errors)) <= 1e-15


@BACKENDS
def test_several_heads_each_bring_their_own(backend: str) -> None:
    """By their factors in the sum, and at the layers that lead to them."""
    layers = (*CHAIN, {"kind": "linear", "name": "aux", "from": "act2", "out": 5})
    losses = (
        {"kind": "cross_entropy", "of": "fc4"},
        {"kind": "cross_entropy", "of": "aux", "scale": 0.3, "target": "z"},
    )
    data = spec(layers, DRTP) | {"losses": losses}
    del data["loss"]
    program = lowered(data)
    assert [(r.node, r.source) for r in program.routes] == [
        ("fc1", "targets.fc4"),
        ("fc1", "targets.aux"),
        ("fc2", "targets.fc4"),
        ("fc2", "targets.aux"),
        ("fc3", "targets.fc4"),
    ]
    session = opened(data, backend)
    (x, y), (_, z) = batch(), batch(outputs=5, seed=4)
    state = session.state()
    session.step({"x": x, "y": y, "z": z}, lr=1.0)
    after = session.state()
    session.load_state(state)
    found = {name: state[name] - after[name] for name in state if name.endswith(("weight", "bias"))}
    errors = {n: -one_hot(y) @ state[f"{n}.feedback.B"].T / 12 for n in HIDDEN}
    for n in ("fc1", "fc2"):
        errors[n] = errors[n] - 0.3 * one_hot(z, 5) @ state[f"{n}.feedback.2.B"].T / 12
    assert distance(found, hidden(session, x, errors)) <= 1e-15


TOKENS: tuple[Spec, ...] = (
    {"kind": "linear", "name": "fc1", "out": 6},
    {"kind": "tanh", "name": "act1"},
    {"kind": "linear", "name": "fc2", "out": 4},
)
MAPS: tuple[Spec, ...] = (
    {"kind": "conv2d", "name": "conv", "out": 5, "kernel": 3, "padding": 1},
    {"kind": "conv2d", "name": "head", "out": 4, "kernel": 1},
)


@BACKENDS
def test_tokens_get_the_column_of_their_own_label(backend: str) -> None:
    rng = np.random.default_rng(3)
    x, y = rng.standard_normal((6, 5, 7)), rng.integers(0, 4, (6, 5))
    data = spec(TOKENS, DRTP) | {"input": {"shape": (5, 7)}}
    session = opened(data, backend)
    state = session.state()
    h = np.tanh(x @ state["fc1.weight"].T + state["fc1.bias"])
    d = -one_hot(y) @ state["fc1.feedback.B"].T / 30 * (1 - h * h)
    found = gradients(session, x, y)
    np.testing.assert_allclose(found["fc1.weight"], np.einsum("ntm,ntk->mk", d, x), atol=1e-15, rtol=0)


@BACKENDS
def test_maps_get_those_of_all_their_labels(backend: str) -> None:
    """Every number of the map has a row of its own; the gradient of a bias is the sum over samples and places."""
    rng = np.random.default_rng(3)
    x, y = rng.standard_normal((6, 2, 3, 3)), rng.integers(0, 4, (6, 3, 3))
    session = opened(spec(MAPS, DRTP) | {"input": {"shape": (2, 3, 3)}}, backend)
    error = -np.moveaxis(one_hot(y), -1, 1).reshape(6, 36) / y.size
    sent = error @ session.state()["conv.feedback.B"].T
    found = gradients(session, x, y)["conv.bias"]
    np.testing.assert_allclose(found, sent.reshape(6, 5, 9).sum((0, 2)), atol=1e-15, rtol=0)


@BACKENDS
def test_matrices_learn_from_targets_as_from_errors(backend: str) -> None:
    """Kolen-Pollack: gB = E^T H, of each class the sum of what has its label; Oja sees the same rows."""
    x, y = batch()
    kp = to("fc1", matrix={"kind": "random", "learn": {"rule": "kolen_pollack"}})
    oja: Spec = {"name": "task", "of": "targets", "rank": 2, "basis": {"rule": "oja", "rate": 0.5}}
    session = opened(spec(CHAIN, routes(kp, to("fc2", "task"), subspaces=(oja,))), backend)
    state, e = session.state(), -one_hot(y) / 12
    h = np.tanh(x @ state["fc1.weight"].T + state["fc1.bias"])
    found = gradients(session, x, y)
    np.testing.assert_allclose(found["fc1.feedback.B"], (e.T @ h).T, atol=1e-15, rtol=0)
    p = state["task.feedback.P"]
    s = e @ p.T
    step = 0.5 * (s.T @ e - s.T @ s @ p) / (e * e).sum()
    np.testing.assert_allclose(-found["task.feedback.P"], step, atol=1e-14, rtol=0)
    h2 = np.tanh(h @ state["fc2.weight"].T + state["fc2.bias"])
    d = s @ state["fc2.feedback.B"].T * (1 - h2 * h2)
    np.testing.assert_allclose(found["fc2.weight"], d.T @ h, atol=1e-15, rtol=0)


@BACKENDS
@pytest.mark.parametrize(
    "feedback",
    [{"rule": "dfa"}, DRTP, {"rule": "direct_ldfa", "rank": 2, "learn": "fixed"}],
    ids=lambda f: f["rule"],
)
def test_a_sum_is_the_mean_times_the_samples(feedback: Spec, backend: str) -> None:
    """At the layers that are fed; the last keeps the mean, and matrices learn from it as before."""
    x, y = batch()
    mean = gradients(opened(spec(CHAIN, feedback), backend), x, y)
    total = gradients(opened(spec(CHAIN, feedback | {"error_scale": "sum"}), backend), x, y)
    for name in mean:
        factor = 1 if name.startswith("fc4.") else 12
        np.testing.assert_allclose(total[name], factor * mean[name], atol=1e-14, rtol=0)


def test_a_matrix_that_learns_takes_the_same_step_of_a_sum() -> None:
    x, y = batch()
    dfa: Spec = {"rule": "dfa", "learn": {"rule": "kolen_pollack"}}
    mean, total = (
        gradients(opened(spec(CHAIN, dfa | {"error_scale": scale})), x, y) for scale in ("mean", "sum")
    )
    for layer in HIDDEN:
        np.testing.assert_array_equal(mean[f"{layer}.feedback.B"], total[f"{layer}.feedback.B"])


@BACKENDS
def test_signs_of_the_error(backend: str) -> None:
    x, y = batch()
    session = opened(spec(CHAIN, {"rule": "dfa", "signs": True}), backend)
    z = session.forward(x)
    e = np.sign(np.exp(z) / np.exp(z).sum(1, keepdims=True) - one_hot(y)) / 12
    errors = {layer: e @ session.state()[f"{layer}.feedback.B"].T for layer in HIDDEN}
    assert distance(gradients(session, x, y), hidden(session, x, errors)) <= 1e-15


def test_the_short_hand_and_its_long_form_are_one_step() -> None:
    """Names and initial values included."""
    x, y = batch()
    long = routes(*(to(layer, matrix={"kind": "random", "init": "kaiming_uniform"}) for layer in HIDDEN))
    assert distance(*(gradients(opened(spec(CHAIN, f, SGD)), x, y) for f in (DRTP, long))) == 0
