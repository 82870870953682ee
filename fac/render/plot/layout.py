"""Where everything of a plot lies: panels in a grid, all over one axis, under a legend for all of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from math import ceil, isnan, log10, sqrt

from fac.escaping import in_place
from fac.render.graph.pens import Pen
from fac.render.graph.picture import Area, Label, Picture, Point, Rect, Wire, Words
from fac.render.graph.words import shortened, width
from fac.render.plot.axes import Axis, axis, drawable
from fac.render.plot.figure import RAMP, Curve, Figure, Panel

EDGE = 18.0
PANEL_WIDTH, PANEL_HEIGHT = 250.0, 150.0
LEFT, RIGHT, ABOVE, BELOW = 52.0, 16.0, 26.0, 30.0
"""Around the ground of a panel: numbers, title and steps."""
COLUMNS = 3
SMALL, SIZE, LARGE = 9.5, 11.0, 15.0
ENTRY, SWATCH = 18.0, 18.0
"""A line of the legend, and the sample of a colour in it."""
SPREAD = 10.0
"""How many times the first number below a panel the last is where they lie by their logarithm, as ranks do."""
GRID, FRAME = Pen("grid", 0.7), Pen("edge", 0.8)


def laid_out(figure: Figure, bare: bool) -> Picture:
    """The picture of a figure."""
    columns = min(COLUMNS, ceil(sqrt(len(figure.panels))))
    rows = ceil(len(figure.panels) / columns)
    cell = LEFT + PANEL_WIDTH + RIGHT, ABOVE + PANEL_HEIGHT + BELOW
    whole = 2 * EDGE + columns * cell[0]
    labels, top = ([], 4.0) if bare else _head(figure, whole)
    entries, swatches, top = _legend(figure.legend, whole, top)
    labels += entries
    below = Below(figure)
    areas: list[Area] = []
    wires = swatches
    for i, panel in enumerate(figure.panels):
        left = EDGE + i % columns * cell[0] + LEFT
        rect = Rect(left, top + i // columns * cell[1] + ABOVE, PANEL_WIDTH, PANEL_HEIGHT)
        drawn = _Drawn(panel, rect, below)
        areas += drawn.areas()
        wires += drawn.wires()
        labels += drawn.labels(last=i + columns >= len(figure.panels))
    height = top + rows * cell[1] + EDGE
    summary = (
        f"{len(figure.panels)} panels of curves over {'steps' if below.steps else in_place(figure.axis)}"
    )
    story = "; ".join(f"{p.title}: {', '.join(c.label for c in p.curves)}" for p in figure.panels)
    return Picture(
        whole,
        height,
        in_place(figure.title),
        summary,
        in_place(story),
        (),
        tuple(wires),
        tuple(labels),
        bare,
        tuple(areas),
    )


def _head(figure: Figure, whole: float) -> tuple[list[Label], float]:
    room = whole - 2 * EDGE
    title = shortened(in_place(figure.title), room, LARGE, bold=True)
    found = [Label(Rect(EDGE, EDGE, room, 20), (Words(title, LARGE, bold=True),))]
    top = EDGE + 24
    if figure.subtitle:
        words = Words(shortened(figure.subtitle, room, SIZE), SIZE, tone="quiet")
        found.append(Label(Rect(EDGE, top, room, 16), (words,)))
        top += 20
    return found, top


def _legend(
    entries: Sequence[tuple[str, str]], whole: float, top: float
) -> tuple[list[Label], list[Wire], float]:
    """Entries in lines, as many as fit; of a ramp the first and the last layer of each colour."""
    labels: list[Label] = []
    wires: list[Wire] = []
    x, y = EDGE, top
    for (tone, _), same in groupby(entries, key=lambda entry: (entry[1], entry[1] in RAMP or entry[0])):
        names = [in_place(name) for name, _ in same]
        text = names[0] if len(names) == 1 else f"{names[0]} … {names[-1]}"
        text = shortened(text, whole - 2 * EDGE - SWATCH - 8, SIZE)
        size = SWATCH + 6 + width(text, SIZE) + 14
        if x > EDGE and x + size > whole - EDGE:
            x, y = EDGE, y + ENTRY
        middle = y + ENTRY / 2
        wires.append(Wire((((x, middle), (x + SWATCH, middle)),), Pen(tone, 2.5)))
        labels.append(Label(Rect(x + SWATCH + 6, y, size, ENTRY), (Words(text, SIZE),)))
        x += size
    return labels, wires, y + ENTRY + 6


class Below:
    """The axis below all panels: steps from 0 on, or the numbers that there are, each of them written."""

    def __init__(self, figure: Figure) -> None:
        self.title, self.steps = figure.axis, figure.axis == "step"
        places = {p[0] for panel in figure.panels for curve in panel.curves for p in curve.points}
        low, high = min(places), max(places)
        if self.steps:
            self.axis = Axis(0.0, high)
        elif low > 0 and high / low >= SPREAD:
            self.axis = Axis(log10(low), log10(high), log=True)
        else:
            self.axis = axis(places)
        self.ticks = self.axis.ticks() if self.steps else [(place, f"{place:g}") for place in sorted(places)]


class _Drawn:
    """A panel in its place."""

    def __init__(self, panel: Panel, rect: Rect, below: Below) -> None:
        self.panel, self.rect, self.below = panel, rect, below
        points = [point for curve in panel.curves for point in curve.points if not isnan(point[1])]
        self.values = axis((point[1] for point in points), panel.within)
        if not self.values.log:
            self.values = axis((v for point in points for v in point[1:] if drawable(v)), panel.within)

    def _at(self, step: float, value: float) -> Point:
        lowest = 10**self.values.low if self.values.log else value
        up = min(1.0, max(0.0, self.values.place(max(value, lowest))))
        across = self.below.axis.place(step)
        return self.rect.x + across * self.rect.width, self.rect.bottom - up * self.rect.height

    def areas(self) -> Iterator[Area]:
        """Where the runs lie."""
        for curve in self.panel.curves:
            for part in _parts(curve):
                if len(part) > 1 and any(low < high for _, _, low, high in part):
                    above = [self._at(step, high) for step, _, _, high in part]
                    below = [self._at(step, low) for step, _, low, _ in part]
                    yield Area((*above, *reversed(below)), curve.tone)

    def wires(self) -> Iterator[Wire]:
        """The frame, a line for each number beside it, and the curves; a point that stands alone is a dot."""
        rect = self.rect
        for value, _ in self.values.ticks():
            height = rect.bottom - self.values.place(value) * rect.height
            yield Wire((((rect.x, height), (rect.right, height)),), GRID)
        yield Wire((((rect.x, rect.y), (rect.x, rect.bottom), (rect.right, rect.bottom)),), FRAME)
        for curve in self.panel.curves:
            parts = [tuple(self._at(step, mean) for step, mean, _, _ in part) for part in _parts(curve)]
            lines = tuple(part for part in parts if len(part) > 1)
            dots = tuple(part[0] for part in parts if len(part) == 1)
            title = curve.label if curve.label == curve.name else f"{curve.label}: {curve.name}"
            yield Wire(lines, Pen(curve.tone, 1.75), dots=dots, title=in_place(title))

    def labels(self, *, last: bool) -> Iterator[Label]:
        """The title, the numbers of both axes, and what the lower one counts, once in each column."""
        rect = self.rect
        title = shortened(in_place(self.panel.title), rect.width + RIGHT, SIZE, bold=True)
        yield Label(Rect(rect.x, rect.y - ABOVE + 2, rect.width, ABOVE - 6), (Words(title, SIZE, bold=True),))
        for value, text in self.values.ticks():
            height = rect.bottom - self.values.place(value) * rect.height
            yield _number(text, Rect(rect.x - LEFT, height - 6, LEFT - 5, 12), "end")
        for value, text in _apart(self.below.ticks, rect.width):
            x = rect.x + self.below.axis.place(value) * rect.width
            yield _number(text, Rect(x - 30, rect.bottom + 3, 60, 12), "middle")
        if last:
            yield _number(
                in_place(self.below.title), Rect(rect.x, rect.bottom + 15, rect.width, 12), "middle"
            )


def _parts(curve: Curve) -> list[list[tuple[float, float, float, float]]]:
    """The points between gaps."""
    found = groupby(curve.points, key=lambda point: isnan(point[1]))
    return [list(part) for gap, part in found if not gap]


def _number(text: str, rect: Rect, align: str) -> Label:
    return Label(rect, (Words(text, SMALL, tone="quiet"),), align)


def _apart(ticks: Iterable[tuple[float, str]], room: float) -> list[tuple[float, str]]:
    """As many as have room side by side."""
    found = list(ticks)
    widest = max((width(text, SMALL) for _, text in found), default=0) + 8
    most = max(1, int(room / widest))
    return found[:: ceil(len(found) / most)] if len(found) > most else found
