"""Where everything of a plot lies: panels in a grid, all over one axis, under a legend for all of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, takewhile
from math import ceil, isnan, log10

from fac.escaping import in_place
from fac.render.graph.pens import Pen
from fac.render.graph.picture import Area, Label, Picture, Point, Rect, Wire, Words
from fac.render.graph.words import shortened, width
from fac.render.plot.axes import Axis, axis, drawable
from fac.render.plot.figure import RAMP, Curve, Figure, Panel, Stroke
from fac.render.plot.sheet import SCREEN, Sheet

SPREAD = 10.0
"""How many times the first number below a panel the last is where they lie by their logarithm, as ranks do."""
WRITTEN = 12
"""Numbers below a panel that are written one by one; of more the axis has round ones."""
GRID, FRAME = Pen("grid", 0.7), Pen("edge", 0.8)


def laid_out(figure: Figure, bare: bool, sheet: Sheet = SCREEN) -> Picture:
    """The picture of a figure.

    Raises:
        FacError: the letters leave no room for curves.
    """
    columns = sheet.columns(len(figure.panels))
    rows = ceil(len(figure.panels) / columns)
    wide, high = sheet.panel(columns)
    cell = sheet.left + wide + sheet.right, sheet.above + high + sheet.below
    whole = 2 * sheet.edge + columns * cell[0]
    labels, top = ([], 4.0) if bare else _head(figure, whole, sheet)
    entries, swatches, top = _legend(figure.legend, whole, top, sheet, rows * cell[1] / 2)
    labels += entries
    below = Below(figure)
    areas: list[Area] = []
    wires = swatches
    for i, panel in enumerate(figure.panels):
        left = sheet.edge + i % columns * cell[0] + sheet.left
        rect = Rect(left, top + i // columns * cell[1] + sheet.above, wide, high)
        drawn = _Drawn(panel, rect, below, sheet)
        areas += drawn.areas()
        wires += drawn.wires()
        labels += drawn.labels(last=i + columns >= len(figure.panels))
    height = top + rows * cell[1] + sheet.edge
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


def _head(figure: Figure, whole: float, sheet: Sheet) -> tuple[list[Label], float]:
    room, edge, size = whole - 2 * sheet.edge, sheet.edge, sheet.size
    title = shortened(in_place(figure.title), room, sheet.large, bold=True)
    found = [Label(Rect(edge, edge, room, 20 * sheet.scale), (Words(title, sheet.large, bold=True),))]
    top = edge + 24 * sheet.scale
    if figure.subtitle:
        words = Words(shortened(figure.subtitle, room, size), size, tone="quiet")
        found.append(Label(Rect(edge, top, room, 16 * sheet.scale), (words,)))
        top += 20 * sheet.scale
    return found, top


def _legend(
    entries: Sequence[tuple[str, Stroke]], whole: float, top: float, sheet: Sheet, room: float
) -> tuple[list[Label], list[Wire], float]:
    """Entries in lines, as many as fit; of a ramp the first and the last layer of each colour.

    Where they would take more than `room`, or look alike once they are cut, they lose the words that all of them have,
    and then what a half or a third of a line has no room for, as far as they are still told apart.
    """
    looks = [*merged(entries)]
    names, line = [text for _, text in looks], whole - 2 * sheet.edge
    least = None
    for words, part in ((names, 1), *((_telling(names), part) for part in PARTS)):
        texts = [shortened(text, line / part - _aside(sheet), sheet.size) for text in words]
        places, below = _placed([width(text, sheet.size) for text in texts], line, sheet)
        alike = len({*names}) - len({*texts})
        if least is None or (alike, below) < least[:2]:
            least = alike, below, texts, places
        if not alike and below <= room:
            break
    assert least is not None
    _, below, texts, places = least
    labels, wires = [], []
    for (look, _), short, (x, y, taken) in zip(looks, texts, places, strict=True):
        left, middle = sheet.edge + x, top + y + sheet.entry / 2
        pen = Pen(look.tone, 2.5 * sheet.scale, look.dash)
        wires.append(Wire((((left, middle), (left + sheet.swatch, middle)),), pen))
        place = Rect(left + sheet.swatch + 6, top + y, taken, sheet.entry)
        labels.append(Label(place, (Words(short, sheet.size),)))
    return labels, wires, top + (below + 6 if looks else 0)


PARTS = (1, 2, 3)
"""Of a line that the longest entries of a legend may take, as one that is too high is tried."""


def _telling(names: Sequence[str]) -> list[str]:
    """The names without the words with which all of them begin or end."""
    words = [name.split(" ") for name in names]
    if len({*names}) < 2:
        return [*names]
    begin = _shared(words)
    end = _shared([each[begin:][::-1] for each in words])
    if any(len(each) <= begin + end for each in words):  # one has no words but these
        return [*names]
    return ["…" * (begin > 0) + " ".join(each[begin : len(each) - end]) + "…" * (end > 0) for each in words]


def _shared(words: Sequence[Sequence[str]]) -> int:
    """With how many equal words all begin."""
    return sum(1 for _ in takewhile(lambda each: len({*each}) == 1, zip(*words, strict=False)))


def _aside(sheet: Sheet) -> float:
    """Of an entry, beside its words."""
    return sheet.swatch + 6 + 14 * sheet.scale


def _placed(
    widths: Sequence[float], line: float, sheet: Sheet
) -> tuple[list[tuple[float, float, float]], float]:
    """Where entries lie, (x, y, width), and how high all of them are."""
    found: list[tuple[float, float, float]] = []
    x = y = 0.0
    for each in widths:
        taken = each + _aside(sheet)
        if x > 0 and x + taken - 14 * sheet.scale > line:
            x, y = 0.0, y + sheet.entry
        found.append((x, y, taken))
        x += taken
    return found, y + sheet.entry


def merged(entries: Sequence[tuple[str, Stroke]]) -> Iterator[tuple[Stroke, str]]:
    """Lines of a legend and what they are; of a ramp the first and the last layer of each colour."""
    for (look, _), same in groupby(entries, key=lambda entry: (entry[1], entry[1].tone in RAMP or entry[0])):
        names = [in_place(name) for name, _ in same]
        yield look, names[0] if len(names) == 1 else f"{names[0]} … {names[-1]}"


class Below:
    """The axis below all panels: steps from 0 on, the numbers that there are, each of them written, or names."""

    def __init__(self, figure: Figure) -> None:
        self.title, self.steps = figure.axis, figure.axis == "step"
        if figure.places:
            self.axis = Axis(-0.5, len(figure.places) - 0.5)
            self.ticks = [(float(i), name) for i, name in enumerate(figure.places)]
            return
        places = {p[0] for panel in figure.panels for curve in panel.curves for p in curve.points}
        low, high = min(places), max(places)
        if self.steps:
            self.axis = Axis(0.0, high or 1.0)  # of a run that has not come far, all are at 0
        elif low > 0 and high / low >= SPREAD:
            self.axis = Axis(log10(low), log10(high), log=True)
        else:
            self.axis = axis(places)
        each = len(places) <= WRITTEN and not self.steps
        self.ticks = [(place, f"{place:g}") for place in sorted(places)] if each else self.axis.ticks()


class _Drawn:
    """A panel in its place."""

    def __init__(self, panel: Panel, rect: Rect, below: Below, sheet: Sheet) -> None:
        self.panel, self.rect, self.below, self.sheet = panel, rect, below, sheet
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
                    yield Area((*above, *reversed(below)), curve.stroke.tone)

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
            yield Wire(
                lines,
                Pen(curve.stroke.tone, 1.75 * self.sheet.scale, curve.stroke.dash),
                dots=dots,
                title=in_place(title),
            )

    def labels(self, *, last: bool) -> Iterator[Label]:
        """The title, the numbers of both axes, and what the lower one counts, once in each column."""
        rect, sheet = self.rect, self.sheet
        line, small = 12 * sheet.scale, sheet.small
        # in a narrow figure the room over the numbers is needed, too
        aside = 0.0 if sheet.width is None else 0.7 * sheet.left
        room = aside + rect.width + sheet.right
        title = shortened(in_place(self.panel.title), room, sheet.size, bold=True)
        yield Label(
            Rect(rect.x - aside, rect.y - sheet.above + 2, room, sheet.above - 6),
            (Words(title, sheet.size, bold=True),),
        )
        for value, text in self.values.ticks():
            height = rect.bottom - self.values.place(value) * rect.height
            place = Rect(rect.x - sheet.left, height - line / 2, sheet.left - 5, line)
            yield _number(text, place, "end", small)
        for value, text in _apart(self.below.ticks, rect.width, small):
            x = rect.x + self.below.axis.place(value) * rect.width
            yield _number(text, Rect(x - 30, rect.bottom + 3, 60, line), "middle", small)
        if last:
            place = Rect(rect.x, rect.bottom + 3 + line, rect.width, line)
            yield _number(in_place(self.below.title), place, "middle", small)


def _parts(curve: Curve) -> list[list[tuple[float, float, float, float]]]:
    """The points between gaps."""
    found = groupby(curve.points, key=lambda point: isnan(point[1]))
    return [list(part) for gap, part in found if not gap]


def _number(text: str, rect: Rect, align: str, size: float) -> Label:
    return Label(rect, (Words(text, size, tone="quiet"),), align)


def _apart(ticks: Iterable[tuple[float, str]], room: float, size: float) -> list[tuple[float, str]]:
    """As many as have room side by side."""
    found = list(ticks)
    widest = max((width(text, size) for _, text in found), default=0) + 8
    most = max(1, int(room / widest))
    return found[:: ceil(len(found) / most)] if len(found) > most else found
