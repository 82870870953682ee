"""Layers that share parameters: one array each, whose gradient is the sum of what they say, under every rule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

import fac
from fac.backend import Array, Session
from fac.build.transport import transport
from fac.pipeline import lowered
from fac.render.expand import expanded_data
from fac.testing.case import distance
from fac.testing.nets import Data, Layers, batch, batches, conv2d, linear, spec

torch.set_num_threads(1)

State = dict[str, Array]
BACKENDS = ("reference", "torch", "onnx")
TANH: Data = {"kind": "tanh"}
NORM: Data = {"kind": "batch_norm"}
UNIT: Data = {"rule": "sgd", "lr": 1.0}
DECAY: Data = {"rule": "sgd", "lr": 0.05, "momentum": 0.9, "weight_decay": 0.1}

CHAIN: Layers = (
    linear("a", 5),
    TANH,
    linear("b", 5, tie="a"),
    TANH,
    linear("c", 5, tie="a", bias=False),
    TANH,
    linear("out", 3),
)
"""The first of them reads the data, so that no route goes through it; the last has no bias."""
LOOP: Layers = (
    linear("first", 5),
    {"kind": "repeat", "name": "loop", "times": 3, "tie": True, "body": (linear("fc", 5), TANH)},
    linear("out", 3),
)
TOWERS: Layers = (
    {"kind": "avg_pool2d", "name": "small", "kernel": 2, "from": "input"},
    conv2d("a", 3, 2, **{"from": "input"}),
    NORM | {"name": "an"},
    TANH | {"name": "at"},
    {"kind": "global_avg_pool", "name": "ap"},
    conv2d("b", 3, 2, tie="a", **{"from": "small"}),
    NORM | {"name": "bn", "tie": "an"},
    TANH | {"name": "bt"},
    {"kind": "global_avg_pool", "name": "bp"},
    {"kind": "multiply", "name": "both", "from": ("ap", "bp")},
    linear("out", 3),
)
IMAGES = (2, 6, 6)


def chain(p: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    for bias in (p["a.bias"], p["a.bias"], None):
        x = torch.tanh(functional.linear(x, p["a.weight"], bias))
    return functional.linear(x, p["out.weight"], p["out.bias"])


def loop(p: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    x = functional.linear(x, p["first.weight"], p["first.bias"])
    for _ in range(3):
        x = torch.tanh(functional.linear(x, p["loop.0.fc.weight"], p["loop.0.fc.bias"]))
    return functional.linear(x, p["out.weight"], p["out.bias"])


def towers(p: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    found = []
    for image in (x, functional.avg_pool2d(x, 2)):
        h = functional.conv2d(image, p["a.weight"], p["a.bias"])
        h = functional.batch_norm(
            h, p["an.running_mean"], p["an.running_var"], p["an.weight"], p["an.bias"], training=True
        )
        found.append(torch.tanh(h).mean((2, 3)))
    return functional.linear(found[0] * found[1], p["out.weight"], p["out.bias"])


NETS: dict[str, tuple[Layers, Callable[..., torch.Tensor], tuple[int, ...]]] = {
    "chain": (CHAIN, chain, (5,)),
    "loop": (LOOP, loop, (5,)),
    "towers": (TOWERS, towers, IMAGES),
}
UPDATES: dict[str, tuple[Data, Callable[..., torch.optim.Optimizer]]] = {
    "momentum, decay, clipped": (
        DECAY | {"clip": {"by": "norm", "at": 0.05}},
        lambda p: torch.optim.SGD(p, 0.05, momentum=0.9, weight_decay=0.1),
    ),
    "adam": ({"rule": "adam", "lr": 0.01}, lambda p: torch.optim.Adam(p, 0.01)),
}


def opened(data: Data, backend: str = "reference") -> Session:
    return fac.compile(data, backend=backend, precision="float64").open()


def after(session: Session, state: State, given: Any) -> State:
    """The state after a step for each batch, from that state."""
    session.load_state(session.state() | state)
    for x, y in given:
        session.step(x, y)
    return session.state()


def differentiate(z: torch.Tensor, y: Array) -> None:
    functional.cross_entropy(z, torch.tensor(y)).backward()  # type: ignore[no-untyped-call]


def start(session: Session) -> State:
    """Initial values with noise on the biases."""
    rng = np.random.default_rng(1)
    state = session.state()
    return state | {n: 0.3 * rng.standard_normal(v.shape) for n, v in state.items() if n.endswith(".bias")}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("rule", UPDATES)
@pytest.mark.parametrize("net", NETS)
def test_steps_are_those_of_autograd_on_shared_parameters(net: str, rule: str, backend: str) -> None:
    """Three steps, the last of a smaller batch. Torch clips and decays a shared parameter once."""
    layers, forward, shape = NETS[net]
    data, make = UPDATES[rule]
    session = opened(spec(layers, update=data, shape=shape), backend)
    state, given = start(session), batches(7, 7, 3, shape=shape)
    twin = {slot.name: torch.tensor(state[slot.name]) for slot in session.compiled.state if slot.parameter}
    moving = [p.requires_grad_() for name, p in twin.items() if ".running_" not in name]
    optimiser = make(moving)
    for x, y in given:
        optimiser.zero_grad()
        differentiate(forward(twin, torch.tensor(x)), y)
        if "clip" in data:
            torch.nn.utils.clip_grad_norm_(moving, data["clip"]["at"])
        optimiser.step()
    found = after(session, state, given)
    for name, value in twin.items():
        assert distance(found[name], value.detach().numpy()) < 1e-10, name
    layer = "a" if net != "loop" else "loop.0.fc"
    assert sum(name == f"{layer}.weight" for name in state) == 1
    assert not {n for n in state if n.startswith(("b.", "c.", "bn.", "loop.1.", "loop.2."))}


def test_gradients_are_central_differences() -> None:
    """Moving the one array moves all layers that read it."""
    session = opened(spec(CHAIN, update=UNIT))
    x, y = batch(6)
    state = start(session)
    stepped, h = after(session, state, [(x, y)]), 1e-6
    for name in ("a.weight", "a.bias"):
        numeric = np.zeros_like(state[name])
        for index in np.ndindex(numeric.shape):
            sides = []
            for sign in (1, -1):
                moved = state[name].copy()
                moved[index] += sign * h
                session.load_state(state | {name: moved})
                sides.append(session.evaluate(x, y)["loss"])
            numeric[index] = (sides[0] - sides[1]) / (2 * h)
        np.testing.assert_allclose(state[name] - stepped[name], numeric, rtol=1e-7, atol=1e-9)


# -- feedback ------------------------------------------------------------------------------------------------------

ROUTED: dict[str, Data] = {
    "bp": {"rule": "bp"},
    "fa": {"rule": "fa"},
    "ldfa": {"rule": "ldfa", "rank": 2, "learn": "fixed"},
    "dfa": {"rule": "dfa"},
    "direct_ldfa": {"rule": "direct_ldfa", "rank": 2, "learn": "fixed"},
}
CURVED: dict[str, Layers] = {"chain": CHAIN, "loop": LOOP}
LEARNED = ("fixed", "kolen_pollack", "oja_kp", "local", "normative")


def updates(session: Session, state: State, given: Any = None) -> State:
    """What steps add to each parameter."""
    found = after(session, state, given or [batch(7)])
    return {
        slot.name: found[slot.name] - state[slot.name] for slot in session.compiled.state if slot.parameter
    }


def exact(state: State, low_rank: bool) -> State:
    """The state in which feedback sends what the weights send: B = W, or P = 1 and Q = W^T."""
    found = dict(state)
    for name in state:
        node, _, part = name.partition(".feedback.")
        if part in ("B", "P"):
            weight = state[f"{node}.weight"]
            full = {"P": np.eye(len(weight)), "Q": weight.T} if low_rank else {"B": weight}
            found |= {f"{node}.feedback.{key}": value.copy() for key, value in full.items()}
    return found


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("rule", ROUTED)
@pytest.mark.parametrize("net", CURVED)
def test_a_shared_parameter_learns_the_sum_of_what_it_would_learn_at_each_layer(
    net: str, rule: str, backend: str
) -> None:
    """The same network without ties, in which equal numbers stand in arrays of their own; its feedback, too."""
    flat = expanded_data(lowered(spec(CURVED[net])))["layers"]
    owner = {layer["name"]: layer.get("tie", layer["name"]) for layer in flat if "name" in layer}
    apart = tuple({key: value for key, value in layer.items() if key != "tie"} for layer in flat)
    tied = opened(spec(CURVED[net], ROUTED[rule], UNIT), backend)
    free = opened(spec(apart, ROUTED[rule], UNIT), backend)
    state = start(tied)

    def meant(name: str) -> str:
        node, dot, rest = name.partition(".feedback.") if ".feedback." in name else name.rpartition(".")
        return f"{owner.get(node, node)}{dot}{rest}"

    found = updates(tied, state)
    total = {name: np.zeros_like(value) for name, value in found.items()}
    others = {name: state.get(meant(name), value) for name, value in free.state().items()}
    for name, value in updates(free, others).items():
        if meant(name) in total:
            total[meant(name)] += value
    for name, value in found.items():
        assert distance(value, total[name]) < 1e-12, name


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("net", CURVED)
def test_one_matrix_stands_for_the_shared_weight_and_equal_to_it_is_backpropagation(
    net: str, backend: str
) -> None:
    """F := W, and P = 1 with Q = W^T for every way to learn."""
    bp = opened(spec(CURVED[net], update=UNIT), backend)
    expected = updates(bp, start(bp))
    for feedback in (ROUTED["fa"], *({"rule": "ldfa", "rank": 9, "learn": way} for way in LEARNED)):
        routed = opened(spec(CURVED[net], feedback, UNIT), backend)
        matrices = {name.partition(".feedback.")[0] for name in routed.state() if ".feedback." in name}
        assert matrices == {"a" if net == "chain" else "loop.0.fc", "out"}
        found = updates(routed, exact(start(routed), "rank" in feedback))
        for name, value in expected.items():
            assert distance(found[name], value) < 1e-12, (feedback, name)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("net", CURVED)
def test_kolen_pollack_from_the_weight_stays_backpropagation(net: str, backend: str) -> None:
    """The matrix takes the step of the weight: the sum over all layers, of which the lowest has no route."""
    bp = opened(spec(CURVED[net], update=DECAY), backend)
    routed = opened(spec(CURVED[net], {"rule": "fa", "learn": {"rule": "kolen_pollack"}}, DECAY), backend)
    given = batches(7, 7, 3, 7)
    expected, found = after(bp, start(bp), given), after(routed, exact(start(routed), False), given)
    for name in expected:
        assert distance(found[name], expected[name]) < 1e-12, name
    owner = "a" if net == "chain" else "loop.0.fc"
    assert distance(found[f"{owner}.feedback.B"], found[f"{owner}.weight"]) < 1e-12


def test_what_a_pair_learns_is_what_its_rules_make_of_the_errors_of_all_layers() -> None:
    """Oja of all rows together; Q by the sum, which is the image of the weight's; both against NumPy."""
    session = opened(spec(CHAIN, {"rule": "ldfa", "rank": 2}, UNIT))
    state, (x, y) = start(session), batch(6)
    h, inputs = x, []
    for bias in (state["a.bias"], state["a.bias"], 0):
        inputs.append(h)
        h = np.tanh(h @ state["a.weight"].T + bias)
    z = h @ state["out.weight"].T + state["out.bias"]
    share = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    delta = (share - np.eye(3)[y]) / len(x)
    sends = {node: state[f"{node}.feedback.P"].T @ state[f"{node}.feedback.Q"].T for node in ("a", "out")}
    errors: list[Array] = []
    outputs = [*inputs[1:], h]
    for level in (2, 1, 0):
        delta = (delta @ sends["out" if level == 2 else "a"]) * (1 - outputs[level] ** 2)
        errors.insert(0, delta)
    found = after(session, state, [(x, y)])
    p, rows = state["a.feedback.P"], np.concatenate(errors)
    s = rows @ p.T
    oja = p + (s.T @ rows - s.T @ s @ p) / (rows**2).sum()
    assert distance(found["a.feedback.P"], oja) < 1e-12
    gradient = sum(d.T @ h for d, h in zip(errors, inputs, strict=True))
    assert distance(state["a.weight"] - found["a.weight"], gradient) < 1e-12
    assert distance(state["a.feedback.Q"] - found["a.feedback.Q"], (p @ gradient).T) < 1e-12


def test_what_is_learned_of_the_weight_alone_is_learned_once() -> None:
    session = opened(spec(CHAIN, {"rule": "ldfa", "rank": 2, "learn": "normative"}, UNIT))
    state = start(session)
    noise = np.random.default_rng(3).standard_normal(state["a.feedback.Q"].shape)
    state["a.feedback.Q"] += 0.1 * noise  # away from the singular vectors, where nothing moves
    p, q, w = state["a.feedback.P"], state["a.feedback.Q"], state["a.weight"]
    found = after(session, state, [batch(6)])
    assert distance(p - found["a.feedback.P"], q.T @ q @ p - (w @ q).T) < 1e-12
    assert distance(q - found["a.feedback.Q"], q @ p @ p.T - w.T @ p.T) < 1e-12


def test_a_matrix_changes_what_lies_below_its_layers_and_nothing_else() -> None:
    """Negated, it turns the error below three layers round three times, and leaves what lies above alone."""
    session = opened(spec(LOOP, ROUTED["fa"], UNIT))
    state = start(session)
    name = "loop.0.fc.feedback.B"
    before, found = updates(session, state), updates(session, state | {name: -state[name]})
    for name, value in before.items():
        if name.startswith("out."):
            assert distance(found[name], value) == 0
        elif name.startswith("first."):
            assert distance(found[name], -value) < 1e-15
        else:
            assert distance(found[name], value) > 1e-3


def test_routes_that_say_different_things_have_matrices_of_their_own() -> None:
    """Named after the owner, one after the other."""
    low: Data = {"kind": "low_rank", "rank": 2}
    routes = ({"through": "b", "matrix": low}, {"through": "c", "matrix": low | {"rank": 1}})
    state = opened(spec(CHAIN, {"routes": routes})).state()
    shapes = {name: value.shape for name, value in state.items() if ".feedback." in name}
    assert shapes == {
        "a.feedback.P": (2, 5),
        "a.feedback.Q": (5, 2),
        "a.feedback.2.P": (1, 5),
        "a.feedback.2.Q": (5, 1),
    }


READER: Layers = (
    {"kind": "embedding", "name": "rows", "num_embeddings": 9, "out": 5},
    linear("fc", 5),
    TANH,
    {"kind": "mean", "axes": (0,)},
    linear("head", 9, tie="rows"),
)
"""A head that shares the table of an embedding, and has a bias of its own."""


def reading(feedback: Any, update: Data) -> Data:
    return spec(READER, feedback, update) | {"input": {"shape": (4,), "classes": 9}}


def numbers(*sizes: int) -> Any:
    rng = np.random.default_rng(2)
    return [(rng.integers(0, 9, (n, 4)), rng.integers(0, 9, n)) for n in sizes]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_matrix_learns_where_its_weight_does_and_not_at_a_frozen_use(backend: str) -> None:
    """Else it would drift from the weight, which it is to follow: both take the same steps."""
    layers = (linear("below", 5), TANH, *CHAIN)
    frozen = tuple(layer | ({"trainable": False} if layer.get("name") == "b" else {}) for layer in layers)
    data = spec(frozen, {"rule": "fa", "learn": {"rule": "kolen_pollack"}}, DECAY)
    session = opened(data, backend)
    state = exact(start(session), False)
    found = after(session, state, batches(7, 7, 3, 7))
    assert distance(found["a.weight"], state["a.weight"]) > 1e-3
    assert distance(found["a.feedback.B"], found["a.weight"]) < 1e-12


@pytest.mark.parametrize("backend", BACKENDS)
def test_feedback_past_a_head_learns_from_the_embedding_too(backend: str) -> None:
    """Kolen-Pollack from F = W stays backpropagation; Q takes the image of the whole gradient, P sees errors alone."""
    given = numbers(7, 3, 7)
    bp = opened(reading(None, DECAY), backend)
    state = start(bp)
    expected = after(bp, state, given)
    assert {name for name in state if name.endswith(".weight")} == {"rows.weight", "fc.weight"}
    routed = opened(reading({"rule": "fa", "learn": {"rule": "kolen_pollack"}}, DECAY), backend)
    found = after(routed, exact(start(routed), False), given)
    for name, value in expected.items():
        assert distance(found[name], value) < 1e-12, name
    low = opened(reading({"rule": "ldfa", "rank": 3}, UNIT), backend)
    state = start(low)
    found = after(low, state, given[:1])
    p, gradient = state["rows.feedback.P"], state["rows.weight"] - found["rows.weight"]
    assert distance(state["rows.feedback.Q"] - found["rows.feedback.Q"], (p @ gradient).T) < 1e-12
    low.load_state(state)
    x, y = given[0]
    z = low.forward(x)
    d = (np.exp(z) / np.exp(z).sum(1, keepdims=True) - np.eye(9)[y]) / len(y)
    s = d @ p.T
    assert distance(found["rows.feedback.P"], p + (s.T @ d - s.T @ s @ p) / (d**2).sum()) < 1e-12


# -- frozen --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_frozen_use_teaches_nothing_and_if_all_are_frozen_the_parameters_stay(backend: str) -> None:
    """Against autograd with the parameters of that use detached."""
    frozen = tuple(layer | ({"trainable": False} if layer.get("name") == "b" else {}) for layer in CHAIN)
    session = opened(spec(frozen, update=UNIT), backend)
    state, (x, y) = start(session), batch(7)
    p = {name: torch.tensor(state[name], requires_grad=True) for name in ("a.weight", "a.bias")}
    h = torch.tanh(functional.linear(torch.tensor(x), p["a.weight"], p["a.bias"]))
    h = torch.tanh(functional.linear(h, p["a.weight"].detach(), p["a.bias"].detach()))
    h = torch.tanh(functional.linear(h, p["a.weight"]))
    z = functional.linear(h, torch.tensor(state["out.weight"]), torch.tensor(state["out.bias"]))
    differentiate(z, y)
    found = after(session, state, [(x, y)])
    for name, value in p.items():
        assert value.grad is not None
        assert distance(state[name] - found[name], value.grad.numpy()) < 1e-12
    still = tuple(
        layer | ({"trainable": False} if layer.get("tie") or layer.get("name") == "a" else {})
        for layer in CHAIN
    )
    session = opened(spec(still, update=DECAY), backend)
    state = start(session)
    found = after(session, state, batches(7, 7))
    assert distance(found["a.weight"], state["a.weight"]) == 0
    assert distance(found["out.weight"], state["out.weight"]) > 1e-3


def test_shallow_trains_a_shared_weight_where_it_is_next_to_the_loss_and_there_alone() -> None:
    """No error crosses a weight, and the shared array moves by the last layer's gradient."""
    layers: Layers = (linear("a", 5), TANH, linear("b", 5, tie="a"))
    session = opened(spec(layers, {"rule": "shallow"}, UNIT))
    state, (x, y) = start(session), batch(7)
    h = np.tanh(x @ state["a.weight"].T + state["a.bias"])
    z = h @ state["a.weight"].T + state["a.bias"]
    delta = (np.exp(z) / np.exp(z).sum(1, keepdims=True) - np.eye(5)[y]) / len(x)
    found = after(session, state, [(x, y)])
    assert distance(state["a.weight"] - found["a.weight"], delta.T @ h) < 1e-12
    assert not transport(lowered(spec(layers, {"rule": "shallow"}, UNIT))).exact
