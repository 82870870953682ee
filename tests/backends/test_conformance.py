"""Reference against torch on whole steps: every rule with every update, every layer, every batch size."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from fac.backend import Session
from fac.pipeline import compile
from tests.build.nets import RELU, Data, batch, linear, mlp, spec

DEVICES = ["cpu"] + (["cuda"] if torch.cuda.is_available() else [])
ON_EACH = pytest.mark.parametrize("device", DEVICES)
TIGHT = 1e-10
"""50 steps in float64, relative to the largest entry of a tensor; found: 5e-15."""
LOOSE = 1e-5
"""One step in float32, likewise; found: 5e-7."""

RULES: dict[str, Data] = {
    "bp": {"rule": "bp"},
    "fa": {"rule": "fa"},
    "fa_kp": {"rule": "fa", "learn": {"rule": "kolen_pollack"}},
    "dfa": {"rule": "dfa"},
    "dfa_kp": {"rule": "dfa", "learn": {"rule": "kolen_pollack"}},
    **{
        f"ldfa_{learn}": {"rule": "ldfa", "rank": 2, "learn": learn}
        for learn in ("fixed", "kolen_pollack", "oja_kp", "local", "normative")
    },
    "ldfa_refresh": {"rule": "ldfa", "rank": 2, "learn": "normative", "refresh": 7},
    **{
        f"direct_ldfa_{learn}": {"rule": "direct_ldfa", "rank": 2, "learn": learn}
        for learn in ("fixed", "kolen_pollack", "oja_kp")
    },
    "shallow": {"rule": "shallow"},
    "subspace": {
        "subspaces": ({"name": "task", "of": "loss", "rank": 2, "basis": {"rule": "oja"}},),
        "routes": ({"to": "fc*", "from": "task", "matrix": {"kind": "random", "scale": 0.5}},),
    },
    "mixed": {
        "routes": (
            {"to": "fc1", "matrix": {"kind": "random"}, "combine": "add"},
            {"to": "fc1", "from": "fc2", "matrix": {"kind": "low_rank", "rank": 2}, "combine": "add"},
            {"through": "out", "matrix": {"kind": "transpose"}},
        )
    },
}
UPDATES: dict[str, Data] = {
    "sgd": {"rule": "sgd", "lr": 0.05},
    "momentum": {"rule": "sgd", "lr": 0.05, "momentum": 0.9},
    "nesterov": {"rule": "sgd", "lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
    "adam": {"rule": "adam", "lr": 0.01, "weight_decay": 0.01},
    "adamw": {"rule": "adamw", "lr": 0.01, "weight_decay": 0.1},
    "clip_value": {"rule": "sgd", "lr": 0.05, "momentum": 0.9, "clip": {"by": "value", "at": 0.05}},
    "clip_norm": {"rule": "sgd", "lr": 0.05, "momentum": 0.9, "clip": {"by": "norm", "at": 0.3}},
    "groups": {
        "rule": "sgd",
        "lr": 0.05,
        "groups": (
            {"match": "*.bias", "lr_scale": 0.5},
            {"match": "fc1.*", "use": {"rule": "adam", "lr": 0.01}},
        ),
        "feedback": {"lr_scale": 2.0, "weight_decay": 0.01},
    },
}
NET = mlp(8, 6, 3)


def pair(data: Data, precision: Any, device: str) -> tuple[Session, Session]:
    """Sessions on both backends that start from one state."""
    reference = compile(data, backend="reference", precision=precision).open()
    other = compile(data, backend="torch", precision=precision).open(device=device)
    return reference, other


def distance(a: Any, b: Any) -> float:
    """The largest difference, relative to the largest entry."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    assert a.shape == b.shape
    assert np.isfinite(a).all()
    return float(np.abs(a - b).max() / max(1.0, np.abs(a).max()))


def agree(reference: Session, other: Session, tolerance: float) -> None:
    """One state, to the tolerance."""
    expected, found = reference.state(), other.state()
    assert list(expected) == list(found)
    far = {name: distance(expected[name], found[name]) for name in expected}
    assert max(far.values()) < tolerance, max(far.items(), key=lambda item: item[1])


def shaken(session: Session) -> dict[str, Any]:
    """The state with noise on P and Q.

    At the SVD of the weight the gradients of `normative` are rounding noise, which Adam scales up to whole steps.
    """
    rng = np.random.default_rng(0)
    state = session.state()
    names = [name for name in state if name.endswith((".feedback.P", ".feedback.Q"))]
    return state | {name: state[name] + 0.1 * rng.standard_normal(state[name].shape) for name in names}


@ON_EACH
@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("rule", RULES)
def test_fifty_steps(rule: str, update: str, device: str) -> None:
    reference, other = pair(spec(NET, RULES[rule], UPDATES[update]), "float64", device)
    state = shaken(reference)
    reference.load_state(state)
    other.load_state(state)
    for step in range(50):
        x, y = batch(seed=step)
        lr = 0.05 / (1 + 0.01 * step)
        losses = [float(session.step(x, y, lr)["loss"]) for session in (reference, other)]
        assert distance(*losses) < TIGHT
    agree(reference, other, TIGHT)
    x, y = batch(seed=99)
    expected, found = reference.probe(x, y), other.probe(x, y)
    assert expected.keys() == found.keys()
    assert max(distance(expected[name], found[name]) for name in expected) < TIGHT
    assert reference.evaluate(x, y) == pytest.approx(other.evaluate(x, y), rel=TIGHT)
    np.testing.assert_allclose(other.forward(x), reference.forward(x), rtol=0, atol=TIGHT)


@ON_EACH
@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("rule", RULES)
def test_one_step_in_float32(rule: str, update: str, device: str) -> None:
    reference, other = pair(spec(NET, RULES[rule], UPDATES[update]), "float32", device)
    state = shaken(reference)
    reference.load_state(state)
    other.load_state(state)
    x, y = batch()
    assert distance(reference.step(x, y)["loss"], other.step(x, y)["loss"]) < LOOSE
    agree(reference, other, LOOSE)
    assert all(value.dtype == np.float32 for name, value in other.state().items() if name != "step")


def compare(data: Data, device: str, *batches: tuple[Any, Any], tolerance: float = TIGHT) -> None:
    """One step per batch on both backends."""
    reference, other = pair(data, "float64", device)
    for x, y in batches:
        assert distance(reference.step(x, y)["loss"], other.step(x, y)["loss"]) < tolerance
    agree(reference, other, tolerance)
    x, y = batches[0]
    expected, found = reference.probe(x, y), other.probe(x, y)
    assert max(distance(expected[name], found[name]) for name in expected) < tolerance


ACTIVATIONS: list[Data] = [
    RELU,
    {"kind": "leaky_relu", "slope": 0.2},
    {"kind": "tanh"},
    {"kind": "sigmoid"},
    {"kind": "gelu"},
]


@ON_EACH
@pytest.mark.parametrize("rule", ["bp", "dfa", "ldfa_oja_kp"])
@pytest.mark.parametrize("activation", ACTIVATIONS, ids=lambda a: str(a["kind"]))
def test_activations(activation: Data, rule: str, device: str) -> None:
    layers = mlp(8, 6, 3, activation=activation)
    compare(spec(layers, RULES[rule], UPDATES["momentum"]), device, *[batch(seed=s) for s in range(5)])


@ON_EACH
@pytest.mark.parametrize("rule", RULES)
def test_regression(rule: str, device: str) -> None:
    batches = [batch(classes=None, seed=s) for s in range(5)]
    compare(spec(NET, RULES[rule], UPDATES["momentum"], loss="mse"), device, *batches)


SKIP: tuple[Data, ...] = (
    linear("fc1", 6),
    {"kind": "relu", "name": "r1"},
    linear("fc2", 6),
    {"kind": "tanh"},
    {"kind": "add", "name": "joined", "from": ("tanh_1", "r1", "fc1")},
    linear("out", 3),
)


@ON_EACH
@pytest.mark.parametrize("rule", RULES)
def test_skips(rule: str, device: str) -> None:
    compare(spec(SKIP, RULES[rule], UPDATES["momentum"]), device, *[batch(seed=s) for s in range(5)])


@ON_EACH
@pytest.mark.parametrize("rule", RULES)
def test_no_bias(rule: str, device: str) -> None:
    compare(spec(mlp(8, 6, 3, bias=False), RULES[rule], UPDATES["adam"]), device, batch(), batch(seed=1))


@ON_EACH
def test_flattened_images(device: str) -> None:
    layers = ({"kind": "flatten"}, *mlp(6, 3))
    x, y = batch(shape=(2, 4, 3))
    compare(spec(layers, RULES["ldfa_oja_kp"], shape=(2, 4, 3)), device, (x, y), (x, y))


@ON_EACH
@pytest.mark.parametrize("rule", RULES)
def test_batch_of_one_and_changing_sizes(rule: str, device: str) -> None:
    """More sizes than a session keeps workspaces for, and back again."""
    sizes = [8, 8, 3, 1, 8, 20, 3]
    batches = [batch(n=n, seed=s) for s, n in enumerate(sizes)]
    compare(spec(NET, RULES[rule], UPDATES["momentum"]), device, *batches)


DROPOUT = (
    linear("fc1", 40),
    RELU,
    {"kind": "dropout", "rate": 0.5},
    linear("fc2", 6),
    RELU,
    linear("out", 3),
)


@ON_EACH
@pytest.mark.parametrize("rule", ["bp", "dfa", "ldfa_oja_kp"])
def test_dropout(rule: str, device: str) -> None:
    """One mask that differed would show as an error near 1; a batch of another size keeps the stream."""
    batches = [batch(n=n, seed=s) for s, n in enumerate([8, 8, 5, 8])]
    compare(spec(DROPOUT, RULES[rule], UPDATES["momentum"]), device, *batches)


@ON_EACH
@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_dropped_units_are_the_same_units(precision: Any, device: str) -> None:
    """Rows of fc2's weight gradient that are exactly zero are those of units that dropped out, in each precision."""
    reference, other = pair(spec(DROPOUT, RULES["bp"]), precision, device)
    start = reference.state()["fc2.weight"]
    x, y = batch(n=1)
    for session in (reference, other):
        session.step(x, y)
    still = [session.state()["fc2.weight"] == start for session in (reference, other)]
    np.testing.assert_array_equal(*still)
    assert 0.3 < still[0].mean() < 1


@ON_EACH
def test_placed_batches(device: str) -> None:
    """Data that lies on the device, taken by rows, gives what arrays give."""
    reference, other = pair(spec(NET, RULES["ldfa_oja_kp"]), "float64", device)
    x, y = batch(n=20)
    for session in (reference, other):
        placed_x, placed_y = session.place(x), session.place(y)
        for step in range(3):
            rows = np.random.default_rng(step).permutation(20)[:6]
            session.step(session.take(placed_x, rows), session.take(placed_y, rows))
    agree(reference, other, TIGHT)
