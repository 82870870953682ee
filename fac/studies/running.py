"""A study is run: what is missing is measured, row by row and seed by seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fac.diagnostics import FacError
from fac.studies.keeping import Kept
from fac.studies.lab import Lab, Measured
from fac.studies.model import Claim, Results, Table

Told = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """A table with its results."""

    table: Table
    results: Results
    borne_out: tuple[tuple[Claim, bool], ...]


def run(tables: Sequence[Table], lab: Lab, kept: Kept, told: Told) -> list[Outcome]:
    """Measure what is not kept.

    Args:
        tables: of the study.
        lab: where.
        kept: gets each run as soon as it is there.
        told: hears of each run.

    Raises:
        FacError: two tables, or two rows of one table, have one name, or a row cannot be measured.
        StoppedError: somebody interrupts; what was measured is kept.
    """
    for named, names in (
        ("tables", [t.title for t in tables]),
        *((f"rows of `{t.title}`", [row.name for row in t.rows]) for t in tables),
    ):
        if len(set(names)) < len(names):
            raise FacError(f"two {named} have one name: give each its own")
    todo = sum(row.seeds for table in tables for row in table.rows)
    done, outcomes = 0, []
    for table in tables:
        rows: dict[str, list[Measured]] = {}
        for row in table.rows:
            rows[row.name] = []
            for seed in range(row.seeds):
                key = (table.title, row.name, seed)
                fresh = key not in kept.found
                if fresh:
                    kept.add(key, row.measure(lab, seed))
                done += 1
                rows[row.name].append(kept.found[key])
                if fresh:
                    told(
                        f"{done}/{todo}  {table.title}: {row.name}, seed {seed}  {_figures(table, rows, row.name)}"
                    )
        results = Results(rows)
        outcomes.append(Outcome(table, results, tuple((c, c.holds(results)) for c in table.claims)))
    return outcomes


def _figures(table: Table, rows: dict[str, list[Measured]], row: str) -> str:
    """Those of the run that was made last."""
    last = Results({row: rows[row][-1:]})
    return ", ".join(f"{column.title} {last.told(row, column)}" for column in table.columns)
