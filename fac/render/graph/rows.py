"""The grid of a picture: in which row each column stands, and what stands at which height there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from fac.render.graph import breaks, words
from fac.render.graph.columns import EDGE, Column, columns, gaps, subspace_words
from fac.render.graph.edges import Edges
from fac.render.graph.nets import Net, wiring
from fac.render.graph.picture import Rect
from fac.render.graph.topology import Group, Key, Reading, Topology
from fac.render.graph.tracks import tracks

LINE = 15.0
"""From one line of text to the next."""
PILL = 24.0
STEM = 26.0
"""Between a layer and its error."""
TRACK = 20.0
HEADER = 18.0
"""Above a group, for its number."""
FOOTER = 10.0
"""Below the errors of a group, for arrowheads between them and its frame."""
BETWEEN_ROWS = 44.0
STACK = 6.0
"""How far a stack of boxes reaches beyond the first."""


@dataclass(slots=True)
class Row:
    """What stands at which height in a row."""

    number: int
    columns: list[Column]
    left: float
    right: float
    """Where lines that go on leave the row."""
    above: dict[int, float] = field(default_factory=dict)
    below: dict[int, float] = field(default_factory=dict)
    """Heights of tracks."""
    beside: float = 0.0
    """Height of the words under straight lines between errors."""
    box: float = 0.0
    tall: float = 0.0
    pill: float = 0.0
    branches: float = 0.0
    """Where the words beside branching lines begin."""
    subspaces: float = 0.0
    bottom: float = 0.0

    @property
    def lane(self) -> float:
        """The height of the straight lines between errors."""
        return self.pill + PILL / 2


class Grid:
    """The columns of a topology in rows, with places for boxes and lines."""

    def __init__(self, topology: Topology, top: float) -> None:
        """Place everything from the height `top` on."""
        self.topology = topology
        self.wired = wiring(topology)
        found = columns(topology, self.wired)
        self.number = {id(column): i for i, column in enumerate(found)}
        self.at: dict[Key, Column] = {c.station: c for c in found if c.station is not None}
        self.at |= {reading.name: column for column in found for reading in column.readings}
        self.above = tracks([self._extent(net) for net in self.wired.above])
        self.below = tracks([self._extent(net) for net in self.wired.below])
        self.rows = self._broken(found)
        for hop in self.wired.hops:
            row = self.row(hop.source)
            row.beside = max(row.beside, len(words.label(hop)) * LINE)
        for row, level in self._levels(self.wired.above, self.above):
            row.above[level] = 0.0
        for row, level in self._levels(self.wired.below, self.below):
            row.below[level] = 0.0
        for row in self.rows:
            top = self._heights(row, top) + BETWEEN_ROWS

    @property
    def bottom(self) -> float:
        """Where the last row ends."""
        return self.rows[-1].bottom

    @property
    def right(self) -> float:
        """How far the rows reach."""
        return max(row.right for row in self.rows)

    def _broken(self, found: list[Column]) -> list[Row]:
        """The columns in rows, each with its place in its row."""
        apart = [*gaps(self.wired, found), 0.0]
        lengths = [column.left + column.right + gap for column, gap in zip(found, apart, strict=True)]
        broken = breaks.rows(self.topology, [column.station for column in found], lengths)
        for number, line in enumerate(broken):
            for i in line:
                found[i].row = number
        self.edges = Edges(self.topology, self.wired, self.at)
        rows: list[Row] = []
        for number, line in enumerate(broken):
            x = EDGE + (self.edges.left[number] if number else 0)
            for i in line:
                found[i].x = x + found[i].left
                x += lengths[i]
            last = found[line[-1]]
            end = last.x + last.right + (self.edges.right[number] if number < len(broken) - 1 else 0)
            rows.append(Row(number, [found[i] for i in line], EDGE - 10, end))
        return rows

    def row(self, key: Key) -> Row:
        """The row of a station or a subspace."""
        return self.rows[self.at[key].row]

    def stacked(self, column: Column) -> bool:
        """Whether its boxes stand for several."""
        return column.station is not None and self.topology.stations[column.station].stacked

    def subspace(self, name: str) -> Rect:
        """The place of the box of a subspace."""
        column = self.at[name]
        above = column.readings[: [reading.name for reading in column.readings].index(name)]
        y = self.row(name).subspaces + sum(tall(reading) + 10 for reading in above)
        return Rect(column.x - column.box / 2, y, column.box, tall(column.readings[len(above)]))

    def held(self, group: Group, row: Row) -> list[Column]:
        """The columns of a group that stand in a row, subspaces aside."""
        stations = range(group.first, group.last + 1)
        return [column for column in row.columns if column.station in stations]

    def _index(self, key: Key) -> int:
        return self.number[id(self.at[key])]

    def _extent(self, net: Net) -> tuple[int, int]:
        found = [self._index(key) for key in net.ends]
        return min(found), max(found)

    def _levels(self, nets: Iterable[Net], levels: Iterable[int]) -> Iterable[tuple[Row, int]]:
        """Each row that a line goes through, with its level."""
        for net, level in zip(nets, levels, strict=True):
            yield from ((self.rows[number], level) for number in self.edges.met(net))

    def _heights(self, row: Row, y: float) -> float:
        """Give the row its place from `y` on, and return where it ends."""
        high, low = sorted(row.above), sorted(row.below)
        row.above = {level: y + (len(high) - i - 0.5) * TRACK for i, level in enumerate(high)}
        y += len(high) * TRACK + (6 if high else 0)
        framed = any(self.held(group, row) for group in self.topology.groups)
        y += HEADER if framed else 0
        y += STACK if any(self.stacked(column) for column in row.columns) else 0
        row.box, row.tall = y, max(LINE * max(len(column.words) for column in row.columns) + 20, 52.0)
        row.pill = row.box + row.tall + STEM
        if not any(column.pill or column.readings for column in row.columns) and not low:
            row.bottom = row.box + row.tall
            return row.bottom
        row.branches = row.pill + max(PILL + FOOTER * framed, PILL / 2 + 7 + row.beside) + 4
        texts = [lines for column in row.columns for lines in column.branches.values()]
        y = row.branches + max(map(len, texts), default=0) * LINE
        if any(texts):
            y += 4
        row.subspaces = y + 6
        stacks = [sum(tall(r) + 10 for r in column.readings) for column in row.columns]
        y += max(stacks) + 6
        row.below = {level: y + (i + 0.5) * TRACK for i, level in enumerate(low)}
        row.bottom = y + len(low) * TRACK
        return row.bottom


def tall(reading: Reading) -> float:
    """The height of the box of a subspace."""
    return LINE * len(subspace_words(reading)) + 14
