"""Convolutional networks under backpropagation, against autograd on the same network in torch."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import fac
from fac.testing.nets import Data, batch, conv2d, linear, spec

torch.set_num_threads(1)


def transposed(name: str, out: int, kernel: int | tuple[int, int], **fields: Any) -> Data:
    return conv2d(name, out, kernel, **fields) | {"kind": "conv_transpose2d"}


def sequence(name: str, out: int, kernel: int, **fields: Any) -> Data:
    return conv2d(name, out, kernel, **fields) | {"kind": "conv1d"}


TWINS = {"conv2d": nn.Conv2d, "conv1d": nn.Conv1d, "conv_transpose2d": nn.ConvTranspose2d}
CASES: dict[str, tuple[Data, tuple[int, ...]]] = {
    "odd sizes": (conv2d("c2", 5, 3), (4, 7, 5)),
    "a stride that leaves a rest": (conv2d("c2", 5, 3, stride=2, padding=1), (4, 6, 5)),
    "a window that is no square": (
        conv2d("c2", 3, (1, 4), stride=(2, 1), padding=(0, 2), dilation=(1, 2)),
        (4, 5, 9),
    ),
    "same, of an even window": (conv2d("c2", 3, (2, 4), padding="same", dilation=(3, 1)), (4, 5, 6)),
    "valid": (conv2d("c2", 3, 2, padding="valid"), (4, 3, 3)),
    "groups": (conv2d("c2", 6, 3, groups=2, padding=1), (4, 5, 5)),
    "depthwise": (conv2d("c2", 8, 3, groups=4, stride=2), (4, 6, 6)),
    "one number": (conv2d("c2", 3, 1, bias=False), (4, 3, 2)),
    "one place": (conv2d("c2", 3, (3, 2)), (4, 3, 2)),
    "transposed": (transposed("c2", 3, 3), (4, 3, 4)),
    "transposed, wider apart than the kernel": (transposed("c2", 3, 2, stride=3), (4, 3, 2)),
    "transposed, cut and longer": (
        transposed("c2", 6, (3, 4), stride=(2, 3), padding=(1, 2), output_padding=(1, 2), dilation=(2, 1)),
        (4, 4, 3),
    ),
    "transposed, in groups": (transposed("c2", 6, 3, stride=2, padding=1, groups=2, bias=False), (4, 4, 3)),
    "sequences": (sequence("c2", 5, 3, stride=2, padding=1), (4, 8)),
    "sequences, same": (sequence("c2", 4, 4, padding="same", dilation=2, groups=4), (4, 9)),
}


class Twin(nn.Module):
    """The network in torch, with its own names of parameters."""

    def __init__(self, layer: Data, shape: tuple[int, ...]) -> None:
        super().__init__()
        given = {
            name: value for name, value in layer.items() if name not in ("kind", "name", "out", "kernel")
        }
        self.c1 = TWINS["conv1d" if len(shape) == 2 else "conv2d"](shape[0], 4, 1)
        self.c2 = TWINS[layer["kind"]](4, layer["out"], layer["kernel"], **given)
        width = self.c2(torch.zeros(1, 4, *shape[1:])).numel()
        self.out = nn.Linear(width, 3)
        self.double()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.out(torch.relu(self.c2(torch.tanh(self.c1(x)))).flatten(1))
        return made


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize("samples", [5, 1])
@pytest.mark.parametrize("backend", ["reference", "torch", "onnx"])
@pytest.mark.parametrize("case", CASES)
def test_a_step_is_that_of_autograd(case: str, backend: str, samples: int) -> None:
    """Weights go into torch as they are, by their names; so do the steps that come back."""
    layer, shape = CASES[case]
    layers = (
        (sequence if len(shape) == 2 else conv2d)("c1", 4, 1),
        {"kind": "tanh"},
        layer,
        {"kind": "relu"},
        {"kind": "flatten"},
        linear("out", 3),
    )
    data = spec(layers, update={"rule": "sgd", "lr": 1.0}, shape=shape)
    session = fac.compile(data, backend=backend, precision="float64").open()
    before = session.state()
    twin = Twin(layer, shape)
    parameters = OrderedDict((n, torch.tensor(a)) for n, a in before.items() if n != "step")
    twin.load_state_dict(parameters, strict=True)
    x, y = batch(samples, shape)
    loss = functional.cross_entropy(twin(torch.tensor(x)), torch.tensor(y))
    gradients = torch.autograd.grad(loss, list(twin.parameters()))
    assert session.step(x, y)["loss"] == pytest.approx(loss.item(), abs=1e-12)
    after = session.state()
    for (name, _), gradient in zip(twin.named_parameters(), gradients, strict=True):
        np.testing.assert_allclose(before[name] - after[name], gradient.numpy(), rtol=0, atol=1e-12)
