"""Networks with gates, forks and pools: backpropagation against autograd, and where direct feedback enters."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest
import torch
from torch.nn import functional

import fac
from fac.pipeline import lowered
from fac.testing.nets import RELU, Data, Layers, batch, conv2d, linear, spec

Parameters = Mapping[str, torch.Tensor]
SIGMOID: Data = {"kind": "sigmoid"}
GATES: Layers = (
    conv2d("c1", 8, 3, padding=1),
    {"kind": "relu", "name": "r1"},
    {"kind": "global_avg_pool"},
    linear("squeeze", 4),
    RELU,
    linear("excite", 8),
    {"kind": "sigmoid", "name": "channels"},
    {"kind": "multiply", "name": "se", "from": ("r1", "channels")},
    {"kind": "mean", "name": "means", "from": "se", "axes": "channels", "keep": True},
    {"kind": "max", "name": "most", "from": "se", "axes": "channels", "keep": True},
    {"kind": "concat", "name": "both", "from": ("means", "most")},
    conv2d("gate", 1, 3, padding=1),
    {"kind": "sigmoid", "name": "places"},
    {"kind": "multiply", "name": "gated", "from": ("se", "places")},
    {"kind": "max_pool2d", "kernel": 3, "stride": 2},
    {"kind": "reshape", "shape": (-1, 6)},
    {"kind": "permute", "axes": (1, 0)},
    {"kind": "flatten"},
    linear("out", 3),
)
FORK: Layers = (
    conv2d("down", 4, 3, padding=1),
    {"kind": "relu", "name": "top"},
    {"kind": "max_pool2d", "kernel": 2, "padding": (1, 0)},
    conv2d("bottom", 6, (2, 3), padding=(0, 1)),
    {"kind": "tanh"},
    {"kind": "upsample", "name": "bilinear", "scale_factor": 2, "mode": "bilinear"},
    {"kind": "upsample", "name": "nearest", "from": "tanh_1", "scale_factor": (2, 2)},
    {"kind": "add", "name": "wide", "from": ("bilinear", "nearest")},
    {"kind": "pad", "name": "padded", "padding": (0, 1, 0, 1)},
    {"kind": "concat", "name": "joined", "from": ("padded", "top")},
    conv2d("up", 5, 1),
    RELU,
    {"kind": "avg_pool2d", "kernel": (3, 2), "stride": 2, "padding": 1},
    {"kind": "adaptive_avg_pool2d", "out": (3, 2)},
    {"kind": "flatten"},
    linear("out", 3),
)


def gates(p: Parameters, x: torch.Tensor) -> torch.Tensor:
    """GATES in torch."""
    r1 = torch.relu(functional.conv2d(x, p["c1.weight"], p["c1.bias"], padding=1))
    hidden = torch.relu(functional.linear(r1.mean((2, 3)), p["squeeze.weight"], p["squeeze.bias"]))
    channels = torch.sigmoid(functional.linear(hidden, p["excite.weight"], p["excite.bias"]))
    se = r1 * channels[:, :, None, None]
    both = torch.cat([se.mean(1, keepdim=True), se.amax(1, keepdim=True)], 1)
    gated = se * torch.sigmoid(functional.conv2d(both, p["gate.weight"], p["gate.bias"], padding=1))
    rows = functional.max_pool2d(gated, 3, 2).reshape(len(x), -1, 6)
    return functional.linear(rows.permute(0, 2, 1).flatten(1), p["out.weight"], p["out.bias"])


def fork(p: Parameters, x: torch.Tensor) -> torch.Tensor:
    """FORK in torch."""
    top = torch.relu(functional.conv2d(x, p["down.weight"], p["down.bias"], padding=1))
    low = functional.max_pool2d(top, 2, padding=(1, 0))
    low = torch.tanh(functional.conv2d(low, p["bottom.weight"], p["bottom.bias"], padding=(0, 1)))
    wide = functional.interpolate(low, scale_factor=2, mode="bilinear", align_corners=False)
    wide = wide + functional.interpolate(low, scale_factor=2, mode="nearest")
    joined = torch.cat([functional.pad(wide, (0, 1, 0, 1)), top], 1)
    up = torch.relu(functional.conv2d(joined, p["up.weight"], p["up.bias"]))
    small = functional.adaptive_avg_pool2d(functional.avg_pool2d(up, (3, 2), 2, 1), (3, 2))
    return functional.linear(small.flatten(1), p["out.weight"], p["out.bias"])


NETS: dict[str, tuple[Layers, tuple[int, ...], Callable[[Parameters, torch.Tensor], torch.Tensor]]] = {
    "gates": (GATES, (2, 9, 7), gates),
    "fork": (FORK, (2, 9, 7), fork),
}


@pytest.mark.parametrize("samples", [5, 1])
@pytest.mark.parametrize("backend", ["reference", "torch", "onnx"])
@pytest.mark.parametrize("net", NETS)
def test_a_step_is_that_of_autograd(net: str, backend: str, samples: int) -> None:
    layers, shape, twin = NETS[net]
    data = spec(layers, update={"rule": "sgd", "lr": 1.0}, shape=shape)
    session = fac.compile(data, backend=backend, precision="float64").open()
    before = session.state()
    x, y = batch(samples, shape)
    parameters = {n: torch.tensor(a, requires_grad=True) for n, a in before.items() if n != "step"}
    loss = functional.cross_entropy(twin(parameters, torch.tensor(x)), torch.tensor(y))
    gradients = torch.autograd.grad(loss, list(parameters.values()))
    assert session.step(x, y)["loss"] == pytest.approx(loss.item(), abs=1e-12)
    after = session.state()
    for name, gradient in zip(parameters, gradients, strict=True):
        np.testing.assert_allclose(before[name] - after[name], gradient.numpy(), rtol=0, atol=1e-12)


def test_direct_feedback_enters_behind_pools_and_shapes_and_before_what_reads_others() -> None:
    """A product, a sum or several readers end the way: beyond them the error is another layer's as well."""
    sites = lowered(spec(GATES, shape=(2, 9, 7))).sites
    assert {name: sites[name] for name in ("c1", "squeeze", "excite", "gate", "out")} == {
        "c1": "r1",  # read by the pool and by the gate
        "squeeze": "relu_2",
        "excite": "channels",  # read by the product alone, which reads the map too
        "gate": "places",
        "out": "out",
    }
    sites = lowered(spec(FORK, shape=(2, 9, 7))).sites
    assert (sites["bottom"], sites["up"]) == ("tanh_1", "flatten_1")


@pytest.mark.parametrize("net", NETS)
def test_direct_feedback_sends_nothing_through_a_convolution(net: str) -> None:
    """Every layer that learns has an error of its own, on either side of a gate or a fork."""
    layers, shape, _ = NETS[net]
    for rule, expected in (("bp", True), ("dfa", False)):
        step = fac.compile(spec(layers, {"rule": rule}, shape=shape), backend="reference").compiled.step
        assert any(op.kind == "conv2d_input" for op in step.ops) == expected
