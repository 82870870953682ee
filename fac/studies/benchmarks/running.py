"""The sweep of a task: settings of each rule on validation data, and the best of each anew, on test data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fac import source
from fac.audit import depth
from fac.diagnostics import FacError
from fac.experiments.executors import workers
from fac.experiments.sweeps.planning import SweepDesign
from fac.experiments.sweeps.sweeping import swept
from fac.pipeline import find_backend, lowered, precision_of
from fac.program.feeds import feeds
from fac.studies.mistakes import asked
from fac.training.data import declared, load
from fac.training.fitting import parted

if TYPE_CHECKING:
    from fac.experiments.job import Where
    from fac.experiments.sweeps.resulting import Sweep
    from fac.experiments.trainer import Watch
    from fac.source import Document
    from fac.studies.benchmarks.model import Benchmark, Task

BASE = "bp"
"""What every rule is held against, beside the arms of the audit."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A task whose data are there."""

    task: Task
    document: Document
    rules: tuple[str, ...]
    samples: dict[str, int]
    """How many there are to train on, for validation and to test on."""

    @property
    def contrasts(self) -> list[str]:
        """The pairs whose difference is wanted: each rule and backpropagation."""
        apart = (BASE, *depth.ARMS)
        return [f"{rule}:{BASE}" for rule in self.rules if rule not in apart] if BASE in self.rules else []

    def design(self) -> SweepDesign:
        """What is searched for. Nothing is pruned, so that all rules have the same number of epochs, too."""
        task = self.task
        return SweepDesign(
            task.over,
            self.rules,
            task.trials,
            prune=False,
            seeds=task.seeds,
            contrasts=self.contrasts if task.seeds > 1 else (),
        )


def ready(benchmark: Benchmark, task: Task, folder: Path, where: Where) -> Ready | FacError:
    """A task before its first training, or why its data are not to be had here.

    Args:
        benchmark: whose task it is.
        task: one of them.
        folder: of the study.
        where: it will run.

    Raises:
        FacError: the spec has errors or no data, or holds none out for validation, or rules are named that are none.
    """
    rules = benchmark.compared(task)
    document = source.override(source.read(str(folder / task.spec)), task.changes)
    program = lowered(document)
    data = declared(program.spec.data, document.name)
    backend = find_backend(where.backend or "reference")
    try:
        found = parted(
            load(data, document.folder, where.precision or precision_of(program, backend)), feeds(program)
        )
    except FacError as error:
        return error
    return Ready(task, document, rules, {name: len(split) for name, split in found.splits.items()})


def contend(ready: Ready, where: Where, *, out: Path, jobs: int | None, watch: Watch | None) -> Sweep:
    """Make what is left of the sweep of a task.

    Args:
        ready: the task.
        where: it runs.
        out: the folder of all sweeps.
        jobs: so many processes of this machine train at a time; None trains in this one.
        watch: see `fac.experiments.sweeps.sweeping.swept`.

    Raises:
        FacError: a rule cannot be trained, or the folder holds another sweep.
    """
    return swept(
        ready.document,
        ready.design(),
        where,
        out=out / ready.task.folder,
        workers=workers(None, jobs),
        watch=watch,
    )


def tasks_of(benchmark: Benchmark, *, short: bool) -> Sequence[Task]:
    """Its tasks.

    Raises:
        FacError: they cannot be made, or two of them have one name.
    """
    found = asked("`tasks` of the study", lambda: list(benchmark.tasks(short)))
    names = [task.folder for task in found]
    if len(set(names)) < len(names):
        raise FacError("two tasks have one name: give each its own")
    return found
