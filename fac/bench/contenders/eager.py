"""Backpropagation as a torch user writes it: a module, autograd, `torch.optim.SGD`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from fac.backend import setting
from fac.bench.case import LR, MOMENTUM, Case
from fac.bench.contenders.base import SETTLING, Contender, State, UnfitError
from fac.pipeline import lowered
from fac.program.tensors import Role

float32_products = partial(setting, torch.get_float32_matmul_precision, torch.set_float32_matmul_precision)
"""Run with one of `highest`, `high`, `medium`."""


class Eager(Contender):
    """One step after the other."""

    def __init__(
        self,
        case: Case,
        state: State | None,
        precision: str,
        *,
        mode: str,
        fused: bool,
        device: str = "cpu",
    ) -> None:
        """Build the module with the parameters of `state`, or as torch draws them.

        Args:
            case: whose module.
            state: of which rule ever.
            precision: `float32` or `float64`.
            mode: of float32 products.
            fused: whether the optimiser updates a parameter in one kernel.
            device: where it computes.
        """
        self.case, self.mode, self.device = case, mode, device
        self.net = case.module().to(device, getattr(torch, precision))
        if case.channels_last:
            self.net = self.net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.held = _held(case, self.net)
        self.optimiser = torch.optim.SGD(
            [p for p in self.net.parameters() if p.requires_grad], lr=LR, momentum=MOMENTUM, fused=fused
        )
        self.call: Any = self.net
        if state is not None:
            self.load(state)

    def place(self, x: Any, y: Any) -> tuple[Tensor, Tensor]:
        """In the precision of the network."""
        made = torch.from_numpy(x).to(next(self.net.parameters()).dtype)
        if self.case.channels_last:
            made = made.contiguous(memory_format=torch.channels_last)
        return made.to(self.device), torch.from_numpy(y).to(self.device)

    def steps(self, batches: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
        """Zero, forward, backward, update."""
        with float32_products(self.mode):
            for x, y in batches:
                self.optimiser.zero_grad()
                loss = self.backward(x, y)
                self.optimiser.step()
        return loss

    def backward(self, x: Tensor, y: Tensor) -> Tensor:
        """The loss, and gradients where parameters keep them."""
        loss: Tensor = nn.functional.cross_entropy(self.call(x), y)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def load(self, state: State) -> None:
        """Without velocity, as training begins."""
        with torch.no_grad():
            for name, tensor in self.held.items():
                tensor.copy_(torch.from_numpy(state[name]))
            for kept in self.optimiser.state.values():
                if kept.get("momentum_buffer") is not None:
                    kept["momentum_buffer"].zero_()

    def state(self) -> State:
        """Parameters and statistics."""
        return {name: tensor.detach().cpu().numpy() for name, tensor in self.held.items()}


def compiled(case: Case, state: State | None, precision: str, *, mode: str, device: str = "cpu") -> Eager:
    """The same with the module behind `torch.compile`, on a GPU as CUDA graphs.

    Raises:
        UnfitError: this machine cannot compile, mostly for want of a C++ compiler.
    """
    torch.compiler.reset()  # after eight modules in a process torch would run the next ones uncompiled
    made = Eager(case, state, precision, mode=mode, fused=True, device=device)
    graphs = device != "cpu"
    made.settling = SETTLING * graphs
    made.call = torch.compile(made.net, dynamic=False, mode="reduce-overhead" if graphs else None)
    try:
        made.steps([made.place(*case.batches(1, precision)[0])])
    except Exception as error:  # whatever its many parts raise
        raise UnfitError(f"torch.compile: {str(error).splitlines()[0]}") from error
    if state is not None:
        made.load(state)
    return made


def _held(case: Case, net: nn.Module) -> dict[str, Tensor]:
    """Parameters and statistics of a module by the names of fac: both sides have them in the order of layers.

    Raises:
        AssertionError: module and spec are not the same network.
    """
    tensors = [tensor for node in lowered(case.spec("bp")).nodes for tensor in node.tensors]
    held: dict[str, Tensor] = {}
    for statistic, found in ((False, net.parameters()), (True, net.buffers())):
        names = [t for t in tensors if (t.role is Role.STATISTIC) == statistic]
        values = [value for value in found if value.is_floating_point()]
        assert [t.shape for t in names] == [tuple(v.shape) for v in values], "module and spec differ"
        held |= {t.name: v for t, v in zip(names, values, strict=True)}
    return held
