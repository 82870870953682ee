"""State: every array that a step reads and writes has a name, a shape and a law for its initial value."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from fac.spec.init import Density, Init, PerUnit


class Role(StrEnum):
    """What a tensor is for."""

    PARAMETER = "parameter"
    STATISTIC = "statistic"
    """Moved by the forward pass of training, and by nothing else: such as an average that evaluation reads."""
    FEEDBACK = "feedback"
    OPTIMISER = "optimiser"


@dataclass(frozen=True, slots=True)
class SvdFactor:
    """A factor of the truncated SVD of a forward weight W [m, k]: W^T ~ Q P, balanced (`svd_pair`)."""

    weight: str
    rank: int
    side: str
    """`P` (rank, m) or `Q` (k, rank)."""


Start = Init | Literal["ones"] | SvdFactor
"""How a tensor starts. The scale of a normalisation does so with ones, which no spec may ask for: all units of a layer
with such a weight would be one."""


@dataclass(frozen=True, slots=True)
class Masked:
    """Which entries of a feedback matrix are kept: the others are zero from the start."""

    law: PerUnit | Density
    units: int
    """The axis of the units that are fed; the other one is that of the error."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """One array of the state."""

    name: str
    shape: tuple[int, ...]
    init: Start
    fan_in: int = 1
    fan_out: int = 1
    role: Role = Role.PARAMETER
    trainable: bool = True
    mask: Masked | None = None

    @property
    def part(self) -> str:
        """The last part of the name: `weight`, `P`, `momentum`."""
        return self.name.rpartition(".")[2]

    @property
    def owner(self) -> str:
        """The node or subspace that the tensor belongs to."""
        return (
            self.name.rpartition(".feedback.")[0]
            if self.role is Role.FEEDBACK
            else self.name.rpartition(".")[0]
        )

    @property
    def kept(self) -> float:
        """The share of entries that the mask keeps, expected."""
        if self.mask is None:
            return 1.0
        law = self.mask.law
        return law.density if isinstance(law, Density) else law.per_unit / self.shape[1 - self.mask.units]

    @property
    def size(self) -> int:
        """Number of entries."""
        product = 1
        for dim in self.shape:
            product *= dim
        return product
