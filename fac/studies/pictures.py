"""Curves of a table as a picture, as `fac plot` draws those of runs."""

from __future__ import annotations

from dataclasses import replace

from fac.render.plot import Trial, figure, render
from fac.render.plot.figure import Row
from fac.studies.lab import Measured
from fac.studies.running import Outcome


def drawn(outcome: Outcome) -> bytes | None:
    """An SVG with a panel for each of `Table.curves`, None where the table names none.

    It has a curve for each row over steps, or what `Table.axis` says, or for each that `Row.at` names over what the
    rows differ in.

    Raises:
        FacError: no run has a curve of that name.
    """
    table = outcome.table
    if not table.curves:
        return None
    if table.over:
        found = figure(_points(outcome), table.curves, axis=table.over)
        titles = {column.figure: column.title for column in table.columns if column.scale == 1}
        named = (replace(p, title=titles.get(p.curves[0].name, p.title)) for p in found.panels)
        return render(replace(found, panels=tuple(named)), "svg", bare=True)
    trials = [
        Trial(row, tuple(_rows(run) for run in runs))
        for row, runs in outcome.results.rows.items()
        if any(run.curves for run in runs)
    ]
    return render(figure(trials, table.curves, axis=table.axis), "svg", bare=True)


def _points(outcome: Outcome) -> list[Trial]:
    """A trial for each curve over what the rows differ in, and for each row that is at no place of it."""
    places = [row.at[1] for row in outcome.table.rows if row.at is not None]
    found: dict[str, list[list[Row]]] = {}
    for row in outcome.table.rows:
        label, *at = (row.name, min(places), max(places)) if row.at is None else row.at
        runs = found.setdefault(label, [[] for _ in range(row.seeds)])
        for run, measured in zip(runs, outcome.results.rows[row.name], strict=False):
            run += [{"step": place, **measured.figures} for place in at]
    return [Trial(label, tuple(map(tuple, runs))) for label, runs in found.items()]


def _rows(run: Measured) -> tuple[Row, ...]:
    """As a log has them. Without a curve `step` the numbers are of steps 1, 2, ..."""
    length = max(map(len, run.curves.values()), default=0)
    steps = run.curves.get("step", range(1, length + 1))
    lines: list[Row] = [
        {"step": step} | {name: values[i] for name, values in run.curves.items() if i < len(values)}
        for i, step in enumerate(steps)
    ]
    return tuple(lines)
