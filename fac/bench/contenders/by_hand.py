"""The step of fixed low-rank routes through frozen layers with adapters, written in torch: no line more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from fac.bench.case import LR, MOMENTUM, Case
from fac.bench.contenders.base import Contender, State
from fac.bench.contenders.eager import float32_products
from fac.pipeline import compile

BASE, HEAD = ".base_layer.weight", "logits"


class ByHand(Contender):
    """Of the rule `ldfa_fixed`, through layers between which there is a `relu`."""

    def __init__(self, case: Case, state: State | None, precision: str, *, mode: str) -> None:
        """With a state of the rule, or as fac draws it, and products of float32 in that mode."""
        (adapter,) = case.adapters
        self.scale, self.mode, self.dtype = (
            adapter["alpha"] / adapter["rank"],
            mode,
            getattr(torch, precision),
        )
        drawn = (
            compile(case.spec("ldfa_fixed"), backend="torch").compiled.initial() if state is None else state
        )
        self.held = {name: torch.tensor(value).to(self.dtype) for name, value in drawn.items()}
        self.layers = [name.removesuffix(BASE) for name in self.held if name.endswith(BASE)]

    def place(self, x: Any, y: Any) -> tuple[Tensor, Tensor]:
        """In the precision of the network."""
        return torch.from_numpy(x).to(self.dtype), torch.from_numpy(y)

    def steps(self, batches: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
        """One after the other."""
        with torch.inference_mode(), float32_products(self.mode):
            for x, y in batches:
                loss = self._step(x, y)
        return loss

    def load(self, state: State) -> None:
        """All of it."""
        with torch.inference_mode():
            for name, tensor in self.held.items():
                tensor.copy_(torch.tensor(state[name]))

    def state(self) -> State:
        """All of it."""
        return {name: tensor.numpy() for name, tensor in self.held.items()}

    def _step(self, x: Tensor, y: Tensor) -> Tensor:
        """Forward; the loss; errors down, and each layer's update behind its error."""
        s, scale, h, narrow = self.held, self.scale, [x], []
        for k in self.layers:
            z = torch.addmm(s[f"{k}.base_layer.bias"], h[-1], s[k + BASE].T)
            narrow.append(torch.mm(h[-1], s[f"{k}.lora_A.weight"].T).mul_(scale))
            h.append(torch.relu_(z.addmm_(narrow[-1], s[f"{k}.lora_B.weight"].T)))
        logs = torch.log_softmax(torch.addmm(s[f"{HEAD}.bias"], h[-1], s[f"{HEAD}.weight"].T), 1)
        loss = torch.nn.functional.nll_loss(logs, y)
        d = logs.exp_()
        d.scatter_add_(1, y[:, None], d.new_full((len(y), 1), -1.0)).div_(len(y))
        e = torch.mm(d, s[f"{HEAD}.weight"])
        self._move(f"{HEAD}.weight", torch.mm(d.T, h[-1]))
        self._move(f"{HEAD}.bias", d.sum(0))
        for i, k in reversed([*enumerate(self.layers)]):
            e = torch.ops.aten.threshold_backward(e, h[i + 1], 0)
            back = torch.mm(e, s[f"{k}.lora_B.weight"]).mul_(scale)
            if i:
                p, q = (s[f"{k}.base_layer.feedback.{name}"] for name in "PQ")
                sent = torch.mm(torch.mm(e, p.T), q.T).addmm_(back, s[f"{k}.lora_A.weight"])
            self._move(f"{k}.lora_B.weight", torch.mm(e.T, narrow[i]))
            self._move(f"{k}.lora_A.weight", torch.mm(back.T, h[i]))
            e = sent
        return loss

    def _move(self, name: str, gradient: Tensor) -> None:
        velocity = self.held[f"{name}.momentum"]
        self.held[name].sub_(velocity.mul_(MOMENTUM).add_(gradient), alpha=LR)
