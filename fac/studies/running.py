"""A study is run: what is missing is measured, row by row and seed by seed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from fac.diagnostics import FacError
from fac.studies.keeping import Kept
from fac.studies.lab import Lab, Measured
from fac.studies.mistakes import asked
from fac.studies.model import Claim, Results, Row, Study, Table

Told = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """A table with its results."""

    table: Table
    results: Results
    borne_out: tuple[tuple[Claim, bool], ...]


def tables_of(study: Study, *, short: bool) -> Sequence[Table]:
    """Its tables.

    Raises:
        FacError: they cannot be made, or two tables, or two rows of one table, have one name.
    """
    found = asked("`tables` of the study", lambda: list(study.tables(short)))
    _require_unlike("tables", (table.file for table in found))
    for table in found:
        _require_unlike(f"rows of `{table.title}`", (row.name for row in table.rows))
    return found


def run(tables: Sequence[Table], lab: Lab, kept: Kept, told: Told) -> list[Outcome]:
    """Measure what is not kept.

    Args:
        tables: see `tables_of`.
        lab: where; its `stop` is asked before each run, too.
        kept: gets each run as soon as it is there.
        told: hears of each run.

    Raises:
        FacError: a row cannot be measured, or a claim cannot be judged.
        KeyboardInterrupt: somebody asks to end; what was measured is kept. Within a training it is a StoppedError.
    """
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
                    if lab.stop():
                        raise KeyboardInterrupt
                    kept.add(key, _measured(table, row, lab, seed))
                done += 1
                rows[row.name].append(kept.found[key])
                if fresh:
                    told(
                        f"{done}/{todo}  {table.title}: {row.name}, seed {seed}  {_figures(table, rows, row.name)}"
                    )
        results = Results(rows)
        _require_figures(table, results)
        borne_out = [(claim, judged(claim, results)) for claim in table.claims]
        outcomes.append(Outcome(table, results, tuple(borne_out)))
    return outcomes


def _measured(table: Table, row: Row, lab: Lab, seed: int) -> Measured:
    what = f"row `{row.name}` of `{table.title}`, seed {seed},"
    found = asked(what, lambda: row.measure(lab, seed))
    if not isinstance(found, Measured):
        raise FacError(f"{what} gives {type(found).__name__} where a Measured is needed")
    # numbers of NumPy are no JSON
    return asked(
        what,
        lambda: Measured(
            {name: float(value) for name, value in found.figures.items()},
            {name: tuple(map(float, values)) for name, values in found.curves.items()},
            found.diverged,
        ),
    )


def judged(claim: Claim, results: Results) -> bool:
    """Whether it is borne out.

    Raises:
        FacError: it fails.
    """
    return bool(asked(f"the claim `{claim.text}`", lambda: claim.holds(results)))


def _require_figures(table: Table, results: Results) -> None:
    """Refuse a column that would be empty, as one that is misspelt.

    Raises:
        FacError: no run that came to its end has such a figure.
    """
    ended = [run for runs in results.rows.values() for run in runs if not run.diverged]
    known = dict.fromkeys(name for run in ended for name in run.figures)
    for column in table.columns:
        if ended and column.figure not in known:
            close = get_close_matches(column.figure, known, 1)
            meant = (
                f"did you mean `{close[0]}`?" if close else f"there are {', '.join(f'`{n}`' for n in known)}"
            )
            what = f"column `{column.title}` of `{table.title}`"
            raise FacError(f"{what}: no run has a figure `{column.figure}`; {meant}")


def _figures(table: Table, rows: dict[str, list[Measured]], row: str) -> str:
    """Those of the run that was made last."""
    last = Results({row: rows[row][-1:]})
    return ", ".join(f"{column.title} {last.told(row, column)}" for column in table.columns)


def _require_unlike(what: str, names: Iterable[str]) -> None:
    found = list(names)
    if len(set(found)) < len(found):
        raise FacError(f"two {what} have one name: give each its own")
