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
from fac.spec.data import Data, places
from fac.spec.model import ModelSpec
from fac.training.likeness import Likeness


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
    low, high = middle - reach, middle + reach
    if name.endswith("accuracy"):  # a share
        low, high = max(low, 0.0), min(high, 1.0)
    return Result(middle, spread, (low, high), len(values))


def _end(run: RunFacts, name: str) -> float | None:
    """The last number of a measure, up to the epoch whose state the run offers."""
    rows = (row for row in run.rows if run.offered is None or (row.get("epoch") or 0) <= run.offered)
    return next((row[name] for row in reversed([*rows]) if name in row), None)


def incomparable(settings: Sequence[Setting], likeness: Sequence[Likeness]) -> list[str]:
    """In what settings differ, so that numbers side by side do not say the same.

    Args:
        settings: of a report.
        likeness: of each setting what its first run says of its data and of its start.
    """
    known = [(s.program.spec, of) for s, of in zip(settings, likeness, strict=True) if s.program is not None]
    specs = [spec for spec, _ in known]
    told: dict[str, tuple[list[Any], str]] = {
        "`data`": ([_one_data(known[0], each) for each in known], "their numbers are not of one task"),
        "`loss`": ([spec.minimised for spec in specs], "their losses are not one measure"),
        "`train.batch`": ([spec.train.batch for spec in specs], "equal steps are not equally many samples"),
        "`train.epochs`": ([spec.train.epochs for spec in specs], "their ends are not equally far"),
    }
    found = [
        f"settings differ in {where}: {so}"
        for where, (values, so) in told.items()
        if any(value != values[0] for value in values)
    ]
    if not all(of.one_start(likeness[0]) for of in likeness):
        found.append("settings differ in what they began with: equal steps are not equally much training")
    rows = [{name for run in s.runs for row in run.rows for name in row} for s in settings if s.runs]
    some = sorted(
        {n for each in rows for n in each if split(n)[0] in WAYS and any(n not in r for r in rows if r)}
    )
    if some:
        found.append(f"not every setting has {', '.join(f'`{name}`' for name in some)}")
    return found


Known = tuple[ModelSpec, Likeness]


def _one_data(one: Known, other: Known) -> bool:
    """Whether both are of the same samples, wherever these lie."""
    (spec, of), (another, of_another) = one, other
    read_alike = spec.input == another.input and spec.minimised == another.minimised
    return _placeless(spec) == _placeless(another) and of.one_data(of_another, read_alike=read_alike)


def _placeless(spec: ModelSpec) -> Data | None:
    data = spec.data
    return None if data is None else data.model_copy(update=dict.fromkeys(places(type(data))))
