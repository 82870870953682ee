"""Reports: what folders of runs hold, put together for one file. Whatever cannot be read is said in it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fac import asked
from fac.diagnostics import FacError
from fac.experiments.contrasts import cells as contrast_cells
from fac.experiments.found import find
from fac.experiments.kept import Kept
from fac.experiments.resulting import incomparable, with_results
from fac.experiments.rows import cells
from fac.experiments.settings import LIMITS, Run, read, setting
from fac.experiments.sweeps.reading import read as sweep_of
from fac.opening import there
from fac.render.report import Book, Search, Setting, Table, render
from fac.training import history
from fac.training.folder import STATE

MEASURED = 6
"""Settings of which a network is measured."""
SUFFIXES = (".html", ".htm")
"""How the file is called."""
BACKEND = "reference"
"""What measures: it needs nothing else, and gives the same numbers everywhere but for rounding."""


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Report:
    """A report, and what it is of."""

    html: str
    """The file."""
    settings: Mapping[str, tuple[str, ...]]
    """The folders of the runs of each."""
    notes: tuple[str, ...]
    """What was left out, and what cannot be compared."""

    @property
    def runs(self) -> int:
        """How many it is of."""
        return sum(map(len, self.settings.values()))

    def __repr__(self) -> str:
        """How much it holds."""
        return f"<report of {self.runs} runs of {len(self.settings)} settings, {len(self.html):,} characters>"


def reported(
    paths: Iterable[Path],
    *,
    title: str = "",
    measure: bool = True,
    backend: str = BACKEND,
    watch: Callable[[str], None] = lambda _: None,
) -> Report:
    """The report of runs.

    Args:
        paths: runs, comparisons and sweeps that were kept, or folders that hold some.
        title: by default what the specs are called.
        measure: whether networks are measured on their test data, for confusions and samples of high loss.
        backend: which measures.
        watch: hears which network is measured.

    Raises:
        FacError: there is no run at all.
    """
    found = find(paths)
    groups: list[tuple[str, list[Run]]] = []
    tables, notes = [], found.notes
    for kept in found.comparisons:
        groups += _rows(kept, notes)
        tables += _tables(kept, notes)
    groups += _settings([run for path in found.runs if (run := read(path, notes))])
    searches = [search for path in found.sweeps if (search := _searched(path, notes))]
    if not groups and not searches:
        raise FacError("; ".join(["there is nothing to report", *notes]))
    groups = _unlike_labels(groups)
    settings = [setting(label, runs, notes) for label, runs in groups]
    notes += incomparable(settings, [runs[0].history.likeness for _, runs in groups])
    settings = with_results(settings, notes)
    if measure:
        settings = [_measured(setting, number, backend, watch) for number, setting in enumerate(settings)]
    else:
        settings = [replace(setting, unmeasured="networks were not measured") for setting in settings]
    names = dict.fromkeys(s.program.spec.name for s in settings if s.program is not None)
    title = title or f"Report of {', '.join(names) or 'runs'}"
    book = Book(title, tuple(settings), tuple(dict.fromkeys(notes)), tuple(tables), LIMITS, tuple(searches))
    folders = {setting.label: tuple(run.name for run in setting.runs) for setting in settings}
    return Report(render(book), folders, book.notes)


def _settings(runs: Sequence[Run]) -> list[tuple[str, list[Run]]]:
    """Runs of one spec but for the seed together, called by what tells them apart."""
    groups = history.groups([run.history for run in runs])
    by = {id(run.history): run for run in runs}
    labels = history.labels(groups)
    return [(label, [by[id(each)] for each in group]) for label, group in zip(labels, groups, strict=True)]


def _rows(kept: Kept, notes: list[str]) -> list[tuple[str, list[Run]]]:
    """The rows of a comparison."""
    found: dict[str, list[Run]] = {}
    missing = 0
    for task in kept.tasks:
        place = kept.place(task)
        begun = there(place / STATE)
        missing += not begun
        run = read(place, notes, kept.belongs(task)) if begun else None
        if run is not None:
            found.setdefault(kept.plan.rows[task[0]].variant.label, []).append(run)
    if missing:
        notes.append(f"`{kept.path}`: {missing} of {len(kept.tasks)} runs have not begun")
    return [*found.items()]


def _searched(path: Path, notes: list[str]) -> Search | None:
    """What a sweep says itself."""
    try:
        return sweep_of(path, notes)
    except FacError as error:
        notes.append(str(error))
        return None


def _tables(kept: Kept, notes: list[str]) -> list[Table]:
    """What a comparison says itself."""
    try:
        found = kept.comparison()
    except FacError as error:
        notes.append(str(error))
        return []
    name = f"Comparison {kept.path}"
    made = [Table(name, *cells(found.rows), () if found.contrasts else found.notes)] if found.rows else []
    if found.contrasts:
        title = f"Contrasts of {kept.path}, declared before it was trained"
        made.append(Table(title, *contrast_cells(found.contrasts), found.notes))
    return made


def _unlike_labels(groups: list[tuple[str, list[Run]]]) -> list[tuple[str, list[Run]]]:
    """Two comparisons may call rows alike."""
    labels = [label for label, _ in groups]
    return [
        (label if labels.count(label) == 1 else f"{label} ({runs[0].history.path.parent})", runs)
        for label, runs in groups
    ]


def _measured(setting: Setting, number: int, backend: str, watch: Callable[[str], None]) -> Setting:
    """The same with what the first run that counts does on its test data."""
    if number >= MEASURED:
        return replace(
            setting, unmeasured=f"the first {MEASURED} settings are measured, and this is a later one"
        )
    from fac.experiments.measuring import measured  # NumPy, and a backend

    if not setting.counted:
        return replace(setting, unmeasured="no run has come to the end of an epoch")
    run = next((run for run in setting.counted if there(Path(run.name) / STATE)), None)
    if run is None:
        return replace(setting, unmeasured=f"no run has a `{STATE}` that could be measured")
    watch(run.name)
    try:
        return replace(setting, measured=measured(Path(run.name), backend))
    except FacError as error:
        return replace(setting, unmeasured=f"not measured: {error}")


def require_page(output: str) -> None:
    """Refuse a name that says of the file what it is not.

    Raises:
        FacError: it has another suffix than a page.
    """
    if os.path.splitext(output)[1].lower() not in SUFFIXES:
        known = " or ".join(f"`{suffix}`" for suffix in SUFFIXES)
        raise FacError(f"a report is HTML, and `{output}` does not say so: end the name with {known}")


def of_paths(runs: Any) -> list[Path]:
    """What a caller in Python names: one path, or several, or trainings that were kept.

    Raises:
        FacError: it is something else, or a training that was not kept.
    """
    from fac.experiments.results import Trained

    found = []
    for run in runs if isinstance(runs, list | tuple) else [runs]:
        place = run.out if isinstance(run, Trained) else run
        if place is None:
            raise FacError('a report is of what is kept: `fac.train(…, out="runs/a")`')
        found.append(asked.path(place, "runs", "folders of runs, or trainings that were kept"))
    return found
