"""Trainings that are waiting: one after the other here, or several at a time in processes of their own (`workers`)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

from fac.experiments import outcomes
from fac.experiments.trainer import failed
from fac.training.loop import StoppedError

if TYPE_CHECKING:
    from fac.experiments.kept import Kept, Task
    from fac.experiments.rows import Run
    from fac.experiments.trainer import Trainer
    from fac.experiments.variants import Variant
    from fac.training.logs import Listener


class Make(Protocol):
    """Makes a training, and keeps what came of it in a folder. It can be pickled, to go to another process."""

    def __call__(self, trainer: Trainer, *, listener: Listener, stop: Callable[[], bool]) -> None:
        """See `fac.experiments.outcomes.make`."""


@dataclass(frozen=True, slots=True)
class Work:
    """One training."""

    task: tuple[int, int]
    """Its row, from 0, and what tells it from others of that row."""
    seed: int
    label: str
    make: Make


class Queue(Protocol):
    """What is to be done, and hears how it ended."""

    def next(self) -> Work | None:
        """What can begin now; None if that is nothing before something has ended, or nothing at all."""

    def ended(self, work: Work, failure: Run | None) -> None:
        """It is over, was stopped, or failed: then there is a failure."""


class Runs:
    """The runs of a comparison that are not over."""

    def __init__(self, trainer: Trainer, planned: Sequence[Variant], kept: Kept) -> None:
        """All of them, in the order of the table."""
        self.trainer, self.planned, self.kept = trainer, planned, kept
        self.waiting = deque(task for task in kept.tasks if kept.run(task) is None)

    def next(self) -> Work | None:
        """See `Queue`."""
        return self._work(self.waiting.popleft()) if self.waiting else None

    def ended(self, work: Work, failure: Run | None) -> None:
        """See `Queue`."""
        if failure is not None:
            self.kept.failures[work.task] = failure
        run = self.kept.run(work.task)
        if run is not None:  # it is none where it was stopped
            self.trainer.watch.ended(work.task[0] + 1, len(self.planned), work.label, run)

    def _work(self, task: Task) -> Work:
        document = self.planned[task[0]].seeded(task[1], self.trainer.probes)
        make = partial(
            outcomes.make, document=document, path=self.kept.place(task), belongs=self.kept.belongs(task)
        )
        return Work(task, task[1], self.kept.label(task), make)


def make_here(trainer: Trainer, queue: Queue) -> None:
    """All that is waiting, one after the other, or as much as there is when somebody interrupts."""
    try:
        while (work := queue.next()) is not None:
            failure = None
            try:
                with trainer.watch.training(work.label) as (listener, stop):
                    work.make(trainer, listener=listener, stop=stop)
            except StoppedError:
                raise
            except Exception as error:
                failure = failed(work.seed, error)
            queue.ended(work, failure)
    except (StoppedError, KeyboardInterrupt):
        pass  # what there is counts
