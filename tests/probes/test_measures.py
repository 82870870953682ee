"""Probes that are asked for, each against what it is written out in NumPy, on each backend. float64; 1e-10 relative."""

from __future__ import annotations

from math import acos, degrees, isnan
from typing import Any

import numpy as np
import pytest

from fac.backend import Session
from fac.pipeline import compile
from tests.rules.nets import BP, SGD, Array, Spec, batch, dense, gradients, put, spec

EACH = pytest.mark.parametrize("backend", ["reference", "torch", "onnx"])
RTOL = 1e-10
NAMES = ("fc1", "fc2", "fc3")


def opened(of: Spec, backend: str, *probes: Spec) -> Session:
    return compile(of | {"probes": probes}, backend=backend, precision="float64").open(device="cpu")


def norm(*arrays: Array) -> float:
    return float(np.sqrt(sum((a * a).sum() for a in arrays)))


def cosine(a: Array, b: Array) -> float:
    return float((a * b).sum() / (norm(a) * norm(b)))


def true_gradients(of: Spec, state: dict[str, Array], x: Array, y: Array) -> dict[str, Array]:
    """By the same network under backpropagation."""
    twin = opened({**of, "feedback": BP, "update": SGD}, "reference")
    return gradients(put(twin, {n: a for n, a in state.items() if n in twin.state()}), x, y)


@EACH
def test_gradient_norms(backend: str) -> None:
    of = spec(dense(9, 8, 4), {"rule": "fa"})
    session, (x, y) = opened(of, backend, {"kind": "gradient_norm"}), batch()
    routed, true = gradients(session, x, y), true_gradients(of, session.state(), x, y)
    found = session.probe(x, y)
    assert len(found) == 1 + 2 * 3 + 2
    for name, each in (("norm", routed), ("true_norm", true)):
        for node in NAMES:
            assert found[f"{node}.gradient.{name}"] == pytest.approx(norm(each[f"{node}.weight"]), rel=RTOL)
        whole = norm(*(each[f"{node}.weight"] for node in NAMES))
        assert found[f"gradient.{name}"] == pytest.approx(whole, rel=RTOL)


@EACH
@pytest.mark.parametrize(
    "update",
    [
        {"rule": "sgd", "lr": 0.1, "momentum": 0.9, "weight_decay": 0.01},
        {"rule": "sgd", "lr": 0.1, "clip": {"by": "norm", "at": 0.01}},
        {"rule": "adam", "lr": 0.01, "groups": ({"match": "fc2.*", "lr_scale": 3.0},)},
    ],
    ids=["momentum", "clipped", "adam"],
)
def test_update_sizes_are_those_of_the_next_step(backend: str, update: Spec) -> None:
    of = spec(dense(9, 8, 4), {"rule": "fa"}, update)
    session, (x, y) = opened(of, backend, {"kind": "update_size"}), batch()
    for _ in range(3):
        session.step(x, y)
    before, found = session.state(), session.probe(x, y)
    true = true_gradients(of, before, x, y)
    session.step(x, y)
    after = session.state()
    steps = {node: after[f"{node}.weight"] - before[f"{node}.weight"] for node in NAMES}
    for node, step in steps.items():
        weight = f"{node}.weight"
        assert found[f"{node}.update.norm"] == pytest.approx(norm(step), rel=1e-8)
        assert found[f"{node}.update.ratio"] == pytest.approx(norm(step) / norm(before[weight]), rel=1e-8)
        assert found[f"{node}.update.cosine"] == pytest.approx(cosine(step, -true[weight]), rel=1e-8)
    assert found["update.norm"] == pytest.approx(norm(*steps.values()), rel=1e-8)


@EACH
def test_activation_scales(backend: str) -> None:
    session, (x, y) = opened(spec(dense(9, 8, 4, act="tanh")), backend, {"kind": "activation_scale"}), batch()
    state, value, values = session.state(), x, [x]
    for node in NAMES:
        value = value @ state[f"{node}.weight"].T + state[f"{node}.bias"]
        value = value if node == "fc3" else np.tanh(value)
        values.append(value)
    scales = [norm(value) / np.sqrt(value.size) for value in values]
    found = session.probe(x, y)
    for i, node in enumerate(NAMES):
        assert found[f"{node}.activation.scale"] == pytest.approx(scales[i + 1], rel=RTOL)
        assert found[f"{node}.activation.ratio"] == pytest.approx(scales[i + 1] / scales[i], rel=RTOL)
    assert found["activation.ratio"] == pytest.approx(scales[2] / scales[1], rel=RTOL)


@EACH
def test_angles_are_those_of_the_cosines(backend: str) -> None:
    session = opened(spec(dense(9, 8, 4), {"rule": "fa"}), backend, {"kind": "alignment"}, {"kind": "angle"})
    found = session.probe(*batch())
    angles = {name: value for name, value in found.items() if name.endswith("angle")}
    assert len(angles) == 3 * 3 + 3
    for name, value in angles.items():
        assert value == pytest.approx(degrees(acos(found[name.replace("angle", "cosine")])), rel=RTOL)
    assert angles["fc3.error.angle"] == pytest.approx(0, abs=1e-5)
    assert 0 < angles["fc1.error.angle"] < 180


@EACH
def test_the_spread_of_cosines_over_samples(backend: str) -> None:
    probe = {"kind": "alignment", "spread": True}
    session, (x, y) = opened(spec(dense(9, 8, 4), {"rule": "fa"}), backend, probe), batch()
    each = [session.probe(x[i : i + 1], y[i : i + 1])["fc1.error.cosine"] for i in range(len(x))]
    seen = [value for value in each if not isnan(value)]
    found = session.probe(x, y)
    assert found["fc1.error.cosine"] == pytest.approx(np.mean(seen), rel=RTOL)
    assert found["fc1.error.cosine_sd"] == pytest.approx(np.std(seen), rel=1e-8)
    assert "error.cosine_sd" in found


@EACH
def test_below_the_floor_there_is_no_cosine(backend: str) -> None:
    """The floor lies between the norms of the true errors of the layers, and of the samples of one."""
    plain, (x, y) = opened(spec(dense(9, 8, 4), {"rule": "fa"}), backend, {"kind": "alignment"}), batch()
    of = spec(dense(9, 8, 4), {"rule": "fa"})
    true = true_gradients(of, plain.state(), x, y)
    sizes = sorted((norm(true[f"{node}.weight"]), node) for node in NAMES)
    floor = (sizes[0][0] + sizes[1][0]) / 2
    session = opened(of, backend, {"kind": "alignment", "floor": floor})
    found, without = session.probe(x, y), plain.probe(x, y)
    gone = {node for node in NAMES if isnan(found[f"{node}.gradient.cosine"])}
    assert gone == {sizes[0][1]}
    for node in set(NAMES) - gone:
        assert found[f"{node}.gradient.cosine"] == without[f"{node}.gradient.cosine"]


@EACH
def test_the_floor_counts_sample_by_sample(backend: str) -> None:
    layers, (x, _) = dense(5, 4, act=None, bias=False), batch(outputs=4)
    targets = np.random.default_rng(0).standard_normal((len(x), 4))
    x = x * np.where(np.arange(len(x)) < 6, 1e-6, 1.0)[:, None]
    targets = targets * np.where(np.arange(len(x)) < 6, 1e-6, 1.0)[:, None]
    of = spec(layers, {"rule": "fa"}, loss="mse")
    plain, floored = (opened(of, backend, {"kind": "alignment", "floor": floor}) for floor in (0.0, 1e-5))
    # a mean over samples and outputs: the same error of a sample is a smaller share of more samples
    kept = plain.probe(x[6:], targets[6:])["fc1.error.cosine"]
    assert floored.probe(x, targets)["fc1.error.cosine"] == pytest.approx(kept, rel=RTOL)
    assert plain.probe(x, targets)["fc1.error.cosine"] != pytest.approx(kept, rel=1e-3)


@EACH
def test_direct_feedback_is_compared_with_the_product_of_the_weights_that_it_leaps_over(backend: str) -> None:
    session = opened(spec(dense(9, 8, 4), {"rule": "dfa"}), backend, {"kind": "feedback_alignment"})
    state, (x, y) = session.state(), batch()
    products = {"fc1": state["fc3.weight"] @ state["fc2.weight"], "fc2": state["fc3.weight"]}
    found = session.probe(x, y)
    assert len(found) == 1 + 2 * 2
    for node, weight in products.items():
        used = state[f"{node}.feedback.B"].T
        assert found[f"{node}.feedback.cosine"] == pytest.approx(cosine(used, weight), rel=RTOL)
        assert found[f"{node}.feedback.norm_ratio"] == pytest.approx(norm(used) / norm(weight), rel=RTOL)
    put(session, {f"{node}.feedback.B": 2 * weight.T for node, weight in products.items()})
    assert session.probe(x, y)["fc1.feedback.cosine"] == pytest.approx(1, rel=RTOL)
    assert session.probe(x, y)["fc1.feedback.norm_ratio"] == pytest.approx(2, rel=RTOL)


def test_where_weights_have_no_product_nothing_is_compared() -> None:
    """Past a normalisation, past a join, or past kernels."""
    skip = (
        {"kind": "linear", "name": "fc1", "out": 8},
        {"kind": "relu", "name": "a"},
        {"kind": "linear", "name": "fc2", "out": 8},
        {"kind": "add", "name": "join", "from": ("a", "fc2")},
        {"kind": "linear", "name": "fc3", "out": 4},
    )
    norms = (*dense(8)[:1], {"kind": "layer_norm", "name": "n1"}, {"kind": "relu"}, *dense(9, 8, 4)[2:])
    for layers, told in ((skip, {"fc2"}), (norms, {"n1", "fc1", "fc2"})):
        session = opened(spec(layers, {"rule": "dfa"}), "reference", {"kind": "feedback_alignment"})
        names = {name.partition(".")[0] for name in session.probe(*batch()) if name != "loss"}
        assert names <= told, names


SAMPLES, FEATURES, OUTPUTS = 6, 9, 3


def linear(first: Any, feedback: Spec, lr: float = 0.1) -> Spec:
    layers = (
        {"kind": "linear", "name": "fc1", "out": 12, "bias": False, "init": first},
        {"kind": "linear", "name": "fc2", "out": OUTPUTS, "bias": False},
    )
    return spec(layers, feedback, {"rule": "sgd", "lr": lr}, inputs=FEATURES, loss="mse")


@EACH
def test_law_11_of_a_first_weight_of_zero_the_solution_has_least_norm(backend: str) -> None:
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((SAMPLES, FEATURES)), rng.standard_normal((SAMPLES, OUTPUTS))
    found = {}
    for first in ("zeros", "kaiming_uniform"):
        session = opened(linear(first, {"rule": "fa"}), backend, {"kind": "min_norm"})
        for _ in range(1 if backend == "onnx" else 4500):
            session.step(x, y)
        found[first] = session.probe(x, y)
        state = session.state()
        whole, least = state["fc2.weight"] @ state["fc1.weight"], (np.linalg.pinv(x) @ y).T
        distance, residual = norm(whole - least) / norm(least), norm(x @ whole.T - y) / norm(y)
        assert found[first]["min_norm.distance"] == pytest.approx(distance, rel=1e-6, abs=1e-13)
        assert found[first]["min_norm.residual"] == pytest.approx(residual, rel=1e-6, abs=1e-13)
    if backend != "onnx":
        assert all(each["min_norm.residual"] < 1e-10 for each in found.values())
        assert found["zeros"]["min_norm.distance"] < 1e-10
        assert found["kaiming_uniform"]["min_norm.distance"] > 0.1
