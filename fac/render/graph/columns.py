"""The columns of a picture: how wide each is, where lines leave and enter it, and which row it stands in."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from itertools import pairwise

from fac.render.graph import words
from fac.render.graph.nets import Net, Wiring, errors_at
from fac.render.graph.picture import Words
from fac.render.graph.topology import Key, Link, Reading, Station, Topology

NAME, TEXT, SMALL = 13.0, 11.5, 10.0
"""Sizes of type."""
WIDEST_BOX, SLIMMEST_BOX = 340.0, 84.0
GAP = 36.0
PORT = 15.0
"""Between two lines that enter a box."""
EDGE = 24.0
"""Around the whole picture."""
FRAME = 10.0
"""Between the stations of a group and the frame around them."""
STUB = 14.0
"""Room for a line beside a box of the lane of subspaces."""

Port = tuple[str, int | str]
"""`out` or `in` with the number of a net, or `read` with the name of a subspace."""


@dataclass(slots=True)
class Column:
    """A station, or the subspaces of the station to its right."""

    station: int | None
    words: tuple[Words, ...]
    box: float
    readings: tuple[Reading, ...] = ()
    pill: float = 0.0
    """Width of the box of the error; 0 if there is none."""
    ports: dict[Port, float] = field(default_factory=dict)
    """Where lines meet the box of the error, from its left edge."""
    branches: dict[Port, list[str]] = field(default_factory=dict)
    """Words beside those lines."""
    tops: dict[Port, float] = field(default_factory=dict)
    """Where lines meet the forward box from above, from its left edge."""
    opens: bool = False
    closes: bool = False
    """Whether it stands at an end of a group."""
    row: int = 0
    x: float = 0.0
    """The middle."""
    left: float = 0.0
    right: float = 0.0
    """How far it reaches from the middle."""

    @property
    def box_left(self) -> float:
        """The left edge of the forward box."""
        return self.x - self.box / 2

    @property
    def pill_left(self) -> float:
        """The left edge of the box of the error."""
        return self.x - self.pill / 2

    @property
    def pill_right(self) -> float:
        """The right edge of the box of the error."""
        return self.x + self.pill / 2

    @property
    def words_from(self) -> float:
        """Where the words of a line may begin that comes to the error from the right."""
        return self.x + self.right + FRAME + 4 if self.closes else self.pill_right + 8

    @property
    def words_until(self) -> float:
        """Where the words of a line have to end that leaves the error to the left."""
        return self.x - self.left - FRAME - 4 if self.opens else self.pill_left - 8

    def port(self, port: Port) -> float:
        """Where a line meets the box of the error."""
        return self.pill_left + self.ports[port]


def columns(topology: Topology, wired: Wiring) -> list[Column]:
    """All columns from left to right, with widths and without places."""
    read: dict[Key, list[Reading]] = defaultdict(list)
    for reading in topology.readings:
        read[reading.below].append(reading)
    marked = set(errors_at(topology))
    first = {group.first: words.group(group) for group in topology.groups}
    found: list[Column] = []
    at: dict[Key, Column] = {}
    for number, station in enumerate(topology.stations):
        if number in read:
            found.append(_subspaces(tuple(read[number])))
        found.append(_column(topology, number, station))
        at[number] = found[-1]
    for reading in topology.readings:
        if reading.operator is not None:
            at[reading.below].branches["read", reading.name] = []
    _join(wired, at, {index: words.width(text, TEXT) for index, text in first.items()})
    for group in topology.groups:
        at[group.first].opens = at[group.last].closes = True
    for number, station in enumerate(topology.stations):
        if number in marked:
            _pill(at[number])
        _measure(at[number], station.stacked)
    return found


def _column(topology: Topology, index: int, station: Station) -> Column:
    bold = Words(words.title(topology, station), NAME, True)
    lines = [bold, *(Words(text, tone=_tone(text)) for text in words.facts(topology, station))]
    cut = tuple(_fitted(line, WIDEST_BOX - 20) for line in lines)
    widest = max(words.width(line.text, line.size, line.bold) for line in cut)
    return Column(index, cut, max(SLIMMEST_BOX, widest + 20))


def _tone(text: str) -> str:
    return {words.STARVED: "alarm", words.FROZEN: "value"}.get(text, "quiet")


def _fitted(line: Words, room: float) -> Words:
    return Words(words.shortened(line.text, room, line.size, line.bold), line.size, line.bold, line.tone)


def _subspaces(readings: tuple[Reading, ...]) -> Column:
    widest = max(words.width(line.text, line.size, line.bold) for r in readings for line in subspace_words(r))
    column = Column(None, (), max(SLIMMEST_BOX, widest + 20), readings)
    column.left, column.right = column.box / 2 + STUB * len(readings), column.box / 2
    return column


def subspace_words(reading: Reading) -> tuple[Words, ...]:
    """The lines in the box of a subspace."""
    name, *rest = words.reading_lines(reading)
    tone = "alarm" if reading.look == "missing" else "quiet"
    lines = [Words(name, NAME, True), *(Words(text, tone=tone) for text in rest if text)]
    return tuple(_fitted(line, WIDEST_BOX - 20) for line in lines)


def _join(wired: Wiring, at: dict[Key, Column], header: dict[int, float]) -> None:
    """Where nets meet columns. Lines that leave stand left of lines that arrive."""
    for direction in ("out", "in"):
        for number, net in enumerate(wired.below):
            for key in net.sources if direction == "out" else net.targets:
                if isinstance(key, int):
                    at[key].branches[direction, number] = _beside(net, key, direction)
    for number, net in enumerate(wired.above):
        for key in net.targets:
            if isinstance(key, int):
                start = max(12.0, header.get(key, 0) - 4)
                at[key].tops["in", number] = start + PORT * len(at[key].tops)
        for key in net.sources:
            column = at[key]
            taken = sum(1 for name, _ in column.tops if name == "out")
            column.tops["out", number] = -12 - PORT * taken
    for column in at.values():
        # Those that leave are told from the right edge, which many that arrive may push further.
        if column.tops:
            inward = max((x for (name, _), x in column.tops.items() if name == "in"), default=0.0)
            outward = max((-x for (name, _), x in column.tops.items() if name == "out"), default=0.0)
            column.box = max(column.box, inward + outward + PORT)
            for port, x in column.tops.items():
                column.tops[port] = x + column.box if port[0] == "out" else x


def _beside(net: Net, key: Key, direction: str) -> list[str]:
    """An operator is named where its line is its own: at its target, or at its source if many share the target."""
    if (direction == "out") != net.collects:
        return []
    links = net.sources[key] if net.collects else net.targets[key]
    return [line for link in links for line in words.label(link)]


def _pill(column: Column) -> None:
    at = PORT
    last = 0.0
    for port, lines in column.branches.items():
        column.ports[port] = last = at
        at += max(PORT, words_width(lines) + PORT)
    column.pill = max(36.0, last + PORT)
    if len(column.ports) == 1:
        column.ports = dict.fromkeys(column.ports, column.pill / 2)
    column.box = max(column.box, column.pill + 44)


def _measure(column: Column, stacked: bool) -> None:
    column.left = column.box / 2
    column.right = column.box / 2 + (6 if stacked else 0)
    for port, offset in column.ports.items():
        reach = offset - column.pill / 2 + words_width(column.branches[port]) + 8
        column.right = max(column.right, reach)


def words_width(lines: list[str]) -> float:
    """Of the longest line of a label."""
    return max((words.width(line, TEXT) for line in lines), default=0.0)


def gaps(wired: Wiring, found: list[Column]) -> list[float]:
    """The gap behind each column but the last."""
    hops = {link.source: link for link in wired.hops}
    return [_gap(hops, a, b) for a, b in pairwise(found)]


def _station(column: Column) -> int:
    return -1 if column.station is None else column.station


def _gap(hops: dict[Key, Link], left: Column, right: Column) -> float:
    """Between two columns: room for the words of the line between their errors, and for frames."""
    gap = GAP + FRAME * (left.closes + right.opens)
    hop = hops.get(_station(right))
    if hop is None or left.station is None:
        return gap
    left.x, right.x = 0.0, left.right + right.left
    return max(gap, words_width(words.label(hop)) + 8 - (right.words_until - left.words_from))
