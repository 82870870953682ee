"""Backpropagation, the oracle of every other rule, against derivatives that come from elsewhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from fac.backend import Session
from tests.rules.nets import SKIP, Array, Spec, State, batch, dense, distance, gradients, opened, put, spec

torch.set_num_threads(1)

ACTIVATIONS = {
    "relu": torch.relu,
    "leaky_relu": functional.leaky_relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "gelu": functional.gelu,
}
MOMENTUM: Spec = {"rule": "sgd", "lr": 0.05, "momentum": 0.9}
ADAM: Spec = {"rule": "adam", "lr": 0.01}


class Twin:
    """The same network in torch, differentiated by autograd."""

    def __init__(self, session: Session, act: str, loss: str, skip: bool = False) -> None:
        self.act, self.loss_kind, self.skip = ACTIVATIONS[act], loss, skip
        self.depth = 3
        self.parameters = {
            slot.name: torch.tensor(session.state()[slot.name], requires_grad=True)
            for slot in session.compiled.state
            if slot.parameter
        }

    def loss(self, x: Array, y: Array) -> torch.Tensor:
        """The loss of a batch."""
        h = torch.tensor(x)
        for number in range(1, self.depth + 1):
            layer = f"fc{number}"
            a = functional.linear(h, self.parameters[f"{layer}.weight"], self.parameters[f"{layer}.bias"])
            above = self.act(a) if number < self.depth else a
            h = h + above if self.skip and number == 2 else above
        if self.loss_kind == "mse":
            return functional.mse_loss(h, torch.tensor(y))
        return functional.cross_entropy(h, torch.tensor(y))

    def gradients(self, x: Array, y: Array) -> State:
        """Of all parameters."""
        found = torch.autograd.grad(self.loss(x, y), list(self.parameters.values()))
        return {name: g.numpy() for name, g in zip(self.parameters, found, strict=True)}

    def state(self) -> State:
        """The parameters as arrays."""
        return {name: p.detach().numpy().copy() for name, p in self.parameters.items()}


def targets(loss: str, n: int = 12, seed: int = 1) -> tuple[Array, Array]:
    x, labels = batch(n, seed=seed)
    return (x, np.random.default_rng(seed).standard_normal((n, 4))) if loss == "mse" else (x, labels)


@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
@pytest.mark.parametrize("act", ["tanh", "sigmoid", "gelu"])
def test_t1_gradients_equal_central_differences(act: str, loss: str) -> None:
    session = opened(spec(dense(6, 5, 4, act=act), loss=loss))
    x, y = targets(loss)
    start, found, h = session.state(), gradients(session, x, y), 1e-6
    for name, gradient in found.items():
        numeric = np.zeros_like(gradient)
        for index in np.ndindex(gradient.shape):
            sides = []
            for sign in (1, -1):
                moved = start[name].copy()
                moved[index] += sign * h
                sides.append(put(session, {name: moved}).evaluate(x, y)["loss"])
            numeric[index] = (sides[0] - sides[1]) / (2 * h)
        put(session, start)
        np.testing.assert_allclose(gradient, numeric, atol=2e-8, rtol=0, err_msg=name)


@pytest.mark.parametrize("backend", ["reference", "torch"])
@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
@pytest.mark.parametrize("act", ACTIVATIONS)
def test_gradients_equal_autograd(act: str, loss: str, backend: str) -> None:
    session = opened(spec(dense(9, 9, 4, act=act), loss=loss), backend)
    x, y = targets(loss)
    exact = Twin(session, act, loss).gradients(x, y)
    found = gradients(session, x, y)
    assert found.keys() == exact.keys()
    assert distance(found, exact) <= 1e-14


@pytest.mark.parametrize("backend", ["reference", "torch"])
def test_gradients_equal_autograd_where_paths_join(backend: str) -> None:
    session = opened(spec(SKIP), backend)
    x, y = batch()
    exact = Twin(session, "relu", "cross_entropy", skip=True).gradients(x, y)
    assert distance(gradients(session, x, y), exact) <= 1e-14


@pytest.mark.parametrize("update", [MOMENTUM, ADAM], ids=["momentum", "adam"])
@pytest.mark.parametrize("backend", ["reference", "torch"])
def test_twenty_steps_equal_a_torch_optimiser_on_autograd(backend: str, update: Spec) -> None:
    session = opened(spec(dense(9, 9, 4, act="gelu"), update=update), backend)
    twin = Twin(session, "gelu", "cross_entropy")
    start = twin.state()
    optimiser: Any
    if update["rule"] == "sgd":
        optimiser = torch.optim.SGD(list(twin.parameters.values()), lr=0.05, momentum=0.9)
    else:
        optimiser = torch.optim.Adam(list(twin.parameters.values()), lr=0.01)
    for step in range(20):
        x, y = batch(seed=step)
        optimiser.zero_grad()
        loss = twin.loss(x, y)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        assert float(session.step(x, y)["loss"]) == pytest.approx(loss.item(), abs=1e-12)
    assert distance(twin.state(), start) > 0.01
    assert distance(session.state(), twin.state()) <= 1e-10


def test_a_partial_batch_and_a_single_sample_are_batches_like_any() -> None:
    session = opened(spec(dense(9, 9, 4)))
    twin = Twin(session, "relu", "cross_entropy")
    for n in (12, 5, 1):
        x, y = batch(n)
        assert distance(gradients(session, x, y), twin.gradients(x, y)) <= 1e-14
