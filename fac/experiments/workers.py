"""Several processes that make the runs of a comparison.

Each has one thread, so that one or eight of them end in the same bits. All that counts lies in the folders of the runs:
the parent hands out one run at a time and hears how it ended. A process that dies loses what its run has made since its
last epoch, and nothing else.
"""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import connection, get_context, parent_process
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from threading import Thread
from typing import TYPE_CHECKING

from fac import plugins
from fac.experiments import outcomes
from fac.experiments.job import Where
from fac.experiments.rows import Run
from fac.experiments.trainer import Trainer, failed
from fac.signals import on_signals
from fac.training.data import python
from fac.training.logs import Listener
from fac.training.loop import StoppedError

if TYPE_CHECKING:
    from fac.experiments.kept import Kept, Task
    from fac.experiments.variants import Variant
    from fac.training.dataset import Dataset

ASKED = 0.2
"""Seconds after which the parent looks whether somebody interrupts."""


@dataclass(frozen=True, slots=True)
class _Setup:
    """What a process knows before its first run."""

    where: Where
    probes: bool
    audit: bool
    dataset: Dataset | None
    plugins: tuple[str, ...]
    code: bool
    """Whether specs may name functions."""


@dataclass(eq=False, slots=True)
class _Worker:
    process: BaseProcess
    told: Connection
    """What it is to do goes in here ..."""
    said: Connection
    """... and what comes of that comes out here."""
    task: Task | None = None
    """What it is at."""


def make_apart(trainer: Trainer, planned: Sequence[Variant], kept: Kept, jobs: int) -> None:
    """Make all runs that are not over, `jobs` at a time, or as many as there are when somebody interrupts."""
    waiting = deque(task for task in kept.tasks if kept.run(task) is None)
    if not waiting:
        return
    where = Where(trainer.backend.name, trainer.device, trainer.precision)
    setup = _Setup(where, trainer.probes, trainer.audit, trainer.handed, plugins.paths(), python.allowed())
    label = f"{len(waiting)} trainings, {jobs} at a time"
    with trainer.watch.training(label) as (listener, stop), _Pool(setup, jobs) as pool:
        while waiting or pool.busy:
            if stop():
                waiting.clear()
                pool.stop()
            while waiting and (worker := pool.free()):
                task = worker.task = waiting.popleft()
                document = planned[task[0]].seeded(task[1], trainer.probes)
                with suppress(OSError):  # it has died, which is heard below
                    worker.told.send((document, kept.place(task), task[1]))
            for task, heard in pool.heard():
                if isinstance(heard, str):
                    listener.said(heard)
                    continue
                if heard is not None:
                    kept.failures[task] = heard
                run = kept.run(task)
                if run is not None:  # it is none where it was stopped
                    trainer.watch.ended(task[0] + 1, len(planned), kept.label(task), run)


class _Pool:
    """Processes that are begun as they are needed, and none of which outlives this one."""

    def __init__(self, setup: _Setup, jobs: int) -> None:
        self.setup, self.jobs = setup, jobs
        self.workers: list[_Worker] = []
        self.stopping = False

    def __enter__(self) -> _Pool:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers:
            worker.process.kill()
            worker.process.join()

    @property
    def busy(self) -> bool:
        return any(worker.task is not None for worker in self.workers)

    def free(self) -> _Worker | None:
        """A process without a run, if there may be one more."""
        found = next((worker for worker in self.workers if worker.task is None), None)
        if found is None and len(self.workers) < self.jobs:
            found = _begun(self.setup)
            self.workers.append(found)
        return found

    def stop(self) -> None:
        """Have each process keep the state of its run, and end."""
        if not self.stopping:
            for worker in self.workers:
                worker.process.terminate()
        self.stopping = True

    def heard(self) -> Iterator[tuple[Task, str | Run | None]]:
        """Of runs what is to be said, and how they ended: None is well, or stopped."""
        ready = connection.wait([worker.said for worker in self.workers], ASKED)
        for worker in [worker for worker in self.workers if worker.said in ready]:
            task = worker.task
            try:
                found = worker.said.recv()
            except (EOFError, OSError):
                worker.process.join()
                self.workers.remove(worker)
                found = (
                    None if self.stopping else Run(0 if task is None else task[1], None, (), _died(worker))
                )
            if not isinstance(found, str):
                worker.task = None
            if task is not None:
                yield task, found


def _begun(setup: _Setup) -> _Worker:
    context = get_context("spawn")
    # two ways of one direction each: one of both would be a socket
    (told, tell), (said, say) = context.Pipe(duplex=False), context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(told, say, setup), daemon=True)
    with _one_thread(), _deaf():
        process.start()
    told.close()
    say.close()
    return _Worker(process, tell, said)


@contextmanager
def _one_thread() -> Iterator[None]:
    """What is begun within has one: libraries read it as they are loaded."""
    name = "OMP_NUM_THREADS"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


@contextmanager
def _deaf() -> Iterator[None]:
    """What is begun within hears no Ctrl-C: the parent does, and tells it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _died(worker: _Worker) -> str:
    status = worker.process.exitcode
    how = f"by signal {-status}" if status is not None and status < 0 else f"with status {status}"
    return f"its process ended {how}: the next call goes on with it"


def _work(told: Connection, say: Connection, setup: _Setup) -> None:
    """What a process does: one run after the other, until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_watch_parent, daemon=True).start()
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    trainer: Trainer | None = None
    while True:
        document, path, seed = told.recv()
        try:
            trainer = trainer or _trainer(setup)
            with on_signals() as stop:
                outcomes.make(trainer, document, path, _Passed(say), stop)
            say.send(None)
        except StoppedError:
            return
        except Exception as error:
            say.send(failed(seed, error))


def _trainer(setup: _Setup) -> Trainer:
    for path in setup.plugins:
        plugins.load(path)
    if setup.code:
        python.allow()
    return Trainer(setup.where, probes=setup.probes, audit=setup.audit, dataset=setup.dataset)


class _Passed(Listener):
    """Passes on what a person should know."""

    def __init__(self, pipe: Connection) -> None:
        self.pipe = pipe

    def said(self, text: str) -> None:
        self.pipe.send(text)


def _watch_parent() -> None:
    """End with the parent, however that ends: a process of its own would hold folders that nobody waits for."""
    parent = parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os._exit(1)
