"""What benchmarks of training steps share: the step of a torch user, and a check before a contender is timed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from fac.backend import Session
from fac_torch.device import float32_products


class EagerTraining(ABC):
    """A network in the way that a torch user writes it."""

    net: nn.Module
    optimiser: torch.optim.Optimizer

    def step(self, x: torch.Tensor, y: torch.Tensor) -> None:
        """One step of backpropagation."""
        self.optimiser.zero_grad()
        loss: torch.Tensor = nn.functional.cross_entropy(self.net(x), y)
        torch.autograd.backward(loss)
        self.optimiser.step()

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Parameters under the names of fac."""


def flagged(eager: EagerTraining, tensors: tuple[torch.Tensor, torch.Tensor], flags: str) -> None:
    """An eager step under a setting of `torch.set_float32_matmul_precision`."""
    with float32_products(flags):
        eager.step(*tensors)


def deviation(
    rule: str,
    ours: Callable[[], object],
    session: Session,
    other: Callable[[], object],
    expected: EagerTraining | Session,
    steps: int,
    tolerance: float,
) -> float:
    """Largest relative difference of a parameter after some steps.

    Args:
        rule: for the message.
        ours: a step of `session`.
        session: that is checked.
        other: a step of `expected`.
        expected: what has the right values.
        steps: how many.
        tolerance: of rounding.

    Raises:
        AssertionError: it is too large for rounding.
    """
    for _ in range(steps):
        ours()
        other()
    found = session.state()
    errors = [np.abs(found[k] - v).max() / (np.abs(v).max() + 1e-30) for k, v in expected.state().items()]
    assert max(errors) < tolerance, f"{rule}: {max(errors):.1e}"
    return float(max(errors))
