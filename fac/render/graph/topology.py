"""What a picture shows, before anything has a place: stations in a row, and what runs between them.

A station is a layer with the weightless layers between it and its site, because that is where errors arrive;
the first station is the input and the last one the loss. Links that carry errors are those that are computed:
a route that nobody needs, and an exact error that a route cuts, are no links.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from fac.program.program import Node, Program, Route, Subspace

Key = int | str
"""A station by its place in the row, or a subspace by its name."""
Span = tuple[int, int]
"""The smallest and the largest of the numbers that a folded link stands for."""


class Flowing(StrEnum):
    """What a link carries."""

    VALUE = "value"
    EXACT = "exact"
    ROUTE = "route"
    READING = "reading"
    """From an error to the subspace that reads it."""


@dataclass(frozen=True, slots=True)
class Operator:
    """What a picture says of a feedback operator, or of the P of a subspace."""

    kind: str
    symbols: str
    learning: tuple[str, ...] = ()
    rank: Span | None = None
    full: Span | None = None
    """The largest rank that its ends allow."""
    scale: float = 1.0
    through: bool = False
    added: bool = False
    tied: bool = False
    """Whether it is made from the forward weight that it replaces, or takes its steps."""

    @property
    def whole(self) -> bool:
        """Whether its rank is as large as its ends allow."""
        return self.rank is not None and self.rank == self.full


@dataclass(frozen=True, slots=True)
class Link:
    """From where to where, and what of."""

    source: Key
    target: Key
    flowing: Flowing
    operator: Operator | None = None
    routes: tuple[Route, ...] = ()
    """The routes that it stands for; several in a folded picture."""
    count: int = 1
    transposed: bool = False
    """Whether it is an exact error that passes a transposed weight."""

    @property
    def carries_error(self) -> bool:
        """Whether it belongs to the backward pass."""
        return self.flowing is not Flowing.VALUE

    @property
    def direct(self) -> bool:
        """Whether it is a `to` route."""
        return self.operator is not None and self.flowing is Flowing.ROUTE and not self.operator.through


@dataclass(frozen=True, slots=True)
class Station:
    """A box of the forward lane, and whether an error is computed under it."""

    chains: tuple[tuple[Node, ...], ...]
    """The layers in it, once for each repetition that was folded into it. Empty at the loss."""
    role: str = "layer"
    """`input`, `layer` or `loss`."""
    input: str = ""
    """What the layers call it, if it is one."""
    error: bool = False
    learns: bool = False
    starved: bool = False
    """A layer that should learn gets no error: the spec has a finding."""
    stacked: bool = False
    """Whether the repetitions follow one another directly."""
    within: tuple[str, ...] = ()
    """What the block in whose frame it stands is called, once for each repetition."""
    alike: bool = False
    """Whether another station would be called the same, if each were by its kind."""

    @property
    def head(self) -> Node:
        """The layer that the station is called after."""
        return self.chains[0][0]

    @property
    def frozen(self) -> bool:
        """Whether it has weights that keep their initial values."""
        return any(not node.trainable and bool(node.state) for chain in self.chains[:1] for node in chain)


@dataclass(frozen=True, slots=True)
class Reading:
    """A subspace; targets, in place of an error; or a source that the spec names and does not have."""

    name: str
    below: Key
    """The station whose error it reads."""
    operator: Operator | None
    """None if nothing is known of it, and of targets, which nobody reads off an error."""
    subspace: Subspace | None
    targets: bool = False
    """Whether it is targets, or a subspace of them."""

    @property
    def look(self) -> str:
        """How its box is drawn."""
        return "subspace" if self.operator else "targets" if self.targets else "missing"


@dataclass(frozen=True, slots=True)
class Group:
    """Stations `first` to `last` are a block, or stand for `count` repetitions, one behind the other."""

    first: int
    last: int
    count: int
    name: str = ""
    """Of the block, or of the blocks that were folded; empty where the spec has no block."""


@dataclass(frozen=True, slots=True)
class Topology:
    """All that a picture shows."""

    program: Program
    stations: tuple[Station, ...]
    links: tuple[Link, ...]
    readings: tuple[Reading, ...] = ()
    groups: tuple[Group, ...] = ()
    mixed: bool = False
    """Whether stations are folded that differ in sizes, ranks or activations."""
    notes: tuple[str, ...] = ()
    """What the spec says and the picture cannot show."""
    pruned: tuple[Route, ...] = field(default=(), repr=False)
    """The routes that the notes speak of."""

    @property
    def loss(self) -> int:
        """The place of the loss."""
        return len(self.stations) - 1
