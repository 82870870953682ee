"""The edges of rows: what is written where a line leaves one and comes in at another, and how much room that takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fac.render.graph import words
from fac.render.graph.columns import SMALL, TEXT, Column
from fac.render.graph.nets import Net, Wiring
from fac.render.graph.picture import TIP
from fac.render.graph.topology import Key, Topology

MARGIN, WIDEST = 70.0, 220.0
"""Beside a row that goes on in another one."""
APART = 14.0
"""Between words in a margin and a box."""
CLEAR = TIP + 2
"""What words keep clear of an arrowhead at the edge."""


class Edges:
    """The lines that go from row to row."""

    def __init__(self, topology: Topology, wired: Wiring, at: Mapping[Key, Column]) -> None:
        """Of columns that stand in rows."""
        self.topology, self.at = topology, at
        self.rows = 1 + max(column.row for column in at.values())
        self.left, self.right = [0.0, *[MARGIN] * (self.rows - 1)], [*[MARGIN] * (self.rows - 1), 0.0]
        straight = [Net((link,)) for link in (*wired.values, *wired.hops)]
        for net in (*straight, *wired.above, *wired.below):
            for row in self.met(net)[:-1]:
                self.right[row] = max(self.right[row], self._room(net, row, right=True))
                self.left[row + 1] = max(self.left[row + 1], self._room(net, row, right=False))
        for link in wired.hops:
            # The words of a line stand under it, on this side of the edge.
            row = at[link.source].row
            if at[link.target].row != row:
                size = max((words.width(line, TEXT) for line in words.label(link)), default=0.0)
                self.left[row] = max(self.left[row], size + 30)

    def met(self, net: Net) -> range:
        """The rows that a net goes through."""
        found = [self.at[key].row for key in net.ends]
        return range(min(found), max(found) + 1)

    def leftwards(self, net: Net, row: int) -> bool:
        """Whether a net goes to the left from the next row to this one."""
        if len(net.sources) == 1:
            return self.at[net.first_source].row > row
        return self.at[net.links[0].target].row <= row

    def words(self, net: Net, row: int, *, right: bool) -> str:
        """What stands at the right edge of a row, or at the left edge of the next: where a line comes from or goes."""
        leftwards = self.leftwards(net, row)
        comes = leftwards == right
        beyond = [key for key in (net.sources if comes else net.targets) if (self.at[key].row > row) == right]
        return f"{'from' if comes else 'to'} {self._called(net, beyond)}"

    def _called(self, net: Net, keys: Sequence[Key]) -> str:
        if len(keys) > 1:
            return f"{len(keys)} layers"
        name = words.place(self.topology, keys[0])
        return f"δ of {name}" if net.links[0].carries_error and isinstance(keys[0], int) else name

    def _room(self, net: Net, row: int, *, right: bool) -> float:
        needed = words.width(self.words(net, row, right=right), SMALL) + CLEAR + APART
        return min(WIDEST, needed)
