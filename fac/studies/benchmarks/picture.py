"""The accuracies of a benchmark as a picture: a panel for each task, a line for each rule, mean and interval."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import ceil
from typing import Any

from fac.audit import depth
from fac.escaping import in_place
from fac.render.graph import svg
from fac.render.graph.pens import Pen
from fac.render.graph.picture import Label, Picture, Rect, Wire, Words
from fac.render.graph.words import shortened, width
from fac.render.plot.axes import Axis, axis

COLUMNS = 3
WIDE, LINE = 200.0, 18.0
"""Of a panel, and from rule to rule."""
ABOVE, BELOW, GAP, EDGE = 24.0, 34.0, 24.0, 8.0
MOST = 200.0
"""Of the names of the rules."""
SIZE, SMALL = 11.0, 9.5
RULE, ARM = Pen("value", 2.0), Pen("other", 2.0)
GRID, FRAME, LEVEL = Pen("grid", 0.7), Pen("edge", 0.8), Pen("other", 1.0, "4 3")


def drawn(found: Mapping[str, Any]) -> bytes | None:
    """An SVG; None where no task has a result.

    Args:
        found: see `entries.read`.
    """
    tasks = [task for task in found["tasks"] if any(row["mean"] is not None for row in task.get("rows", ()))]
    if not tasks:
        return None
    compared = {row["rule"] for task in tasks for row in task["rows"]}
    rules = [rule for rule in found["rules"] if rule in compared]
    aside = min(MOST, max(width(in_place(rule), SIZE) for rule in rules) + 8)
    columns = min(COLUMNS, len(tasks))
    high = ABOVE + LINE * len(rules) + BELOW
    wires: list[Wire] = []
    labels: list[Label] = []
    for number, task in enumerate(tasks):
        left = EDGE + aside + number % columns * (WIDE + GAP)
        top = EDGE + number // columns * high + ABOVE
        panel = _Panel(task, rules, Rect(left, top, WIDE, LINE * len(rules)))
        wires += panel.wires()
        labels += panel.labels()
        if number % columns == 0:
            labels += _names(rules, aside, top)
    title = in_place(found["title"])
    story = in_place("; ".join(f"{task['title']}: {_told(task)}" for task in tasks))
    whole = 3 * EDGE + aside + columns * (WIDE + GAP) - GAP
    rows = ceil(len(tasks) / columns)
    picture = Picture(
        whole,
        2 * EDGE + rows * high,
        title,
        "test accuracies with 95 % intervals",
        story,
        (),
        tuple(wires),
        tuple(labels),
        bare=True,
    )
    return svg.render(picture).encode()


def _names(rules: Sequence[str], aside: float, top: float) -> Iterator[Label]:
    for line, rule in enumerate(rules):
        words = Words(shortened(in_place(rule), aside - 8, SIZE), SIZE)
        yield Label(Rect(EDGE, top + line * LINE, aside - 8, LINE), (words,), "end", in_place(rule))


def _told(task: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{row['rule']} {100 * row['mean']:.1f} %" for row in task["rows"] if row["mean"] is not None
    )


class _Panel:
    """One task in its place."""

    def __init__(self, task: Mapping[str, Any], rules: Sequence[str], rect: Rect) -> None:
        self.rules, self.rect, self.title = rules, rect, in_place(task["title"])
        self.rows = {row["rule"]: row for row in task["rows"] if row["mean"] is not None}
        ends = [100 * end for row in self.rows.values() for end in (row["mean"], *(row["interval"] or ()))]
        self.axis: Axis = axis(ends, (0.0, 100.0)) if min(ends) < max(ends) else Axis(0.0, 100.0)

    def _across(self, share: float) -> float:
        value = 10**self.axis.low if self.axis.log and share <= 0 else 100 * share
        return self.rect.x + min(1.0, max(0.0, self.axis.place(value))) * self.rect.width

    def wires(self) -> Iterator[Wire]:
        """A line for each number below, the best arm from top to bottom, and what each rule came to."""
        rect = self.rect
        for value, _ in self.axis.ticks(5):
            x = self._across(value / 100)
            yield Wire((((x, rect.y), (x, rect.bottom)),), GRID)
        yield Wire((((rect.x, rect.y), (rect.x, rect.bottom), (rect.right, rect.bottom)),), FRAME)
        arms = [self.rows[arm]["mean"] for arm in depth.ARMS if arm in self.rows]
        if arms:
            x = self._across(max(arms))
            yield Wire(
                (((x, rect.y), (x, rect.bottom)),), LEVEL, title="the better of `frozen` and `shallow`"
            )
        for line, rule in enumerate(self.rules):
            if rule in self.rows:
                yield self._row(rule, rect.y + (line + 0.5) * LINE)

    def _row(self, rule: str, y: float) -> Wire:
        row, pen = self.rows[rule], ARM if rule in depth.ARMS else RULE
        reach = () if row["interval"] is None else (tuple((self._across(end), y) for end in row["interval"]),)
        return Wire(reach, pen, dots=((self._across(row["mean"]), y),), title=in_place(rule))

    def labels(self) -> Iterator[Label]:
        """The title, and numbers below."""
        rect = self.rect
        title = shortened(self.title, rect.width, SIZE, bold=True)
        yield Label(Rect(rect.x, rect.y - ABOVE, rect.width, ABOVE - 4), (Words(title, SIZE, bold=True),))
        for value, text in self.axis.ticks(5):
            place = Rect(self._across(value / 100) - 30, rect.bottom + 3, 60, 12)
            yield Label(place, (Words(text, SMALL, tone="quiet"),), "middle")
        place = Rect(rect.x, rect.bottom + 15, rect.width, 12)
        yield Label(place, (Words("test accuracy %", SMALL, tone="quiet"),), "middle")
