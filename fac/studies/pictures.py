"""Curves of a table as a picture, as `fac plot` draws those of runs."""

from __future__ import annotations

from fac.render.plot import Trial, figure, render
from fac.render.plot.figure import Row
from fac.studies.lab import Measured
from fac.studies.running import Outcome


def drawn(outcome: Outcome) -> bytes | None:
    """An SVG with a panel for each of `Table.curves` and a curve for each row; None where the table names none.

    Raises:
        FacError: no run has a curve of that name.
    """
    if not outcome.table.curves:
        return None
    trials = [
        Trial(row, tuple(_rows(run) for run in runs))
        for row, runs in outcome.results.rows.items()
        if any(run.curves for run in runs)
    ]
    return render(figure(trials, outcome.table.curves), "svg", bare=True)


def _rows(run: Measured) -> tuple[Row, ...]:
    """As a log has them. Without a curve `step` the numbers are of steps 1, 2, ..."""
    length = max(map(len, run.curves.values()), default=0)
    steps = run.curves.get("step", range(1, length + 1))
    lines: list[Row] = [
        {"step": step} | {name: values[i] for name, values in run.curves.items() if i < len(values)}
        for i, step in enumerate(steps)
    ]
    return tuple(lines)
