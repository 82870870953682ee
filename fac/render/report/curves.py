"""Curves over steps, a panel for each name, what is about the same thing together; and their numbers as tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from fac.diagnostics import FacError
from fac.escaping import html as text
from fac.render.graph import svg
from fac.render.plot.figure import ALL, Figure, Panel, drawn, logged, split
from fac.render.plot.layout import laid_out, merged
from fac.render.plot.sheet import Sheet
from fac.render.plot.thinning import MOST
from fac.render.plot.topics import TOPICS, topic
from fac.render.report import parts
from fac.render.report.facts import Book

TITLES = {
    "loss": "Loss",
    "accuracy": "Accuracy",
    "alignment": "Alignment with the true gradient",
    "rank": "Effective rank",
    "energy": "Captured energy",
    "other": "Other measurements",
}
"""Without times, which are in a table."""
ASIDE = ("lr",)
PANELS = 24
"""Of one topic: more are left to `fac plot`."""
SHEET = Sheet(width=340.0, size=12.0)
NAMED = 3
"""Names in the caption of a panel."""
STEPS, FEWER = 9, 3
"""Lines of the table of a panel, of few curves and of many."""
MANY = 12
ROUNDING = 1e-6
"""Of a mean: what runs in float32 spread by rounding alone."""
POINTS = 4000
"""Of all curves of a panel, of which each has as many as others, but no less than 50."""


def section(name: str, title: str, book: Book) -> str:
    """All topics of which there is something."""
    trials = book.trials
    if not trials:
        return ""
    names = [name for name in logged(trials) if name not in ASIDE]
    several = len(trials) > 1
    key = parts.legend((book.looks[trial.label], trial.label) for trial in trials) if several else ""
    told = ["a line is the mean over the runs of a setting, its band one standard deviation on either side"]
    inside = [
        _topic(about, [each for each in names if topic(split(each)[1]) == about], book, several=several)
        for about in TOPICS
        if about in TITLES
    ]
    return parts.section(
        name, title, parts.notes(told if any(len(t.runs) > 1 for t in trials) else ()), key, *inside
    )


def _topic(about: str, names: Sequence[str], book: Book, *, several: bool) -> str:
    # what all layers do together comes first
    names = sorted(names, key=lambda name: split(name)[0] != ALL)
    kept, notes = names, []
    if several and len(names) > PANELS:
        kept = [names[i * len(names) // PANELS] for i in range(PANELS)]
        notes.append(
            f"{PANELS} of {len(names)} curves are drawn: `fac plot --what {about}` draws all of them"
        )
    try:
        found = drawn(book.trials, kept, most=min(MOST, max(50, POINTS // len(book.trials))))
    except FacError:
        return ""
    figures = "".join(_figure(panel, found) for panel in found.panels)
    key = "" if several else parts.legend(merged(found.legend))
    title = f"<h3>{text(TITLES[about])}</h3>"
    return f'{title}{key}<div class="panels">{figures}</div>{parts.notes([*notes, *found.notes])}'


def _figure(panel: Panel, whole: Figure) -> str:
    """One panel as a picture of its own, which is as wide as there is room, and its numbers."""
    alone = replace(whole, title=panel.title, subtitle="", panels=(panel,), legend=(), notes=())
    picture = svg.render(laid_out(alone, bare=True, sheet=SHEET), inline=True)
    names = list(dict.fromkeys(curve.name for curve in panel.curves))
    shown = ", ".join(f"<code>{text(name)}</code>" for name in names[:NAMED]) + " …" * (len(names) > NAMED)
    words = {split(name)[2] for name in names} - {panel.title}
    told = f"{text(words.pop())}: " if len(words) == 1 else ""
    caption = f"<figcaption>{told}{shown} over {text(whole.axis)}s</figcaption>"
    numbers = parts.opens("numbers", _numbers(panel), screen=True)
    return f"<figure>{picture}{caption}{numbers}</figure>"


def _numbers(panel: Panel) -> str:
    """Some of the points that are drawn, the first and the last among them."""
    tables = [{step: (mean, high - mean) for step, mean, _, high in curve.points} for curve in panel.curves]
    steps = sorted({step for table in tables for step in table})
    last = max(len(steps) - 1, 1)
    most = STEPS if len(tables) <= MANY else FEWER
    picked = dict.fromkeys(steps[i * last // (most - 1)] for i in range(most)) if len(steps) > most else steps
    rows = ((f"{step:g}", *(_value(table.get(step)) for table in tables)) for step in picked)
    return parts.table(_about(picked, steps), ("step", *(curve.label for curve in panel.curves)), rows)


def _about(picked: Iterable[float], steps: Sequence[float]) -> str:
    few = len(list(picked))
    return "all points" if few == len(steps) else f"{few} of {len(steps):,} points"


def _value(found: tuple[float, float] | None) -> str:
    if found is None:
        return "–"
    mean, spread = found
    if spread == 0:
        return parts.number(mean)
    return f"{parts.number(mean)} ± {spread if spread > ROUNDING * abs(mean) else 0:.2g}"
