"""What makes several trainings at a time: an executor is a module here that opens a pool of processes (`pool.Pool`)."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from fac import asked

if TYPE_CHECKING:
    from fac.experiments.executors.pool import Pool, Say, Setup

EXECUTORS = {
    "processes": "fac.experiments.executors.processes",
    "ray": "fac.experiments.executors.ray",
}
"""By name the module with functions `held(jobs)` and `opened(setup, jobs, say)`."""


@dataclass(frozen=True, slots=True)
class Workers:
    """Processes of one thread each, that make trainings in the place of this one."""

    executor: str = "processes"
    jobs: int | None = None
    """So many train at a time; None is one for each CPU that the executor finds."""

    def __post_init__(self) -> None:
        """Raise FacError for what is of another kind, as Python may hand over."""
        if self.executor not in EXECUTORS:
            raise asked.wrong("executor", self.executor, " or ".join(f"`{name}`" for name in EXECUTORS))
        if self.jobs is not None and (type(self.jobs) is not int or self.jobs < 1):
            raise asked.wrong("jobs", self.jobs, "a number of processes, such as 2")

    def __str__(self) -> str:
        """How many at a time, and of whom, in words."""
        many = "one for each CPU" if self.jobs is None else f"{self.jobs} at a time"
        return many if self.executor == "processes" else f"{many}, by {self.executor}"

    def held(self) -> AbstractContextManager[None]:
        """What several pools share that are opened within; each begins what it needs where nobody does so before.

        Raises:
            FacError: what it needs is not installed, or not there.
        """
        found: AbstractContextManager[None] = import_module(EXECUTORS[self.executor]).held(self.jobs)
        return found

    def opened(self, setup: Setup, say: Say) -> AbstractContextManager[Pool]:
        """The pool.

        Raises:
            FacError: what it needs is not installed, or not there.
        """
        found: AbstractContextManager[Pool] = import_module(EXECUTORS[self.executor]).opened(
            setup, self.jobs, say
        )
        return found


def workers(executor: str | None, jobs: int | None) -> Workers | None:
    """Those that somebody asks for by name, by number or by both; None where it is by neither.

    Raises:
        FacError: there is no such executor, or no such number.
    """
    if executor is None and jobs is None:
        return None
    return Workers("processes" if executor is None else executor, jobs)
