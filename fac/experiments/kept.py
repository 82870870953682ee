"""The folder of a comparison: its plan, a folder for each run, and what comes of them.

plan.json                     what is compared; never changed
runs/01-bp-seed-0/            each run, as `fac train` keeps it, and `outcome.json` once it is over
results.* contrasts.tex notes.tex    what came of all runs that are over; made anew at the end of each call
times.json                    wall-clock times, the only file that differs from one call to the next
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from os import PathLike, listdir
from pathlib import Path

from fac import asked
from fac.diagnostics import FacError
from fac.experiments import ended, made_with, plan
from fac.experiments.comparison import Comparison, assembled
from fac.experiments.forms import Belonging
from fac.experiments.plan import Plan, require_same
from fac.experiments.rows import Run
from fac.opening import there
from fac.training.holding import LOCK, alone_in
from fac.writing import unfinished, write

Task = tuple[int, int]
"""The number of a row, from 0, and a seed."""


@dataclass(frozen=True)
class Kept:
    """The folder of a comparison."""

    path: Path
    plan: Plan
    failures: dict[Task, Run] = field(default_factory=dict)
    """Runs that could not be made in this call, and are tried again in the next."""

    @property
    def tasks(self) -> tuple[Task, ...]:
        """All runs, in the order of the table."""
        return tuple((row, seed) for row in range(len(self.plan.rows)) for seed in self.plan.seeds)

    @cached_property
    def digest(self) -> str:
        """Of its plan."""
        return self.plan.digest

    def belongs(self, task: Task) -> Belonging:
        """What a run has to be."""
        return Belonging(plan=self.digest, row=self.plan.rows[task[0]].variant.label, seed=task[1])

    def place(self, task: Task) -> Path:
        """The folder of a run."""
        return self.path / self.plan.run(*task)

    def label(self, task: Task) -> str:
        """What a run is called."""
        return f"{self.plan.rows[task[0]].variant.label} seed {task[1]}"

    def run(self, task: Task) -> Run | None:
        """A run that is over, or failed in this call; None if it is neither.

        Raises:
            FacError: what lies there is no run, or another one.
        """
        return self.failures.get(task) or ended.read(self.place(task), self.belongs(task))

    def comparison(self) -> Comparison:
        """What came of the runs that are over.

        Raises:
            FacError: what lies in the place of one is no run.
        """
        rows = [
            replace(row, runs=[run for seed in self.plan.seeds if (run := self.run((number, seed)))])
            for number, row in enumerate(self.plan.rows)
        ]
        known = self.plan
        made = (run.versions for row in rows for run in row.runs if run.versions)
        notes = (*known.notes, *made_with.changed(known.versions, made, "runs"))
        return assembled(
            rows,
            known.seeds,
            known.backend,
            known.device,
            known.pairs,
            notes,
            known.budget,
            known.audit,
        )


def open_comparison(path: str | PathLike[str]) -> Kept:
    """A comparison that was kept, to read what came of it.

    Raises:
        FacError: the folder holds none.
    """
    path = asked.path(path, "path", "the folder of a comparison")
    if not there(path / plan.FILE):
        raise FacError(
            f"`{path}` holds no comparison: there is no `{plan.FILE}`, as `fac compare --out` writes it"
        )
    return Kept(path, plan.read(path))


def require_empty(here: Path, what: str) -> None:
    """Refuse to begin among files of others.

    Args:
        here: a folder that is held.
        what: is to begin there.

    Raises:
        FacError: it holds anything else.
    """
    if any(name != LOCK and not unfinished(name) for name in listdir(here)):
        raise FacError(f"`{here}` is not empty and holds no {what}: give a new or empty folder to `--out`")


@contextmanager
def holding(path: Path, meant: Plan) -> Iterator[Kept]:
    """Hold the folder of a comparison alone: a new one, or one that goes on.

    Raises:
        FacError: it holds something else or another comparison, is in use, or cannot be written to.
    """
    with alone_in(path) as held:
        here = held.path
        if there(here / plan.FILE):
            found = plan.read(here)
            require_same(found, meant, here)
        else:
            found = meant
            require_empty(here, "comparison")
            write(here / plan.FILE, meant.text().encode(), held.descriptor)
        kept = Kept(here, found)
        for task in kept.tasks:
            # what was killed as it ended
            if there(kept.place(task) / LOCK):
                with alone_in(kept.place(task)):
                    pass
        yield kept
