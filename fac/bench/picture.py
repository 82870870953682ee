"""How many times faster than eager torch: a panel for each case, in it a line for each contender, and its floor."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from fac.bench.results import BASELINE, Measured, Results
from fac.escaping import in_place
from fac.render.graph import svg
from fac.render.graph.pens import Pen
from fac.render.graph.picture import Label, Picture, Rect, Wire, Words
from fac.render.graph.words import shortened, width
from fac.render.plot.axes import Axis, axis
from fac.tuning.rounds import ratios, spread

WIDE, LINE = 420.0, 16.0
ABOVE, BELOW, EDGE, MOST = 24.0, 38.0, 8.0, 260.0
SIZE, SMALL = 11.0, 9.5
OURS, OTHERS, FLOOR = Pen("value", 2.0), Pen("quiet", 2.0), Pen("random", 2.0)
GRID, FRAME, LEVEL = Pen("grid", 0.7), Pen("edge", 0.8), Pen("other", 1.0, "4 3")


def drawn(results: Results) -> bytes | None:
    """An SVG; None where nothing is compared."""
    cases = {name: case for name, case in results.cases.items() if BASELINE in case.timed}
    if not cases:
        return None
    aside = min(MOST, max(width(name, SIZE) for case in cases.values() for name in case.timed) + 8)
    wires: list[Wire] = []
    labels: list[Label] = []
    top = EDGE
    for name, case in cases.items():
        panel = _Panel(name, case, Rect(EDGE + aside, top + ABOVE, WIDE, LINE * len(case.timed)), aside)
        wires += panel.wires()
        labels += panel.labels()
        top += ABOVE + LINE * len(case.timed) + BELOW
    story = "; ".join(f"{name}: {_told(case)}" for name, case in cases.items())
    picture = Picture(
        3 * EDGE + aside + WIDE,
        top + EDGE,
        "training steps",
        f"times faster than {BASELINE}",
        in_place(story),
        (),
        tuple(wires),
        tuple(labels),
        bare=True,
    )
    return svg.render(picture).encode()


def _gain(case: Measured, name: str) -> tuple[float, float, float]:
    gains = case.gains(name)
    assert gains is not None
    return spread(gains)


def _told(case: Measured) -> str:
    return ", ".join(f"{name} {_gain(case, name)[0]:.2f}" for name in case.timed)


class _Panel:
    """One case in its place."""

    def __init__(self, name: str, case: Measured, rect: Rect, aside: float) -> None:
        self.name, self.case, self.rect, self.aside = name, case, rect, aside
        self.gains = {key: _gain(case, key) for key in case.timed}
        self.floors = {
            key: median(ratios(case.timed[BASELINE].seconds, case.floors[one.rule].seconds))
            for key, one in case.timed.items()
            if one.rule in case.floors
        }
        ends = [end for gain in self.gains.values() for end in gain]
        self.axis: Axis = axis([0.0, *ends, *self.floors.values()])

    def _across(self, value: float) -> float:
        return self.rect.x + min(1.0, max(0.0, self.axis.place(value))) * self.rect.width

    def wires(self) -> Iterator[Wire]:
        """A line for each number below, the baseline, and what each contender and its floor came to."""
        rect = self.rect
        for value, _ in self.axis.ticks():
            yield Wire((((self._across(value), rect.y), (self._across(value), rect.bottom)),), GRID)
        yield Wire((((rect.x, rect.y), (rect.x, rect.bottom), (rect.right, rect.bottom)),), FRAME)
        yield Wire((((self._across(1), rect.y), (self._across(1), rect.bottom)),), LEVEL, title=BASELINE)
        for line, (name, (middle, low, high)) in enumerate(self.gains.items()):
            y = rect.y + (line + 0.5) * LINE
            pen = OURS if name.startswith("fac ") else OTHERS
            reach = (((self._across(low), y), (self._across(high), y)),)
            yield Wire(reach, pen, dots=((self._across(middle), y),), title=in_place(f"{name}: {middle:.2f}"))
            if name in self.floors:
                x = self._across(self.floors[name])
                title = f"floor of {self.case.timed[name].rule}: {self.floors[name]:.2f}"
                yield Wire((((x, y - LINE / 3), (x, y + LINE / 3)),), FLOOR, title=title)

    def labels(self) -> Iterator[Label]:
        """The title, names, and numbers below."""
        rect = self.rect
        place = Rect(rect.x, rect.y - ABOVE, rect.width, ABOVE - 4)
        title = shortened(f"{self.name}: {self.case.says}", rect.width, SIZE, bold=True)
        yield Label(place, (Words(title, SIZE, bold=True),))
        for line, name in enumerate(self.gains):
            words = Words(shortened(in_place(name), self.aside - 8, SIZE), SIZE)
            yield Label(Rect(EDGE, rect.y + line * LINE, self.aside - 8, LINE), (words,), "end")
        for value, written in self.axis.ticks():
            place = Rect(self._across(value) - 30, rect.bottom + 3, 60, 12)
            yield Label(place, (Words(written, SMALL, tone="quiet"),), "middle")
        told = f"times faster than {BASELINE}; the upright line of a row is the floor of its rule"
        place = Rect(rect.x, rect.bottom + 15, rect.width, 12)
        yield Label(place, (Words(told, SMALL, tone="quiet"),), "middle")
