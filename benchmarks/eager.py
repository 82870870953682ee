"""What `onnx_step` sets beside sessions: the same network in the way that a torch user writes it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.onnx_spec import BATCH, INPUT
from fac_torch.device import float32_products

SAME, DEFAULT = "eager, same flags", "eager, default flags"
CLASSES = 10
Optimiser = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]


class Eager:
    """Fully connected layers with relu between them."""

    def __init__(self, state: dict[str, Any], optimiser: Optimiser, flags: str) -> None:
        """Weights and biases as in `state`; `flags` is a setting of `torch.set_float32_matmul_precision`."""
        names = [name.removesuffix(".weight") for name in state if name.endswith(".weight")]
        layers: list[nn.Module] = []
        for name in names:
            weight = torch.tensor(state[f"{name}.weight"])
            linear = nn.Linear(weight.shape[1], weight.shape[0])
            with torch.no_grad():
                linear.weight.copy_(weight)
                linear.bias.copy_(torch.tensor(state[f"{name}.bias"]))
            layers += [linear, nn.ReLU()]
        self.net, self.flags = nn.Sequential(*layers[:-1]), flags
        self.optimiser = optimiser(self.net.parameters())

    def step(self, x: torch.Tensor, y: torch.Tensor) -> None:
        """One step of backpropagation."""
        with float32_products(self.flags):
            self.optimiser.zero_grad()
            loss: torch.Tensor = nn.functional.cross_entropy(self.net(x), y)
            torch.autograd.backward(loss)
            self.optimiser.step()


def batch() -> tuple[Any, Any]:
    """Noise with labels: what is in a batch does not change how long a step takes."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((BATCH, INPUT)).astype("float32"), rng.integers(0, CLASSES, BATCH)
