"""A network with two heads as a module of PyTorch."""

from __future__ import annotations

from torch import Tensor, nn


class Auxiliary(nn.Module):
    """A trunk, a head on what stands above it, and one on the trunk itself."""

    def __init__(self, by: int) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Conv2d(1, 16 // by, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16 // by, 32 // by, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.above = nn.Sequential(nn.Conv2d(32 // by, 64 // by, 3, padding=1), nn.ReLU())
        self.logits = nn.Linear(64 // by, 10)
        self.aux = nn.Linear(49 * (32 // by), 10)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What each head says, in the order of the losses."""
        middle = self.trunk(x)
        return self.logits(self.above(middle).mean((2, 3))), self.aux(middle.flatten(1))
