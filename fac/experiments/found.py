"""Which runs a path stands for: a run, a comparison that was kept, or a folder that holds some of them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from fac.diagnostics import FacError
from fac.experiments import plan
from fac.experiments.kept import Kept, open_comparison
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
    notes: list[str] = field(default_factory=list)
    """What stands for nothing, and why."""


def find(paths: Iterable[Path]) -> Found:
    """The runs and comparisons of some paths, in the order of the paths, and within one by name."""
    found, seen = Found(), set[str]()
    for path in paths:
        before = len(found.runs) + len(found.comparisons) + len(found.notes)
        for folder in _folders(path, found):
            real = os.path.realpath(folder)
            if real in seen:
                before -= 1  # it is there already, and nothing is wrong
                continue
            seen.add(real)
            if there(folder / plan.FILE):
                try:
                    kept = open_comparison(folder)
                except FacError as error:
                    found.notes.append(f"{error}; its runs are shown by themselves")
                    continue
                found.comparisons.append(kept)
                seen |= {os.path.realpath(kept.place(task)) for task in kept.tasks}
            else:
                found.runs.append(folder)
        if before == len(found.runs) + len(found.comparisons) + len(found.notes):
            found.notes.append(_nothing(path))
    return found


def _folders(path: Path, found: Found) -> Iterator[Path]:
    """The folder of a path and those below that hold a run or a comparison."""
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
            if _holds(inside):
                yield inside
            if depth + 1 < DEEP and (there(inside / plan.FILE) or not _holds(inside)):
                todo.append((inside, depth + 1))


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
    return f"`{path}` holds no run, as `fac train` and `fac compare --out` keep them: it is left out"
