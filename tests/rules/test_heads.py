"""Several losses: their sum, and what routes and short-hands make of the errors at their heads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from fac.build.transport import transport
from fac.pipeline import lowered
from tests.rules.nets import BP, SGD, Array, Spec, State, batch, distance, gradients, opened, put

BACKENDS = pytest.mark.parametrize("backend", ["reference", "torch", "onnx"])
SCALES = (1.0, 0.3)


def linear(name: str, out: int, **fields: Any) -> Spec:
    return {"kind": "linear", "name": name, "out": out, **fields}


def branched(act: str = "tanh") -> tuple[Spec, ...]:
    """A trunk of fc1 and fc2, with a head of two layers that reads the first and one that reads the second."""
    return (
        linear("fc1", 9),
        {"kind": act, "name": "act1"},
        linear("fc2", 8),
        {"kind": act, "name": "act2"},
        linear("logits", 4),
        linear("side", 6, **{"from": "act1"}),
        {"kind": act, "name": "act3"},
        linear("aux", 4),
    )


LINEAR = tuple(
    layer | ({"from": "fc1"} if layer["name"] == "side" else {})
    for layer in branched()
    if layer["kind"] == "linear"
)
MIDDLE: tuple[Spec, ...] = (
    linear("fc1", 4),
    {"kind": "tanh", "name": "act1"},
    linear("fc2", 6),
    linear("out", 4),
)
"""A loss reads `fc1` in the middle of the way to another one."""


def spec(
    layers: tuple[Spec, ...], heads: tuple[str, ...], feedback: Spec = BP, kind: str = "cross_entropy"
) -> Spec:
    """Losses of these heads, by `SCALES`."""
    losses = tuple({"kind": kind, "of": of, "scale": scale} for of, scale in zip(heads, SCALES, strict=True))
    return {
        "fac": 1,
        "name": "heads",
        "input": {"shape": (7,)},
        "layers": layers,
        "losses": losses,
        "feedback": feedback,
        "update": SGD,
        "train": {"seed": 0},
    }


HEADS = ("logits", "aux")
NETS: dict[str, tuple[tuple[Spec, ...], tuple[str, ...]]] = {
    "branched": (branched(), HEADS),
    "middle": (MIDDLE, ("out", "fc1")),
}


def by_autograd(layers: tuple[Spec, ...], heads: tuple[str, ...], state: State, x: Array, y: Array) -> State:
    """The gradients of the sum of the losses."""
    weights = {
        k: torch.tensor(v, requires_grad=True) for k, v in state.items() if k.endswith(("weight", "bias"))
    }
    values: dict[str, Tensor] = {"input": torch.tensor(x)}
    last = "input"
    for layer in layers:
        z = values[layer.get("from", last)]
        last = layer["name"]
        if layer["kind"] == "linear":
            values[last] = functional.linear(z, weights[f"{last}.weight"], weights[f"{last}.bias"])
        else:
            values[last] = torch.tanh(z)
    labels = torch.tensor(y)
    losses = (
        scale * functional.cross_entropy(values[h], labels) for h, scale in zip(heads, SCALES, strict=True)
    )
    found = torch.autograd.grad(sum(losses), list(weights.values()))  # type: ignore[arg-type]
    return {name: gradient.numpy() for name, gradient in zip(weights, found, strict=True)}


@BACKENDS
@pytest.mark.parametrize("net", NETS)
def test_backpropagation_is_the_gradient_of_the_sum(net: str, backend: str) -> None:
    layers, heads = NETS[net]
    x, y = batch()
    session = opened(spec(layers, heads), backend)
    expected = by_autograd(layers, heads, session.state(), x, y)
    assert expected.keys() == {slot.name for slot in session.compiled.state}
    assert distance(gradients(session, x, y), expected) <= 1e-14


@BACKENDS
@pytest.mark.parametrize("net", NETS)
def test_fa_with_the_weights_themselves_is_backpropagation(net: str, backend: str) -> None:
    layers, heads = NETS[net]
    x, y = batch()
    session, exact = (
        opened(spec(layers, heads, {"rule": "fa"}), backend),
        opened(spec(layers, heads), backend),
    )
    true = gradients(exact, x, y)
    assert distance(gradients(session, x, y), true) > 1e-3
    state = session.state()
    put(session, {k: state[k.replace("feedback.B", "weight")] for k in state if k.endswith(".B")})
    assert distance(gradients(session, x, y), true) <= 1e-15


def products(state: State) -> State:
    """B of each route of `dfa` on LINEAR: the product of the weights on the way from the head down to the layer."""
    w = {name.removesuffix(".weight"): state[name] for name in state if name.endswith(".weight")}
    return {
        "fc1.feedback.B": (w["logits"] @ w["fc2"]).T,
        "fc1.feedback.2.B": (w["aux"] @ w["side"]).T,
        "fc2.feedback.B": w["logits"].T,
        "side.feedback.B": w["aux"].T,
    }


@BACKENDS
@pytest.mark.parametrize("feedback", [{"rule": "dfa"}, {"rule": "direct_ldfa", "rank": 4, "learn": "fixed"}])
def test_products_of_the_weights_above_give_backpropagation_in_a_linear_net(
    feedback: Spec, backend: str
) -> None:
    """One route from each head that a layer leads to, and none from another: fc2 hears nothing of `aux`."""
    x, y = batch()
    session = opened(spec(LINEAR, HEADS, feedback), backend)
    true = gradients(opened(spec(LINEAR, HEADS), backend), x, y)
    assert distance(gradients(session, x, y), true) > 1e-3
    state, sent = session.state(), products(session.state())
    if feedback["rule"] == "dfa":
        assert {name for name in state if name.endswith(".B")} == set(sent)
        put(session, sent)
    else:
        for name, matrix in sent.items():
            put(session, {name[:-1] + "P": np.eye(4), name[:-1] + "Q": matrix})
    assert distance(gradients(session, x, y), true) <= 1e-14


@BACKENDS
def test_a_head_in_the_middle_keeps_what_its_own_loss_says(backend: str) -> None:
    """Without an activation, B = W_above^T is backpropagation: the route cuts what comes from above, and no more."""
    layers = (linear("fc1", 4), linear("fc2", 6), linear("out", 4))
    x, y = batch()
    session = opened(spec(layers, ("out", "fc1"), {"rule": "dfa"}), backend)
    true = gradients(opened(spec(layers, ("out", "fc1")), backend), x, y)
    state = session.state()
    put(
        session,
        {
            "fc1.feedback.B": (state["out.weight"] @ state["fc2.weight"]).T,
            "fc2.feedback.B": state["out.weight"].T,
        },
    )
    assert distance(gradients(session, x, y), true) <= 1e-14


def test_the_routes_of_a_layer_add() -> None:
    """What fc1 learns from both heads is what it learns from each, the other one's matrix zero."""
    x, y = batch()
    session = opened(spec(branched(), HEADS, {"rule": "dfa"}))
    state, parts = session.state(), []
    for silent in ("fc1.feedback.B", "fc1.feedback.2.B"):
        put(session, state | {silent: 0 * state[silent]})
        parts.append(gradients(session, x, y)["fc1.weight"])
        assert np.abs(parts[-1]).max() > 1e-3
    whole = gradients(put(session, state), x, y)["fc1.weight"]
    np.testing.assert_allclose(whole, sum(parts), rtol=0, atol=1e-15)


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("rule", ["fa", "dfa", "ldfa", "direct_ldfa", "shallow"])
def test_no_rule_leaves_a_transposed_weight(net: str, rule: str) -> None:
    layers, heads = NETS[net]
    ranks = {"rank": 3} if "ldfa" in rule else {}
    found = transport(lowered(spec(layers, heads, {"rule": rule, **ranks})))
    assert (found.exact, found.feedback) == ((), ())
    assert transport(lowered(spec(layers, heads))).exact


def test_shallow_trains_what_is_next_to_each_loss() -> None:
    """In the middle a head feeds layers as well, so that not all of its error comes from its own loss."""
    x, y = batch()
    for (layers, heads), learn in zip(NETS.values(), ({"logits", "aux"}, {"out"}), strict=True):
        found = gradients(opened(spec(layers, heads, {"rule": "shallow"})), x, y)
        assert {name.partition(".")[0] for name, g in found.items() if g.any()} == learn


@BACKENDS
def test_the_error_at_a_head_is_that_of_its_loss_alone(backend: str) -> None:
    """`from: fc1` in the middle: softmax minus label, by the factor, whatever the layers above pass down."""
    layers = (linear("fc0", 5), {"kind": "tanh", "name": "act0"}, *MIDDLE)
    feedback = {"routes": ({"to": "fc0", "from": "fc1", "matrix": {"kind": "random"}},)}
    x, y = batch()
    session = opened(spec(layers, ("out", "fc1"), feedback), backend)
    state = session.state()
    hidden = np.tanh(x @ state["fc0.weight"].T + state["fc0.bias"])
    z = hidden @ state["fc1.weight"].T + state["fc1.bias"]
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    error = SCALES[1] * (p - np.eye(4)[y]) / len(y)
    arrived = error @ state["fc0.feedback.B"].T * (1 - hidden**2)
    np.testing.assert_allclose(gradients(session, x, y)["fc0.weight"], arrived.T @ x, rtol=0, atol=1e-15)


@BACKENDS
def test_a_route_into_a_head_does_not_cut_the_error_of_its_own_loss(backend: str) -> None:
    """Nobody reads `aux` but its loss; the error of the other head joins that one there."""
    feedback = {"routes": ({"to": "aux", "from": "logits", "matrix": {"kind": "random"}},)}
    x, y = batch()
    session = opened(spec(branched(), HEADS, feedback), backend)
    p = session.state()

    def through(read: Array, *names: str) -> Array:
        for name in names:
            read = np.tanh(read @ p[f"{name}.weight"].T + p[f"{name}.bias"])
        return read

    def error(read: Array, head: str, scale: float) -> Array:
        z = read @ p[f"{head}.weight"].T + p[f"{head}.bias"]
        shares = np.exp(z) / np.exp(z).sum(1, keepdims=True)
        found: Array = scale * (shares - np.eye(4)[y]) / len(y)
        return found

    read = through(x, "fc1", "side")
    own, other = error(read, "aux", SCALES[1]), error(through(x, "fc1", "fc2"), "logits", SCALES[0])
    expected = own + other @ p["aux.feedback.B"].T
    found = gradients(session, x, y)
    np.testing.assert_allclose(found["aux.weight"], expected.T @ read, rtol=0, atol=1e-15)
    np.testing.assert_allclose(found["aux.bias"], expected.sum(0), rtol=0, atol=1e-15)
