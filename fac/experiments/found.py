"""Which runs a path stands for: a run, a comparison or a sweep that was kept, or a folder that holds some of them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from fac.diagnostics import FacError
from fac.experiments import plan
from fac.experiments.kept import Kept, open_comparison
from fac.experiments.sweeps import planning
from fac.experiments.sweeps.resulting import BEST, TRIED
from fac.opening import there
from fac.training.folder import METRICS, STATE

DEEP = 4
"""Levels below a folder that is named at which runs are looked for."""
MOST = 20_000
"""Folders that are looked at."""


@dataclass(slots=True)
class Found:
    """What some paths stand for."""

    runs: list[Path] = field(default_factory=list)
    """Each once, those of comparisons not among them."""
    comparisons: list[Kept] = field(default_factory=list)
    sweeps: list[Path] = field(default_factory=list)
    """The folders of sweeps, of which the best are among the comparisons, and trials among nothing."""
    notes: list[str] = field(default_factory=list)
    """What stands for nothing, and why."""

    @property
    def counted(self) -> int:
        """How much has been found or said."""
        return len(self.runs) + len(self.comparisons) + len(self.sweeps) + len(self.notes)


def find(paths: Iterable[Path]) -> Found:
    """The runs and comparisons of some paths, in the order of the paths, and within one by name."""
    found, seen = Found(), set[str]()
    for path in paths:
        before = found.counted
        for folder in _folders(path, found):
            real = os.path.realpath(folder)
            if real in seen:
                before -= 1  # it is there already, and nothing is wrong
                continue
            seen.add(real)
            if _is_sweep(folder):
                found.sweeps.append(folder)
            elif there(folder / plan.FILE):
                try:
                    kept = open_comparison(folder)
                except FacError as error:
                    found.notes.append(f"{error}; its runs are shown by themselves")
                    continue
                found.comparisons.append(kept)
                seen |= {os.path.realpath(kept.place(task)) for task in kept.tasks}
            else:
                found.runs.append(folder)
        if before == found.counted:
            found.notes.append(_nothing(path))
    trials = [folder for folder in found.runs if _is_trial(folder)]
    if trials:
        found.notes.append(
            f"{_few(trials)}: trials of a sweep, of which one is chosen by validation data; what they say of test data "
            "is no result: name the folder of the sweep"
        )
    return found


def comparison_of(path: Path) -> Path | None:
    """The folder of the comparison that a path is, or that a sweep has made of its best; None if it is neither.

    Raises:
        FacError: a sweep has not compared its best yet.
    """
    if not _is_sweep(path):
        return path if there(path / plan.FILE) else None
    if not there(path / BEST / plan.FILE):
        raise FacError(
            f"`{path}` is a sweep whose best settings are not compared yet: the same call of `fac sweep` goes on, and "
            "`fac report` shows its trials"
        )
    return path / BEST


def _is_trial(folder: Path) -> bool:
    above = Path(os.path.realpath(folder)).parents
    return len(above) > 2 and above[1].name == TRIED and _is_sweep(above[2])


def _few(folders: list[Path], most: int = 3) -> str:
    shown = ", ".join(f"`{folder}`" for folder in folders[:most])
    return f"{shown} and {len(folders) - most} others" if len(folders) > most else shown


def _is_sweep(folder: Path) -> bool:
    return there(folder / planning.FILE)


def _folders(path: Path, found: Found) -> Iterator[Path]:
    """The folder of a path and those below that hold a run, a comparison or a sweep."""
    if _is_sweep(path):
        yield from _of_sweep(path)
        return
    if _holds(path):
        yield path
        if not there(path / plan.FILE):
            return
    looked, todo = 0, [(path, 0)]
    while todo:
        folder, depth = todo.pop(0)
        looked += 1
        if looked > MOST:
            found.notes.append(
                f"`{path}` holds more than {MOST:,} folders: name those of runs; the rest is left out"
            )
            return
        for inside in _below(folder):
            if _is_sweep(inside):
                yield from _of_sweep(inside)
                continue
            if _holds(inside):
                yield inside
            if depth + 1 < DEEP and (there(inside / plan.FILE) or not _holds(inside)):
                todo.append((inside, depth + 1))


def _of_sweep(folder: Path) -> Iterator[Path]:
    """It and the comparison of the best: the only place where a sweep reads test data off."""
    yield folder
    if there(folder / BEST / plan.FILE):
        yield folder / BEST


def _below(folder: Path) -> list[Path]:
    """Folders in a folder, by their names and the numbers in these. Links are not followed."""
    try:
        with os.scandir(folder) as entries:
            names = [
                e.name for e in entries if not e.name.startswith(".") and e.is_dir(follow_symlinks=False)
            ]
    except OSError:
        return []
    return [folder / name for name in sorted(names, key=_natural)]


def _natural(name: str) -> tuple[list[tuple[int, str]], str]:
    parts = re.split(r"([0-9]+)", name)
    return [(int(part), "") if i % 2 else (0, part) for i, part in enumerate(parts)], name


def _holds(folder: Path) -> bool:
    return any(there(folder / name) for name in (METRICS, STATE, plan.FILE))


def _nothing(path: Path) -> str:
    if not there(path):
        return f"`{path}` does not exist"
    if not os.path.isdir(path):
        return f"`{path}` is a file, and no folder of a run: it is left out"
    return f"`{path}` holds no run, as `fac train`, `fac compare --out` and `fac sweep` keep them: it is left out"
