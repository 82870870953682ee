"""Layers that a module of PyTorch spells out in arithmetic, and sums and choices that are no attention."""

from __future__ import annotations

from collections.abc import Callable
from math import pi, sqrt
from typing import Any

import pytest
import torch
from torch import nn

from fac.importing import Imported, NotImportedError, from_torch

torch.set_num_threads(1)
D = 4
Function = Callable[[Any, torch.Tensor], torch.Tensor]


class Between(nn.Module):
    """Some arithmetic between two layers; arrays that are zero, and such that hide all, are at hand."""

    def __init__(self, function: Function, **arrays: torch.Tensor) -> None:
        super().__init__()
        self.one, self.two, self.function = nn.Linear(3, D), nn.Linear(D, 2), function
        self.register_buffer("zeros", torch.zeros(D), persistent=False)
        self.register_buffer("far", torch.full((D,), -1e5), persistent=False)
        for name, array in arrays.items():
            self.register_parameter(name, nn.Parameter(array))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.two(self.function(self, self.one(x)))  # type: ignore[no-any-return]


def between(function: Function, *tokens: int, **arrays: torch.Tensor) -> list[dict[str, Any]]:
    """What stands between the two layers, in a network that was proved to compute the same in float64."""
    found: Imported = from_torch(Between(function, **arrays), (*tokens, 3))
    assert found.proof.evaluation.share < 1e-14
    return list(found.spec["layers"][1:-1])


def bent(y: torch.Tensor) -> torch.Tensor:
    return torch.tanh(sqrt(2 / pi) * (y + 0.044715 * y**3))


GELUS: list[Function] = [
    lambda m, y: y * 0.5 * (1 + torch.erf(y / sqrt(2))),
    lambda m, y: y * (1 + torch.erf(y / sqrt(2))) / 2,
    lambda m, y: 0.5 * (y * (torch.erf(y * sqrt(0.5)) + 1)),
]


@pytest.mark.parametrize("tokens", [(), (5,)])
def test_gelu(tokens: tuple[int, ...]) -> None:
    for function in GELUS:
        assert between(function, *tokens) == [{"kind": "gelu", "name": "gelu"}]
    for function in (lambda m, y: 0.5 * y * (1 + bent(y)), lambda m, y: y * (1 + bent(y)) / 2):
        assert between(function, *tokens) == [{"kind": "gelu", "name": "gelu", "approximate": "tanh"}]


def test_what_is_nearly_gelu_is_none() -> None:
    for function in (
        lambda m, y: y * 0.5 * (1 + torch.erf(y / 2)),
        lambda m, y: y * (1 + torch.erf(y / sqrt(2))) / 3,
        lambda m, y: y * 0.5 * (1.5 + torch.erf(y / sqrt(2))),
        lambda m, y: y.square() * 0.5 * (1 + torch.erf(y / sqrt(2))),
    ):
        assert "gelu" not in {layer["kind"] for layer in between(function)}


def test_rms_norm() -> None:
    weight = torch.rand(D) + 0.5
    for function in (
        lambda m, y: y * torch.rsqrt(torch.mean(y**2, -1, keepdim=True) + 1e-6) * m.weight,
        lambda m, y: m.weight * (y / torch.sqrt((y * y).mean(-1, keepdim=True) + 1e-6)),
    ):
        for tokens in ((), (5,)):
            assert between(function, *tokens, weight=weight) == [
                {"kind": "rms_norm", "name": "weight", "axes": -1, "eps": 1e-6}
            ]
    (plain,) = between(lambda m, y: y * (y.pow(2).mean((1, 2), True) + 1e-6).rsqrt(), 5)
    assert (plain["axes"], plain["affine"]) == ([0, 1], False)


def test_what_is_nearly_an_rms_norm_is_none() -> None:
    for function in (
        lambda m, y: y * torch.rsqrt(2 * torch.mean(y**2, -1, keepdim=True) + 1e-6),
        lambda m, y: y * torch.rsqrt(torch.mean((2 * y) ** 2, -1, keepdim=True) + 1e-6),
        lambda m, y: y / (torch.mean(y**2, -1, keepdim=True) + 1e-6),
    ):
        assert "rms_norm" not in {layer["kind"] for layer in between(function)}
    # a weight of another axis stays a layer of its own
    made = between(
        lambda m, y: y * torch.rsqrt(torch.mean(y**2, -1, keepdim=True) + 1e-6) * m.weight,
        5,
        weight=torch.rand(5, 1),
    )
    assert [layer["kind"] for layer in made] == ["rms_norm", "scale"]


def test_zeros_add_nothing() -> None:
    for function in (lambda m, y: torch.relu(y + m.zeros), lambda m, y: torch.relu(y - m.zeros)):
        assert [layer["kind"] for layer in between(function)] == ["relu"]


def test_what_is_no_attention_is_not_called_one() -> None:
    refused: dict[str, Function] = {
        "`aten.add`: needs a layer that adds a number for each place": lambda m, y: torch.relu(y + m.far),
        "`aten.sub`: needs a layer that adds a number for each place": lambda m, y: torch.relu(y - -m.far),
        "`aten.gt`: needs a layer that compares": lambda m, y: torch.where(y > 0, y, 0.1 * y),
        "`aten.where`: needs a layer that takes each number": lambda m, y: torch.where(y > 0, y, 0.1 * y),
        "needs a layer that puts -1e+09 in": lambda m, y: torch.relu(y.masked_fill(m.zeros == 0, -1e9)),
        "needs a layer that puts 0 in": lambda m, y: torch.relu(y.masked_fill(m.far == 0, 0.0)),
    }
    for need, function in refused.items():
        with pytest.raises(NotImportedError) as caught:
            from_torch(Between(function), (3,))
        assert need in str(caught.value)
        assert "attention" not in str(caught.value)
