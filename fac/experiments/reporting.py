"""Reports: what folders of runs hold, put together for one file. Whatever cannot be read is said in it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite, sqrt
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from fac.checks import run_checks
from fac.diagnostics import Diagnostic, FacError, Severity, SpecError
from fac.experiments import outcomes
from fac.experiments.contrasts import cells as contrast_cells
from fac.experiments.contrasts import t_quantile
from fac.experiments.found import find
from fac.experiments.kept import Kept
from fac.experiments.needs import needs_of
from fac.experiments.rows import cells
from fac.opening import SPEC as SPEC_FILE
from fac.opening import content, there
from fac.pipeline import load
from fac.program.lower import lower
from fac.program.program import Program
from fac.render.plot.figure import WAYS, split
from fac.render.report import Book, Result, RunFacts, Setting, Table, render
from fac.training import checkpoint, history
from fac.training.folder import SPEC, STATE
from fac.training.history import History

LOG = logging.getLogger("fac")
MEASURED = 6
"""Settings of which a network is measured."""
BACKEND = "reference"
"""What measures: it needs nothing else, and gives the same numbers everywhere but for rounding."""
ABOUT = {
    "version": "fac",
    "backend": "backend",
    "device": "device",
    "precision": "precision",
    "threads": "threads",
    "samples": "training samples",
    "origin": "started from",
}
"""What checkpoints say of a run that a report shows, by what that is called there."""
LEVEL = 0.95


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
        paths: runs, comparisons that were kept, or folders that hold some.
        title: by default what the specs are called.
        measure: whether networks are measured on their test data, for confusions and samples of high loss.
        backend: which measures.
        watch: hears which network is measured.

    Raises:
        FacError: there is no run at all.
    """
    found = find(paths)
    groups: list[tuple[str, list[_Read]]] = []
    tables, notes = [], found.notes
    for kept in found.comparisons:
        groups += _rows(kept, notes)
        tables += _tables(kept, notes)
    groups += _settings([run for path in found.runs if (run := _read(path, notes))])
    if not groups:
        raise FacError("; ".join(["there is nothing to report", *notes]))
    groups = _unlike_labels(groups)
    settings = [_setting(label, runs, notes) for label, runs in groups]
    notes += _incomparable(settings)
    settings = _with_intervals(settings, notes)
    if measure:
        settings = [_measured(setting, number, backend, watch) for number, setting in enumerate(settings)]
    else:
        settings = [replace(setting, unmeasured="networks were not measured") for setting in settings]
    names = dict.fromkeys(s.program.spec.name for s in settings if s.program is not None)
    title = title or f"Report of {', '.join(names) or 'runs'}"
    book = Book(title, tuple(settings), tuple(notes), tuple(tables))
    folders = {setting.label: tuple(run.name for run in setting.runs) for setting in settings}
    return Report(render(book), folders, book.notes)


@dataclass(frozen=True, slots=True)
class _Read:
    """The folder of a run."""

    history: History
    about: Mapping[str, str]
    """What its checkpoint says; empty where there is none."""
    outcome: str = ""
    """Why it is over, if it did not come to its end."""
    over: bool = False
    """Whether it says itself that it is over."""


def _read(path: Path, notes: list[str], seed: int = 0) -> _Read | None:
    try:
        found = history.read(path, early=True)
    except FacError as error:
        notes.append(f"{error}; it is left out")
        return None
    if found.damaged:
        lines = "line of its log is no record" if found.damaged == 1 else "lines of its log are no records"
        notes.append(f"`{path}`: {found.damaged} {lines}, as where a run was killed, and left out")
    about: Mapping[str, str] = {}
    if there(path / STATE):
        try:
            about = checkpoint.about(path)
        except FacError as error:
            notes.append(str(error))
    else:
        notes.append(f"`{path}` has no `{STATE}`: what it ran on is not known")
    if not found.spec:
        notes.append(f"`{path}`: without a spec that can be read it is no run of any other's setting")
    return _ended(_Read(found, about), seed, notes)


def _ended(run: _Read, seed: int, notes: list[str]) -> _Read:
    """The same with what it says of its end, and with its times, if these lie apart."""
    try:
        ended = outcomes.read(run.history.path, seed)
    except FacError as error:
        notes.append(str(error))
        return run
    if ended is None:
        return run
    whole = replace(run.history, records=ended.history)
    return replace(run, history=whole, outcome="diverged" * ended.diverged, over=True)


def _settings(runs: Sequence[_Read]) -> list[tuple[str, list[_Read]]]:
    """Runs of one spec but for the seed together, called by what tells them apart."""
    groups = history.groups([run.history for run in runs])
    by = {id(run.history): run for run in runs}
    labels = history.labels(groups)
    return [(label, [by[id(each)] for each in group]) for label, group in zip(labels, groups, strict=True)]


def _rows(kept: Kept, notes: list[str]) -> list[tuple[str, list[_Read]]]:
    """The rows of a comparison."""
    found: dict[str, list[_Read]] = {}
    missing = 0
    for row, seed in kept.tasks:
        place = kept.place((row, seed))
        run = _read(place, notes, seed) if there(place / STATE) else None
        missing += run is None
        if run is not None:
            found.setdefault(kept.plan.rows[row].variant.label, []).append(run)
    if missing:
        notes.append(f"`{kept.path}`: {missing} of {len(kept.tasks)} runs have not begun")
    return [*found.items()]


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


def _unlike_labels(groups: list[tuple[str, list[_Read]]]) -> list[tuple[str, list[_Read]]]:
    """Two comparisons may call rows alike."""
    labels = [label for label, _ in groups]
    return [
        (label if labels.count(label) == 1 else f"{label} ({runs[0].history.path.parent})", runs)
        for label, runs in groups
    ]


def _setting(label: str, runs: Sequence[_Read], notes: list[str]) -> Setting:
    first = runs[0].history
    program, findings, trouble = _checked(first.path)
    facts = tuple(_facts(run, program) for run in runs)
    whole = [run for run in facts if run.whole]
    if whole and len(whole) < len(facts):
        notes.append(
            f"`{label}`: {len(facts) - len(whole)} of {len(facts)} runs did not come to their end; results and curves "
            "are of the others"
        )
    elif not whole:
        notes.append(f"`{label}`: no run came to its end; results and curves are of where they stand")
    costs: dict[str, str] = {}
    if program is not None and not any(f.rule.severity is Severity.ERROR for f in findings):
        costs = _costs(program)
    return Setting(label, first.rule, facts, _text(first.path), program, findings, trouble, costs=costs)


def _checked(path: Path) -> tuple[Program | None, tuple[Diagnostic, ...], str]:
    try:
        program = lower(load(str(path / SPEC)))
        return program, tuple(run_checks(program)), ""
    except SpecError as error:
        return None, error.diagnostics, "its spec has errors here; a plug-in may be missing, see `--plugin`"
    except FacError as error:
        return None, (), str(error)


def _text(path: Path) -> str:
    try:
        return content(path / SPEC, SPEC_FILE, within=path).decode(errors="replace")
    except FacError:
        return ""


def _facts(run: _Read, program: Program | None) -> RunFacts:
    rows = tuple(record.flat() for record in run.history.records)
    about = {told: run.about[key] for key, told in ABOUT.items() if key in run.about}
    state, whole = _state(run, program)
    return RunFacts(str(run.history.path), run.about.get("seed", "–"), state, whole, rows, about)


def _state(run: _Read, program: Program | None) -> tuple[str, bool]:
    """How far a run came, and whether it came to its end."""
    records = run.history.records
    if run.outcome:
        return f"{run.outcome} after epoch {records[-1].epoch if records else 0}", False
    if not records:
        return "no epoch yet", False
    last = records[-1]
    if not isfinite(last.train_loss):
        return f"diverged in epoch {last.epoch}", False
    if program is None:
        return f"{last.epoch} epochs; how many were meant is not known", True
    meant = program.spec.train.epochs
    if run.over or program.spec.solve is not None or last.epoch >= meant:
        return "complete", True
    return f"{last.epoch} of {meant} epochs", False


def _costs(program: Program) -> dict[str, str]:
    found = needs_of(program)
    ratio, macs, words = found.backward_ratio, found.backward_macs, found.words
    return {
        "backward multiply-adds": "–" if macs is None else f"{macs:,}",
        "of those of backprop": "–" if ratio is None else f"{ratio:.2f}",
        "feedback words": "–" if words is None else f"{words:,}",
        "weight transport": found.transport,
    }


def _with_intervals(settings: Sequence[Setting], notes: list[str]) -> list[Setting]:
    """The same with their results."""
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
    ends = [next((row[name] for row in reversed(run.rows) if name in row), None) for run in setting.counted]
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


def _incomparable(settings: Sequence[Setting]) -> list[str]:
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


def _measured(setting: Setting, number: int, backend: str, watch: Callable[[str], None]) -> Setting:
    """The same with what the first run that counts does on its test data."""
    if number >= MEASURED:
        return replace(
            setting, unmeasured=f"the first {MEASURED} settings are measured, and this is a later one"
        )
    from fac.experiments.measuring import measured  # NumPy, and a backend

    run = next((run for run in setting.counted if there(Path(run.name) / STATE)), None)
    if run is None:
        return replace(setting, unmeasured=f"no run has a `{STATE}` that could be measured")
    watch(run.name)
    try:
        return replace(setting, measured=measured(Path(run.name), backend))
    except FacError as error:
        return replace(setting, unmeasured=f"not measured: {error}")


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
        found.append(Path(place))
    return found
