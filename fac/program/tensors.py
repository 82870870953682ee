"""State: every array that a step reads and writes has a name, a shape and a law for its initial value."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from fac.spec.init import Density, Init, Normal, PerUnit, Uniform


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

    weight: Tensor
    rank: int
    side: str
    """`P` (rank, m) or `Q` (k, rank)."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Where the entries of a sparse matrix stand: of each row as many columns, whole numbers, all different.

    They are those that a mask keeps of the matrix of that name, if it is stored whole.
    """

    matrix: str
    of: int
    """How many columns there are."""
    sets: int | None = None
    """If given, there are so many choices, which the rows take in turn."""


@dataclass(frozen=True, slots=True)
class Entries:
    """The entries of a sparse matrix at some columns: those that the whole matrix would have there."""

    law: Init
    columns: Tensor


@dataclass(frozen=True, slots=True)
class Products:
    """Entries that are products, of a number for the row and of one for the place in the choice that it takes.

    Rows of one choice are so multiples of each other. The variance is that of the law, by which both factors are drawn.
    """

    law: Init
    sets: int


@dataclass(frozen=True, slots=True)
class Constant:
    """All entries are one number, which is neither 0 nor 1; see `constant`."""

    value: float


Start = Init | Literal["ones"] | Constant | SvdFactor | Columns | Entries | Products
"""How a tensor starts. The scale of a normalisation does so with ones, which no spec may ask for: all units of a layer
with such a weight would be one."""


def constant(value: float) -> Start:
    """How a tensor starts of which all entries are that number."""
    return "zeros" if value == 0 else "ones" if value == 1 else Constant(value)


@dataclass(frozen=True, slots=True)
class Tensor:
    """One array of the state.

    A weight, or feedback in its place, is the matrix [reads, writes] of its axis `reads_axis`, which reads the error,
    and of all others; with groups, of that axis of each group, one group behind the other.
    """

    name: str
    shape: tuple[int, ...]
    init: Start
    fan_in: float = 1
    """Of a weight: how many products each number that it makes is a sum of, on average. Laws read it, also those of
    feedback that is drawn like the weight."""
    fan_out: float = 1
    role: Role = Role.PARAMETER
    trainable: bool = True
    mask: PerUnit | Density | None = None
    """Which entries of feedback are kept, for each number that is fed; the others are zero from the start."""
    reads_axis: int = 0
    groups: int = 1
    """Equal parts of the first axis that do not mix. An error of one group goes to that group alone."""
    like: Start | None = None
    """Of a weight: the law of feedback that is drawn like it, where that is not its own."""

    @property
    def drawn(self) -> Start:
        """The law by which feedback is drawn that is drawn like this weight."""
        return self.init if self.like is None else self.like

    @property
    def law(self) -> Init | Literal["ones"] | Constant | SvdFactor | Columns:
        """The law of its entries, also of those that are kept beside their columns."""
        return self.init.law if isinstance(self.init, Entries | Products) else self.init

    @property
    def zero(self) -> bool:
        """Whether every entry starts at zero."""
        law = self.law
        if isinstance(law, SvdFactor):
            return law.side == "Q" and law.weight.zero
        return (
            law == "zeros"
            or (isinstance(law, Normal) and law.std == 0)
            or (isinstance(law, Uniform) and law.bound == 0)
        )

    @property
    def below(self) -> int | None:
        """If it holds whole numbers from 0 on, which is the first that it cannot hold."""
        return self.init.of if isinstance(self.init, Columns) else None

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
        return (
            self.mask.density
            if isinstance(self.mask, Density)
            else self.mask.per_unit / (self.reads // self.groups)
        )

    @property
    def reads(self) -> int:
        """Rows of the matrix: numbers of the error that are read, at a place."""
        return self.shape[self.reads_axis] * (self.groups if self.reads_axis else 1)

    @property
    def writes(self) -> int:
        """Columns of the matrix: what each of them is sent to."""
        return self.size // self.reads

    @property
    def size(self) -> int:
        """Number of entries."""
        product = 1
        for dim in self.shape:
            product *= dim
        return product
