"""What a program says of errors: where they begin, and which operators bring them to which layers."""

from __future__ import annotations

from dataclasses import dataclass

from fac.diagnostics import Path
from fac.program.counted import Counted
from fac.program.tensors import Tensor
from fac.spec.feedback import Learning, Matrix
from fac.spec.layers import Loss

LOSS = "loss"
TARGETS = "targets"
"""The error source that targets alone make, before there is any error; of several heads `targets.NAME`."""
TARGET = "y"
"""What targets are called unless a loss says otherwise."""


@dataclass(frozen=True, slots=True)
class Objective:
    """One loss, and how much of it is in the sum that is minimised."""

    loss: Loss
    of: str
    """The node whose output it reads; a name that dangles stays as it was written."""
    origin: Path
    target: str = TARGET
    scale: float = 1.0
    name: str = LOSS
    """How results call it, where there are several."""

    @property
    def mask(self) -> str | None:
        """The input that says which places count, if not all do."""
        return self.loss.mask


@dataclass(frozen=True, slots=True)
class Subspace:
    """s = P d, P [rank, dim of the source]."""

    name: str
    of: str
    rank: int
    basis: Learning
    origin: Path
    tensors: tuple[Tensor, ...] = ()


@dataclass(frozen=True, slots=True)
class Ends:
    """What a feedback operator connects: it reads `reads` numbers and writes `writes`, at each of `places`.

    See `fac.program.ends`.
    """

    prefix: str
    """Of the names of its state: `fc1.feedback`."""
    reads: int
    writes: int
    weight: Tensor | None = None
    """The forward weight [reads, writes] that a `through` route replaces; None on a `to` route."""
    places: int = 1
    """How often per sample: a kernel stands at each place of the map that it makes, a weight at each token. A `to`
    route between tokens goes from each to the same one; any other reads all at once."""
    copies: int = 1
    """On a `to` route from a vector to tokens how many these are: each gets an equal part of what it writes."""
    step: int | None = None
    """Which element of a source it reads, at a step of a recurrence that made this element; None if all."""
    summed: int = 1
    """How many tokens of the source are summed up, and read as one: of who looks at the tokens of the site."""
    mask: Counted | None = None
    """What says which places of the site count, if not all do: the others get nothing."""
    shared: int | None = None
    """How many rows there are in the matrix of which this operator has the first ones, if several routes share it."""

    @property
    def most(self) -> int:
        """The largest rank that an operator between them can have, at a place: groups do not mix, and add theirs."""
        groups = 1 if self.weight is None else self.weight.groups
        return groups * min(self.reads // groups, self.writes)


@dataclass(frozen=True, slots=True)
class Route:
    """A `through` route (site is None: it stands at the node's input) or a `to` route."""

    node: str
    through: bool
    source: str
    matrix: Matrix
    origin: Path
    site: str | None = None
    """On a `to` route, the node whose output receives; None if the name dangles."""
    add: bool = False
    share: bool = True
    """Whether tokens share one matrix where they can."""
    signs: bool = False
    """Whether of what the source says it reads the signs alone."""
    sums: bool = False
    """Whether what it brings is that of the sum over samples, instead of their mean."""
    ends: Ends | None = None
    """None where a shape or a name is unknown."""
    tensors: tuple[Tensor, ...] = ()


@dataclass(frozen=True, slots=True)
class Unmatched:
    """A glob of the feedback section that names no layer that it could mean."""

    path: Path
    glob: str
    direct: bool
    """Whether layers with parameters would do, or else only those with weights."""
    taken: bool = False
    """Whether it does name some, and other routes name each of them."""
