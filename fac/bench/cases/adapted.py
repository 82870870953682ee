"""Fine-tuning: every weight is frozen and has an adapter beside it (LoRA, Hu et al. 2021, arXiv 2106.09685)."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from fac.bench.case import CLASSES, Case

READS, DEPTH, LORA, ALPHA, RANK = 784, 4, 8, 16, 64


class Adapted(nn.Module):
    """W x + b + s B A x, of which A and B learn."""

    def __init__(self, reads: int, makes: int, rank: int) -> None:
        super().__init__()
        self.base_layer = nn.Linear(reads, makes).requires_grad_(False)
        self.lora_A, self.lora_B = nn.Linear(reads, rank, bias=False), nn.Linear(rank, makes, bias=False)
        self.scale = ALPHA / rank

    def forward(self, x: Tensor) -> Tensor:
        """[N, makes]."""
        made: Tensor = self.base_layer(x) + self.lora_B(self.scale * self.lora_A(x))
        return made


def case(width: int, reads: int = READS, lora: int = LORA, rank: int = RANK, batch: int = 128) -> Case:
    """784-W-W-W-W-10, relu; the last layer learns. Errors pass adapters exactly, and frozen weights by `ldfa`."""
    layers: list[dict[str, Any]] = []
    for i in range(DEPTH):
        layers += [{"kind": "linear", "name": f"fc{i + 1}", "out": width}, {"kind": "relu"}]

    def module() -> nn.Module:
        parts: list[nn.Module] = []
        for each in (reads, *[width] * (DEPTH - 1)):
            parts += [Adapted(each, width, lora), nn.ReLU()]
        return nn.Sequential(*parts, nn.Linear(width, CLASSES))

    adapters = (adapter("fc*", lora),)
    return Case((reads,), (*layers,), routed(rank), batch, module, adapters=adapters, adapted=True)


def adapter(match: str, rank: int) -> dict[str, Any]:
    """As a spec writes it."""
    return {"match": match, "kind": "lora", "rank": rank, "alpha": ALPHA}


def routed(rank: int) -> dict[str, dict[str, Any]]:
    """The rules: what is replaced are frozen weights alone."""
    fixed = {"rule": "fixed"}
    matrix = {"kind": "low_rank", "rank": rank, "read": fixed, "write": fixed}
    return {
        "bp": {"rule": "bp"},
        "fa": {"routes": [{"through": "*.base_layer", "matrix": {"kind": "random"}}]},
        "ldfa_fixed": {"routes": [{"through": "*.base_layer", "matrix": matrix}]},
    }


def small(*_: int) -> Case:
    """For the check against NumPy."""
    return case(24, reads=11, lora=3, rank=5, batch=6)
