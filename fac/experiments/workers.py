"""Several processes that make the trainings of a comparison or a sweep.

Each has one thread, so that one or eight of them end in the same bits. All that counts lies in the folders of the runs:
the parent hands out one at a time and hears how it ended. A process that dies loses what its run has made since its
last epoch, and nothing else.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import connection, get_context, parent_process
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from threading import Thread
from typing import TYPE_CHECKING

from fac import plugins
from fac.experiments.job import Where
from fac.experiments.rows import Run
from fac.experiments.trainer import Trainer, failed
from fac.signals import on_signals
from fac.training.data import python
from fac.training.logs import Listener
from fac.training.loop import StoppedError

if TYPE_CHECKING:
    from fac.experiments.queued import Queue, Work
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
    work: Work | None = None
    """What it is at."""


def make_apart(trainer: Trainer, queue: Queue, label: str, jobs: int) -> None:
    """Make all that is waiting, `jobs` at a time, or as much as there is when somebody interrupts."""
    where = Where(trainer.backend.name, trainer.device, trainer.precision)
    setup = _Setup(where, trainer.probes, trainer.audit, trainer.handed, plugins.paths(), python.allowed())
    with trainer.watch.training(label) as (listener, stop), _Pool(setup, jobs) as pool:
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
        return any(worker.work is not None for worker in self.workers)

    @property
    def room(self) -> bool:
        """Whether one more training may begin."""
        at_work = sum(worker.work is not None for worker in self.workers)
        return at_work < self.jobs and not self.stopping

    def give(self, work: Work) -> None:
        """Have a process make it: one without a training, or a new one."""
        worker = next((worker for worker in self.workers if worker.work is None), None)
        if worker is None:
            worker = _begun(self.setup)
            self.workers.append(worker)
        worker.work = work
        with suppress(OSError):  # it has died, which is heard below
            worker.told.send((work.make, work.seed))

    def stop(self) -> None:
        """Have each process keep the state of its run, and end."""
        if not self.stopping:
            for worker in self.workers:
                worker.process.terminate()
        self.stopping = True

    def heard(self) -> Iterator[tuple[Work, str | Run | None]]:
        """Of trainings what is to be said, and how they ended: None is well, or stopped."""
        ready = connection.wait([worker.said for worker in self.workers], ASKED)
        for worker in [worker for worker in self.workers if worker.said in ready]:
            work = worker.work
            try:
                found = worker.said.recv()
            except (EOFError, OSError):
                worker.process.join()
                self.workers.remove(worker)
                found = (
                    None if self.stopping else Run(0 if work is None else work.seed, None, (), _died(worker))
                )
            if not isinstance(found, str):
                worker.work = None
            if work is not None:
                yield work, found


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
        make, seed = told.recv()
        try:
            trainer = trainer or _trainer(setup)
            with on_signals() as stop:
                make(trainer, listener=_Passed(say), stop=stop)
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
