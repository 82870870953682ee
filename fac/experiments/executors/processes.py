"""Processes of this machine, which `multiprocessing` spawns."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from multiprocessing import connection, current_process, get_context, parent_process
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from threading import Thread
from typing import TYPE_CHECKING

from fac.build.threads import processors
from fac.diagnostics import FacError
from fac.experiments.executors.pool import ASKED, ENVIRONMENT, GOES_ON, Say, Setup, environment, made
from fac.experiments.rows import Run
from fac.experiments.trainer import Trainer
from fac.training.loop import StoppedError

if TYPE_CHECKING:
    from fac.experiments.queued import Work

UNGUARDED = 87
"""What a process ends with that is begun by importing the program that began it, and so would begin others itself."""


@dataclass(eq=False, slots=True)
class _Worker:
    process: BaseProcess
    told: Connection
    """What it is to do goes in here ..."""
    said: Connection
    """... and what comes of that comes out here."""
    work: Work | None = None
    """What it is at."""


def held(jobs: int | None) -> AbstractContextManager[None]:
    """See `Workers.held`: nothing."""
    return nullcontext()


@contextmanager
def opened(setup: Setup, jobs: int | None, say: Say) -> Iterator[_Pool]:
    """See `Workers.opened`."""
    pool = _Pool(setup, processors() if jobs is None else jobs)
    try:
        yield pool
    finally:
        pool.close()


def require_main() -> None:
    """End a process that `multiprocessing` is still importing the program into: it has come here by that alone.

    It says so by how it ends, and the process that waits for it says it in words.
    """
    if getattr(current_process(), "_inheriting", False):
        raise SystemExit(UNGUARDED)


class _Pool:
    """See `Pool`."""

    def __init__(self, setup: Setup, jobs: int) -> None:
        self.setup, self.jobs = setup, jobs
        self.workers: list[_Worker] = []
        self.stopping = False

    def close(self) -> None:
        """End what there is."""
        for worker in self.workers:
            worker.process.kill()
            worker.process.join()

    @property
    def busy(self) -> bool:
        return any(worker.work is not None for worker in self.workers)

    @property
    def room(self) -> bool:
        at_work = sum(worker.work is not None for worker in self.workers)
        return at_work < self.jobs and not self.stopping

    def give(self, work: Work) -> None:
        worker = next((worker for worker in self.workers if worker.work is None), None)
        if worker is None:
            worker = _begun(self.setup)
            self.workers.append(worker)
        worker.work = work
        with suppress(OSError):  # it has died, which is heard below
            worker.told.send((work.make, work.seed))

    def stop(self) -> None:
        if not self.stopping:
            for worker in self.workers:
                worker.process.terminate()
        self.stopping = True

    def heard(self) -> Iterator[tuple[Work, str | Run | None]]:
        ready = connection.wait([worker.said for worker in self.workers], ASKED)
        for worker in [worker for worker in self.workers if worker.said in ready]:
            work = worker.work
            try:
                found = worker.said.recv()
            except (EOFError, OSError):
                worker.process.join()
                self.workers.remove(worker)
                if worker.process.exitcode == UNGUARDED:
                    raise FacError(
                        "`jobs` begins processes, each of which imports the program that calls, and this one calls "
                        'again as it is imported: put what it does under `if __name__ == "__main__":`'
                    ) from None
                found = (
                    None if self.stopping else Run(0 if work is None else work.seed, None, (), _died(worker))
                )
            if not isinstance(found, str):
                worker.work = None
            if work is not None:
                yield work, found


def _begun(setup: Setup) -> _Worker:
    context = get_context("spawn")
    # two ways of one direction each: one of both would be a socket
    (told, tell), (said, say) = context.Pipe(duplex=False), context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(told, say, setup), daemon=True)
    with environment(ENVIRONMENT), _deaf():
        process.start()
    told.close()
    say.close()
    return _Worker(process, tell, said)


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
    return f"its process ended {how}: {GOES_ON}"


def _work(told: Connection, say: Connection, setup: Setup) -> None:
    """What a process does: one run after the other, until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_watch_parent, daemon=True).start()
    found: list[Trainer] = []

    def trainer() -> Trainer:
        if not found:
            found.append(setup.trainer())
        return found[0]

    while True:
        make, seed = told.recv()
        try:
            say.send(made(trainer, make, seed, say.send))
        except StoppedError:
            return


def _watch_parent() -> None:
    """End with the parent, however that ends: a process of its own would hold folders that nobody waits for."""
    parent = parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os._exit(1)
