"""Plots: what runs, comparisons and the best of sweeps have logged, as curves with seeds for bands."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fac.diagnostics import FacError
from fac.experiments.ended import told
from fac.experiments.found import comparison_of
from fac.experiments.kept import Kept, open_comparison
from fac.opening import there
from fac.render.plot import Trial
from fac.training import history
from fac.training.folder import METRICS
from fac.training.history import History


@dataclass(frozen=True, slots=True)
class Plotted:
    """The curves of some folders."""

    trials: tuple[Trial, ...]
    runs: int
    """How many they are of."""
    notes: tuple[str, ...]
    """What was left out, and what is wrong with runs."""


def plotted(paths: Iterable[Path], *, arms: bool = False, labels: Sequence[str] = ()) -> Plotted:
    """The settings of folders, each with its runs.

    Args:
        paths: of runs, of comparisons, whose rows are settings, and of sweeps, whose best are such rows.
        arms: whether arms that an audit has added to a comparison are drawn, too.
        labels: what the settings are called, in their order; by default by their rows, or by what tells them apart.

    Raises:
        FacError: a path is none of these, no run has come so far, or labels are fewer or more than settings.
    """
    notes: list[str] = []
    groups: list[tuple[str, str, Path, list[History]]] = []
    alone: list[History] = []
    for path in {os.path.realpath(path): path for path in reversed([*paths])}.values():
        comparison = comparison_of(path)
        if comparison is None:
            alone.insert(0, history.read(path))
        else:
            groups[:0] = _rows(open_comparison(comparison), notes, arms=arms)
    together = history.groups(alone)
    groups += [
        (label, group[0].rule, group[0].path, group)
        for label, group in zip(history.labels(together), together, strict=True)
    ]
    if not groups:
        raise FacError("; ".join(["there is nothing to draw", *notes]))
    read = [run for *_, group in groups for run in group]
    notes += [line for run in read for line in _about(run, several=len(read) > 1)]
    called = [label for label, *_ in groups]
    names = [
        label if called.count(label) == 1 else f"{label} ({place.parent.parent})"
        for label, _, place, _ in groups
    ]
    if labels:
        names = _named(labels, names)
    trials = tuple(
        Trial(name, tuple(tuple(record.flat() for record in run.records) for run in group), rule)
        for name, (_, rule, _, group) in zip(names, groups, strict=True)
    )
    return Plotted(trials, len(read), tuple(notes))


def _rows(kept: Kept, notes: list[str], *, arms: bool) -> list[tuple[str, str, Path, list[History]]]:
    """The rows of a comparison that have begun."""
    found: dict[int, list[History]] = {}
    left = [row.variant.label for row in kept.plan.rows if row.arm and not arms]
    missing = 0
    for row, seed in kept.tasks:
        if kept.plan.rows[row].arm and not arms:
            continue
        place = kept.place((row, seed))
        if there(place / METRICS):
            found.setdefault(row, []).append(history.read(place))
        else:
            missing += 1
    if left:
        notes.append(
            f"`{kept.path}`: {', '.join(f'`{label}`' for label in left)}, which its audit has added, "
            f"{'are' if len(left) > 1 else 'is'} left out: `--arms` draws them"
        )
    if missing:
        notes.append(f"`{kept.path}`: {missing} of {len(kept.tasks)} runs have not begun")
    variants = {row: kept.plan.rows[row].variant for row in found}
    return [(variants[row].label, variants[row].rule, group[0].path, group) for row, group in found.items()]


def _about(run: History, *, several: bool) -> list[str]:
    said = []
    if run.damaged:
        what = (
            "line of its log is no record and is"
            if run.damaged == 1
            else "lines of its log are no records and are"
        )
        said.append(f"`{run.path}`: {run.damaged} {what} left out")
    if not run.spec and several:
        said.append(f"`{run.path}`: without a spec that can be read it is no run of any other's setting")
    return said + [f"`{run.path}`: {line}" for line in told(run.path)]


def _named(labels: Sequence[str], names: Sequence[str]) -> list[str]:
    known = ", ".join(f"`{name}`" for name in names)
    if len(labels) != len(names):
        raise FacError(
            f"{len(labels)} label{'s' * (len(labels) != 1)} for {len(names)} setting{'s' * (len(names) != 1)}: name "
            f"each, in the order {known}"
        )
    if len({*labels}) < len(labels) or not all(label.strip() for label in labels):
        raise FacError(f"labels tell settings apart: give each of {known} one of its own")
    return [*labels]
