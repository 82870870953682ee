"""Layers that somebody writes of elementwise ops train by their true gradients, on every backend: torch's autograd."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from fac import pipeline, plugins
from fac.layers import Relu
from fac.layers.elementwise import RELU
from fac.program import lower
from fac.program.kinds import Facts, Made
from fac.program.tensors import Role, Tensor
from fac.step.builder import Builder
from fac.step.ir import Value
from fac.testing.nets import batch, mlp, spec

Written = Callable[[Builder, Value], Value]
Known = Callable[[torch.Tensor], torch.Tensor]

LAYERS: dict[str, tuple[Written, Known]] = {
    "x clamp(x + 3, 0, 6) / 6": (
        lambda b, x: b.div(b.mul(x, b.clamp(b.add(x, 3.0), 0.0, 6.0)), 6.0),
        torch.nn.functional.hardswish,
    ),
    "log(exp(x) + 1)": (
        lambda b, x: b.emit("log", b.add(b.emit("exp", x), 1.0)),
        torch.nn.functional.softplus,
    ),
    "max(x, 0) - min(x, 0)^2": (
        lambda b, x: b.sub(b.maximum(x, 0.0), b.pow(b.minimum(x, 0.0), 2.0)),
        lambda x: torch.clamp_min(x, 0) - torch.clamp_max(x, 0) ** 2,
    ),
    "x / (row maximum of |x|)": (
        lambda b, x: b.div(x, b.emit("max", b.maximum(x, b.neg(x)), axes=(1,), keep=True)),
        lambda x: x / x.abs().amax(1, keepdim=True),
    ),
    "|x|^1.5 log softmax(x)": (
        lambda b, x: b.mul(b.pow(b.maximum(x, b.neg(x)), 1.5), b.emit("log_softmax", x)),
        lambda x: x.abs() ** 1.5 * torch.log_softmax(x, 1),
    ),
    "2^x, straight through a step": (
        lambda b, x: b.add(b.pow(2.0, x), b.stop_gradient(b.sub(b.maximum(x, 0.0), x))),
        lambda x: 2.0**x + (torch.clamp_min(x, 0) - x).detach(),
    ),
}
TOLERANCE = 1e-12
"""Relative to the largest entry, in float64. Found: 5e-15."""


@pytest.fixture(params=LAYERS)
def known(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Known:
    """What torch calls a layer that `relu` stands for in the specs of the test."""
    write, known = LAYERS[request.param]
    planted = replace(RELU, forward=lambda b, layer, inputs, state, mode: write(b, inputs[0]))
    found = lower._kind
    monkeypatch.setattr(
        lower, "_kind", lambda group, model: planted if model is Relu else found(group, model)
    )
    return known


@pytest.mark.parametrize("backend", ["reference", "torch", "onnx"])
def test_they_train_by_their_true_gradients(known: Known, backend: str) -> None:
    data = spec(mlp(8, 6, 3), update={"rule": "sgd", "lr": 1.0}, probes=({"kind": "alignment"},))
    session = pipeline.compile(data, backend, "float64").open()
    before = session.state()
    x, y = batch()
    measured = session.probe(x, y)
    session.step(x, y)
    after = session.state()
    for name, gradient in gradients(before, known, x, y).items():
        moved = before[name] - after[name]
        np.testing.assert_allclose(
            moved, gradient, rtol=0, atol=TOLERANCE * np.abs(gradient).max(), err_msg=name
        )
    assert all(cosine == pytest.approx(1, abs=1e-12) for name, cosine in measured.items() if name != "loss")


def gradients(state: dict[str, Any], known: Known, x: Any, y: Any) -> dict[str, Any]:
    """Of cross-entropy, by autograd."""
    leaves = {
        name: torch.tensor(array, requires_grad=True) for name, array in state.items() if name != "step"
    }
    value = torch.tensor(x)
    for name in ("fc1", "fc2", "out"):
        value = torch.nn.functional.linear(value, leaves[f"{name}.weight"], leaves[f"{name}.bias"])
        value = value if name == "out" else known(value)
    loss = torch.nn.functional.cross_entropy(value, torch.tensor(y))
    found = torch.autograd.grad(loss, list(leaves.values()))
    return {name: gradient.numpy() for name, gradient in zip(leaves, found, strict=True)}


@pytest.mark.parametrize("backend", ["reference", "torch", "onnx"])
def test_a_layer_may_count_in_a_scalar(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """State of no axes stays so: from the first value on, through steps, out of a session and into another."""

    def forward(b: Builder, layer: Any, inputs: Any, state: Any, mode: Any) -> Made:
        return Made(inputs[0], {"count": b.add(state["count"], 1.0)} if mode.training else {})

    def infer(layer: Any, name: str, shapes: Any) -> Facts:
        return Facts(shapes[0], (Tensor(f"{name}.count", (), "zeros", role=Role.STATISTIC, trainable=False),))

    counting, found = replace(RELU, forward=forward, infer=infer), lower._kind
    monkeypatch.setattr(lower, "_kind", lambda g, model: counting if model is Relu else found(g, model))
    artifact = pipeline.compile(spec(mlp(7, 5, 4), {"rule": "bp"}), backend, "float64")
    session = artifact.open()
    for _ in range(3):
        session.step(*batch())
    resumed = artifact.open(session.state())
    resumed.step(*batch())
    assert [s.state()["relu_1.count"].shape for s in (session, resumed)] == [(), ()]
    assert [float(s.state()["relu_1.count"]) for s in (session, resumed)] == [3, 4]


def test_a_model_made_from_that_of_another_kind_is_of_its_own_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    class Loud(Relu):
        """A kind of its own."""

    class Quiet(Relu):
        """None."""

    loud = replace(RELU, spec=Loud)
    monkeypatch.setattr(plugins, "kinds", lambda group: (RELU, loud))
    uncached = lower._kind.__wrapped__
    assert [uncached("fac.layers", model) for model in (Relu, Loud, Quiet)] == [RELU, loud, RELU]
