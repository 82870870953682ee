"""What every executor is, and the loop that feeds it.

Each process has one thread, so that one or eight of them, here or on other machines, end in the same bits. All that
counts lies in the folders of the runs: this process hands out one training at a time and hears how it ended. A process
that dies loses what its run has made since its last epoch, and nothing else.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from fac import plugins
from fac.experiments.job import Where
from fac.experiments.trainer import Trainer, failed
from fac.signals import on_signals
from fac.training.data import python
from fac.training.logs import Listener
from fac.training.loop import StoppedError

if TYPE_CHECKING:
    from fac.experiments.executors import Workers
    from fac.experiments.queued import Make, Queue, Work
    from fac.experiments.rows import Run
    from fac.training.dataset import Dataset

ASKED = 0.2
"""Seconds after which a pool that nothing comes from is asked whether somebody interrupts."""
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
"""Of every process, from before anything is loaded: libraries read it as they are."""
GOES_ON = "the next call goes on with it"

Say = Callable[[str], None]
"""Hears what a person should know."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What a process knows before its first training."""

    where: Where
    probes: bool
    audit: bool
    dataset: Dataset | None
    plugins: tuple[str, ...]
    code: bool
    """Whether specs may name functions."""
    folder: Path
    """That holds those of the runs, and is held."""

    def trainer(self) -> Trainer:
        """What trains in that process.

        Raises:
            FacError: a plug-in cannot be loaded, or the backend.
        """
        for path in self.plugins:
            plugins.load(path)
        if self.code:
            python.allow()
        return Trainer(self.where, probes=self.probes, audit=self.audit, dataset=self.dataset)


class Pool(Protocol):
    """Processes that are begun as they are needed. What is left of them ends with the pool, and with this process."""

    @property
    def busy(self) -> bool:
        """Whether a training is not over."""

    @property
    def room(self) -> bool:
        """Whether one more may begin."""

    def give(self, work: Work) -> None:
        """Have it made."""

    def stop(self) -> None:
        """Have each process keep the state of its run, and end it."""

    def heard(self) -> Iterator[tuple[Work, str | Run | None]]:
        """Of trainings what is to be said, and how they ended: None is well, or stopped.

        Comes back after `ASKED` seconds if nothing is heard.

        Raises:
            FacError: no training can be made where the processes are.
        """


def make_apart(trainer: Trainer, queue: Queue, many: str, workers: Workers, folder: Path) -> None:
    """Make all that is waiting, or as much as there is when somebody interrupts.

    Args:
        trainer: knows what all have in common.
        queue: what is waiting.
        many: how much that is, in words.
        workers: make it.
        folder: see `Setup`.

    Raises:
        FacError: see `Workers.opened`, and `Pool.heard`.
    """
    where = Where(trainer.backend.name, trainer.device, trainer.precision, trainer.where.disable)
    setup = Setup(
        where, trainer.probes, trainer.audit, trainer.handed, plugins.paths(), python.allowed(), folder
    )
    with (
        trainer.watch.training(f"{many}, {workers}") as (listener, stop),
        workers.opened(setup, listener.said) as pool,
    ):
        while True:
            if stop():
                pool.stop()
            while pool.room and (work := queue.next()) is not None:
                pool.give(work)
            if not pool.busy:
                return
            for ended, heard in pool.heard():
                if isinstance(heard, str):
                    listener.said(heard)
                else:
                    queue.ended(ended, heard)


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """What is begun within has these; whatever is set within ends with it."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)


def made(trainer: Callable[[], Trainer], make: Make, seed: int, say: Say) -> Run | None:
    """Make a training in this process; what it failed with, None if it did not.

    Args:
        trainer: gives what trains.
        make: the training.
        seed: of it.
        say: see `Say`.

    Raises:
        StoppedError: a signal came; its state is kept.
    """
    try:
        with on_signals() as stop:
            make(trainer(), listener=_Passed(say), stop=stop)
    except StoppedError:
        raise
    except Exception as error:
        return failed(seed, error)
    return None


class _Passed(Listener):
    """Passes on what a person should know."""

    def __init__(self, say: Say) -> None:
        self.say = say

    def stopped(self, text: str) -> None:
        """The line of the run says it."""

    def said(self, text: str) -> None:
        self.say(text)
