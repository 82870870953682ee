"""Lines that run level in a track above or below the boxes, with a stem to each box that they link."""

from __future__ import annotations

from dataclasses import dataclass, field

from fac.render.graph import words
from fac.render.graph.columns import STUB
from fac.render.graph.nets import Net
from fac.render.graph.pens import BUS, pen_of
from fac.render.graph.picture import TIP, Point, Tip, Wire
from fac.render.graph.rows import PILL
from fac.render.graph.straight import Drawing, until
from fac.render.graph.topology import Key, Link

TOLD = 8
"""Links that the tooltip of a bus names."""


@dataclass(slots=True)
class Trunk:
    """The part of a net that its links share."""

    heights: dict[int, float]
    """Of its track, by row."""
    lines: list[tuple[Point, ...]] = field(default_factory=list)
    tips: list[Tip] = field(default_factory=list)
    met: dict[int, list[float]] = field(default_factory=dict)
    """Where stems join it, by row."""

    @property
    def dots(self) -> tuple[Point, ...]:
        """Junctions: everywhere but at the two ends of the line."""
        points = [(row, x) for row in sorted(self.met) for x in sorted(self.met[row])]
        return tuple((x, self.heights[row]) for row, x in points[1:-1])


def draw_tracks(drawing: Drawing) -> None:
    """All nets."""
    wired = drawing.grid.wired
    for number, (net, level) in enumerate(zip(wired.above, drawing.grid.above, strict=True)):
        _values(drawing, number, net, level)
    for number, (net, level) in enumerate(zip(wired.below, drawing.grid.below, strict=True)):
        _Errors(drawing, number, net, level).draw()


def _values(drawing: Drawing, number: int, net: Net, level: int) -> None:
    grid = drawing.grid
    trunk = Trunk({row: grid.rows[row].above[level] for row in grid.edges.met(net)})
    for way, keys in (("out", net.sources), ("in", net.targets)):
        for key in keys:
            column, row = grid.at[key], grid.row(key)
            x = column.box_left + column.tops[way, number]
            edge, track = (x, row.box), (x, row.above[level])
            trunk.met.setdefault(column.row, []).append(x)
            trunk.lines.append((edge, track) if way == "out" else until(track, edge))
            trunk.tips += [(edge, "d")] if way == "in" else []
    _run(drawing, trunk, net)
    told = [words.sentence(drawing.topology, link) for link in net.links[:TOLD]]
    dots = trunk.dots if net.bus else ()
    title = "; ".join(told)
    drawing.wires.append(Wire(tuple(trunk.lines), pen_of(net.links[0]), tuple(trunk.tips), dots, title))


class _Errors:
    """A net below the boxes. In a bus, the stems at the ends that are not shared are lines of their own."""

    def __init__(self, drawing: Drawing, number: int, net: Net, level: int) -> None:
        self.drawing, self.grid, self.number, self.net = drawing, drawing.grid, number, net
        self.trunk = Trunk({row: self.grid.rows[row].below[level] for row in self.grid.edges.met(net)})

    def draw(self) -> None:
        """The trunk and its branches."""
        net, trunk, drawing = self.net, self.trunk, self.drawing
        for key, links in net.sources.items():
            self._source(key, links)
        for key, links in net.targets.items():
            self._target(key, links)
        source = net.first_source
        name = source if isinstance(source, str) else f"δ of {drawing.name(source)}"
        _run(drawing, trunk, net)
        link = net.links[0]
        if net.bus:
            title = f"errors to {drawing.name(link.target)}" if net.collects else name
            wire = Wire(tuple(trunk.lines), BUS, tuple(trunk.tips), trunk.dots, title)
        else:
            title = words.sentence(drawing.topology, link)
            wire = Wire(tuple(trunk.lines), pen_of(link), tuple(trunk.tips), (), title, link.routes)
        drawing.wires.append(wire)

    def _source(self, key: Key, links: list[Link]) -> None:
        line = self._leaving(key)
        self.trunk.met.setdefault(self.grid.at[key].row, []).append(line[-1][0])
        if self.net.collects:
            self._branch(key, links, line)
            self._words("out", key, links)
        else:
            self.trunk.lines.append(line)
        if any(link.operator is not None and link.operator.tied for link in links):
            column, row = self.grid.at[key], self.grid.row(key)
            side, port, y = column.pill_left - 8, line[0][0], row.pill + PILL + 8
            self.drawing.tie(key, ((side, row.box + row.tall), (side, y), (port, y)))

    def _target(self, key: Key, links: list[Link]) -> None:
        column, row = self.grid.at[key], self.grid.row(key)
        x = column.port(("in", self.number))
        edge = x, row.pill + PILL
        line = until((x, self.trunk.heights[column.row]), edge)
        self.trunk.met.setdefault(column.row, []).append(x)
        if self.net.bus and not self.net.collects:
            self._branch(key, links, line, ((edge, "u"),))
        else:
            self.trunk.lines.append(line)
            self.trunk.tips.append((edge, "u"))
        self._words("in", key, links)

    def _leaving(self, key: Key) -> tuple[Point, ...]:
        """From a source down to the track; from a subspace at its left side, because others stand below it."""
        column, row = self.grid.at[key], self.grid.row(key)
        track = self.trunk.heights[column.row]
        if isinstance(key, int):
            x = column.port(("out", self.number))
            return (x, row.pill + PILL), (x, track)
        rect = self.grid.subspace(key)
        nth = [reading.name for reading in column.readings].index(key)
        x, y = rect.x - STUB / 2 - STUB * nth, rect.y + rect.height / 2
        return (rect.x, y), (x, y), (x, track)

    def _branch(
        self, key: Key, links: list[Link], line: tuple[Point, ...], tips: tuple[Tip, ...] = ()
    ) -> None:
        """A line of a bus that is not shared, but by links with the same two ends."""
        routes = tuple(route for link in links for route in link.routes)
        self.drawing.wires.append(Wire((line,), pen_of(links[0]), tips, (), self._told(links), routes))

    def _words(self, way: str, key: Key, links: list[Link]) -> None:
        column = self.grid.at[key]
        text = column.branches[way, self.number]
        x, y = column.port((way, self.number)) + 7, self.grid.row(key).branches
        self.drawing.words(x, y, text, self._told(links))

    def _told(self, links: list[Link]) -> str:
        return "; ".join(words.sentence(self.drawing.topology, link) for link in links)


def _run(drawing: Drawing, trunk: Trunk, net: Net) -> None:
    """The level parts, from the first place where a stem joins to the last, with words at the edges of rows."""
    grid = drawing.grid
    first, last = min(trunk.heights), max(trunk.heights)
    for index, y in trunk.heights.items():
        row, met = grid.rows[index], trunk.met.get(index, [])
        left = row.left if index > first else min(met)
        right = row.right if index < last else max(met)
        if index > first:
            drawing.edge(net, index - 1, y, right=False)
            if grid.edges.leftwards(net, index - 1):
                trunk.tips.append(((left, y), "l"))
                left += TIP
        if index < last:
            drawing.edge(net, index, y, right=True)
            if not grid.edges.leftwards(net, index):
                trunk.tips.append(((right, y), "r"))
                right -= TIP
        if left < right:
            trunk.lines.append(((left, y), (right, y)))
