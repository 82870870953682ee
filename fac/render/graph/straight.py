"""The straight lines of a picture: from layer to layer, from error to error, from an error to its layer."""

from __future__ import annotations

from fac.render.graph import words
from fac.render.graph.columns import SMALL, TEXT, words_width
from fac.render.graph.edges import APART, CLEAR
from fac.render.graph.nets import Net
from fac.render.graph.pens import BUS, TIE, UPDATE, pen_of
from fac.render.graph.picture import TIP, Label, Point, Rect, Tip, Wire, Words
from fac.render.graph.rows import LINE, PILL, STACK, Grid
from fac.render.graph.topology import Flowing, Key, Link, Reading

TIED = 16.0
"""How far beside the box of an error a tie meets the line of its route."""


class Drawing:
    """Lines and their words, as they are drawn."""

    def __init__(self, grid: Grid) -> None:
        self.grid, self.topology = grid, grid.topology
        self.wires: list[Wire] = []
        self.labels: list[Label] = []

    def name(self, key: Key) -> str:
        """What an end of a line is called."""
        return words.place(self.topology, key)

    def edge(self, net: Net, row: int, y: float, *, right: bool) -> None:
        """Say at the right edge of a row, or at the left edge of the next, where a line comes from or goes."""
        edges = self.grid.edges
        beside = self.grid.rows[row if right else row + 1]
        text = edges.words(net, row, right=right)
        kept = CLEAR if right != edges.leftwards(net, row) else 0.0
        room = (edges.right[row] if right else edges.left[row + 1]) - APART - kept
        x = beside.right - kept - room if right else beside.left + kept
        shown = Words(words.shortened(text, room, SMALL), SMALL, tone="quiet")
        pen = BUS if net.bus else pen_of(net.links[0])
        place = Rect(x, y - pen.total / 2 - 13, room, 12)
        self.labels.append(Label(place, (shown,), "end" if right else "start", text))

    def words(self, x: float, y: float, text: list[str], title: str, align: str = "start") -> None:
        """The words beside a line; in the middle of `x` or from there on."""
        if text:
            size = words_width(text)
            room = Rect(x - size / 2 if align == "middle" else x, y, size, LINE * len(text))
            self.labels.append(Label(room, tuple(Words(line, TEXT) for line in text), align, title))

    def tie(self, key: Key, line: tuple[Point, ...]) -> None:
        """From a layer to a matrix that is made from its weight, or takes its steps."""
        title = f"tied to the weight of {self.name(key)}"
        self.wires.append(Wire((line,), TIE, dots=line[-1:], title=title))


def draw_straight(drawing: Drawing) -> None:
    """Everything that is not on a track."""
    for link in drawing.grid.wired.values:
        _neighbours(drawing, link)
    for link in drawing.grid.wired.hops:
        _hop(drawing, link)
    for reading in drawing.topology.readings:
        _read(drawing, reading)
    for index, station in enumerate(drawing.topology.stations):
        if station.learns:
            column, row = drawing.grid.at[index], drawing.grid.row(index)
            head = column.x, row.box + row.tall
            title = f"the error teaches {words.calling(station)}"
            line = until((column.x, row.pill), head)
            drawing.wires.append(Wire((line,), UPDATE, ((head, "u"),), title=title))


def _neighbours(drawing: Drawing, link: Link) -> None:
    """From a layer to the next, at half their height."""
    grid = drawing.grid
    source, target = grid.at[link.source], grid.at[link.target]
    up, down = grid.row(link.source), grid.row(link.target)
    start = source.x + source.box / 2 + (STACK if grid.stacked(source) else 0), up.box + up.tall / 2
    head = target.box_left, down.box + down.tall / 2
    lines, tips = _wrapped(start, head, (up.right, start[1]), (down.left, head[1]), up is down)
    if up is not down:
        drawing.edge(Net((link,)), up.number, start[1], right=True)
        drawing.edge(Net((link,)), down.number - 1, head[1], right=False)
    title = words.sentence(drawing.topology, link)
    drawing.wires.append(Wire(lines, pen_of(link), tips, title=title))


def _hop(drawing: Drawing, link: Link) -> None:
    """From an error to the one before it."""
    grid, pen = drawing.grid, pen_of(link)
    title = words.sentence(drawing.topology, link)
    source, target = grid.at[link.source], grid.at[link.target]
    here, there = grid.row(link.source), grid.row(link.target)
    start = source.pill_left, here.lane
    head = target.pill_right + (STACK if grid.stacked(target) else 0), there.lane
    lines, tips = _wrapped(start, head, (here.left, here.lane), (there.right, there.lane), here is there)
    if here is not there:
        drawing.edge(Net((link,)), there.number, there.lane, right=True)
        drawing.edge(Net((link,)), here.number - 1, here.lane, right=False)
    drawing.wires.append(Wire(lines, pen, tips, title=title, routes=link.routes))
    middle = (source.words_until + (target.words_from if here is there else here.left)) / 2
    drawing.words(middle, here.lane + 4 + pen.total / 2, words.label(link), title, "middle")
    if link.operator is not None and link.operator.tied:
        x = source.pill_left - TIED
        drawing.tie(link.source, ((x, here.box + here.tall), (x, here.lane)))


def _read(drawing: Drawing, reading: Reading) -> None:
    """From an error down to a subspace that reads it."""
    if reading.operator is None:
        return
    link = Link(reading.below, reading.name, Flowing.READING, reading.operator)
    row, rect = drawing.grid.row(reading.below), drawing.grid.subspace(reading.name)
    x, y = drawing.grid.at[reading.below].port(("read", reading.name)), rect.y + rect.height / 2
    line = (x, row.pill + PILL), *until((x, y), (rect.right, y))
    title = words.sentence(drawing.topology, link)
    drawing.wires.append(Wire((line,), pen_of(link), (((rect.right, y), "l"),), title=title))


def _wrapped(
    start: Point, head: Point, out: Point, back: Point, one_row: bool
) -> tuple[tuple[tuple[Point, ...], ...], tuple[Tip, ...]]:
    """A line with its arrowhead; through the edges of two rows if it goes from one to another."""
    way = "r" if out[0] > start[0] else "l"
    if one_row:
        return (until(start, head),), ((head, way),)
    return (until(start, out), until(back, head)), ((head, way), (out, way))


def until(start: Point, tip: Point) -> tuple[Point, Point]:
    """A line that ends where its arrowhead begins."""
    (x, y), (tx, ty) = start, tip
    if x == tx:
        return start, (tx, ty + (TIP if y > ty else -TIP))
    return start, (tx + (TIP if x > tx else -TIP), ty)
