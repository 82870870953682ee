"""Modules as blocks: where they are one, and with the names that layers have by themselves."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from fac.importing import from_torch
from fac.pipeline import lowered

torch.set_num_threads(1)


class Residual(nn.Module):
    """Two layers and a skip, perhaps with a layer beside."""

    def __init__(self, reads: int, width: int) -> None:
        super().__init__()
        self.fc1, self.act, self.fc2 = nn.Linear(reads, width), nn.ReLU(), nn.Linear(width, width)
        self.short = nn.Sequential(nn.Linear(reads, width), nn.Tanh()) if reads != width else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.act(self.fc2(self.act(self.fc1(x))) + self.short(x))
        return made


def names(spec: Any) -> list[str]:
    return [node.name for node in lowered(spec).nodes]


BODY = [
    {"kind": "linear", "name": "fc1", "out": 4},
    {"kind": "relu", "name": "act"},
    {"kind": "linear", "name": "fc2", "out": 4},
    {"kind": "add", "name": "add", "from": ["fc2", "input"]},
    {"kind": "relu", "name": "relu"},
]


def test_equal_modules_in_a_row_are_a_repeat() -> None:
    found = from_torch(
        nn.Sequential(nn.Sequential(*(Residual(4, 4) for _ in range(3))), nn.Linear(4, 2)), (4,)
    )
    assert found.spec["layers"] == [
        {"kind": "repeat", "name": "0", "times": 3, "body": BODY},
        {"kind": "linear", "name": "1", "out": 2},
    ]
    assert names(found.spec)[:6] == ["0.0.fc1", "0.0.act", "0.0.fc2", "0.0.add", "0.0.relu", "0.1.fc1"]


def test_unlike_modules_are_sequences() -> None:
    found = from_torch(nn.Sequential(Residual(3, 4), Residual(4, 4)), (3,))
    first, second = found.spec["layers"]
    assert second == {"kind": "sequence", "name": "1", "body": BODY}
    assert first["body"][3:] == [
        {
            "kind": "sequence",
            "name": "short",
            "from": "input",
            "body": [{"kind": "linear", "name": "0", "out": 4}, {"kind": "tanh", "name": "1"}],
        },
        {"kind": "add", "name": "add", "from": ["fc2", "short"]},
        {"kind": "relu", "name": "relu"},
    ]


class Open(nn.Module):
    """Its second part reads what stands inside of the first."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Sequential(nn.Linear(3, 3), nn.Tanh()), nn.Sequential(nn.Linear(3, 3), nn.Tanh())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inside = self.a[0](x)
        made: torch.Tensor = self.b(self.a[1](inside)) + inside
        return made


def test_a_module_that_is_read_inside_is_no_block() -> None:
    found = from_torch(Open(), (3,))
    assert found.spec["layers"] == [
        {"kind": "linear", "name": "a.0", "out": 3},
        {"kind": "tanh", "name": "a.1"},
        {
            "kind": "sequence",
            "name": "b",
            "body": [{"kind": "linear", "name": "0", "out": 3}, {"kind": "tanh", "name": "1"}],
        },
        {"kind": "add", "name": "add", "from": ["b", "a.0"]},
    ]


class Norm(nn.BatchNorm1d):
    """A layer by itself that holds another one."""

    def __init__(self) -> None:
        super().__init__(3)
        self.act = nn.Tanh()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.act(super().forward(x))
        return made


def test_a_layer_that_holds_another_is_no_block() -> None:
    class Normed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.norm = nn.Linear(3, 3, bias=False), Norm()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            made: torch.Tensor = self.norm(self.fc(x))
            return made

    assert names(from_torch(Normed(), (3,)).spec) == ["fc", "norm", "norm.act"]
