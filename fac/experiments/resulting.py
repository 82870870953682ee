"""The numbers of a report: what runs of a setting say together, and what cannot be compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import isfinite, sqrt
from statistics import mean, stdev
from typing import Any

from fac.diagnostics import FacError
from fac.experiments.contrasts import LEVEL, t_quantile
from fac.render.plot.figure import WAYS, split
from fac.render.report import Result, RunFacts, Setting


def with_results(settings: Sequence[Setting], notes: list[str]) -> list[Setting]:
    """The same with their results, and with intervals where there is what computes them."""
    names = dict.fromkeys(name for s in settings for run in s.counted for row in run.rows for name in row)
    shown = [name for name in names if split(name)[0] in WAYS]
    found = []
    for setting in settings:
        results = {name: made for name in shown if (made := _result(setting, name)) is not None}
        found.append(replace(setting, results=results))
    if any(r.sd is not None and r.interval is None for s in found for r in s.results.values()):
        notes.append('95 % intervals need SciPy: `pip install "fac-compiler[stats]"`')
    return found


def _result(setting: Setting, name: str) -> Result | None:
    """A measure at the end of the runs that count, in the order of these."""
    ends = [_end(run, name) for run in setting.counted]
    values = [value for value in ends if value is not None and isfinite(value)]
    if not values:
        return None
    if len(values) == 1:
        return Result(values[0], None, None, 1)
    middle, spread = mean(values), stdev(values)
    try:
        reach = t_quantile(0.5 + LEVEL / 2, len(values) - 1) * spread / sqrt(len(values))
    except FacError:
        return Result(middle, spread, None, len(values))
    return Result(middle, spread, (middle - reach, middle + reach), len(values))


def _end(run: RunFacts, name: str) -> float | None:
    """The last number of a measure, up to the epoch whose state the run offers."""
    rows = (row for row in run.rows if run.offered is None or (row.get("epoch") or 0) <= run.offered)
    return next((row[name] for row in reversed([*rows]) if name in row), None)


def incomparable(settings: Sequence[Setting]) -> list[str]:
    """In what settings differ, so that numbers side by side do not say the same."""
    known = [setting for setting in settings if setting.program is not None]
    specs = [setting.program.spec for setting in known if setting.program is not None]
    told: dict[str, tuple[list[Any], str]] = {
        "`data`": ([spec.data for spec in specs], "their numbers are not of one task"),
        "`loss`": ([spec.minimised for spec in specs], "their losses are not one measure"),
        "`train.batch`": ([spec.train.batch for spec in specs], "equal steps are not equally many samples"),
        "`train.epochs`": ([spec.train.epochs for spec in specs], "their ends are not equally far"),
    }
    found = [
        f"settings differ in {where}: {so}"
        for where, (values, so) in told.items()
        if any(value != values[0] for value in values)
    ]
    rows = [{name for run in s.runs for row in run.rows for name in row} for s in settings if s.runs]
    some = sorted(
        {n for each in rows for n in each if split(n)[0] in WAYS and any(n not in r for r in rows if r)}
    )
    if some:
        found.append(f"not every setting has {', '.join(f'`{name}`' for name in some)}")
    return found
