"""A listener that passes on what it hears to loggers: these may fail, and the training goes on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from math import isfinite
from typing import Any

from fac import plugins
from fac.diagnostics import FacError
from fac.plugins import told
from fac.program.lower import kind_of
from fac.spec.loggers import Logger, logger_of
from fac.training.loggers.kind import About, Log
from fac.training.logs import EpochRecord, Listener, Plan, Progress, StepRecord

STEPS = "steps/"
"""In front of figures of single steps, of which some have the names of those of epochs."""


def named(names: Iterable[str]) -> tuple[Logger, ...]:
    """Loggers by their names alone, as on the command line.

    Raises:
        FacError: there is none of that name.
    """
    known = [kind.name for kind in plugins.kinds("fac.loggers")]
    for name in names:
        if name not in known:
            there = ", ".join(f"`{each}`" for each in known)
            raise FacError(f"no logger is called `{name}`; there are {there}")
    return tuple(logger_of(name) for name in names)


@contextmanager
def telling(listener: Listener, loggers: Iterable[Logger], about: About) -> Iterator[Listener]:
    """A listener that tells these loggers, too, which are closed in the end.

    Raises:
        FacError: one of them cannot be opened.
    """
    opened: dict[str, Log] = {}
    telling = Telling(listener, opened)
    try:
        for logger in loggers:
            kind: Any = kind_of("fac.loggers", logger)
            try:
                opened[kind.name] = kind.open(logger, about)
            except FacError:
                raise
            except Exception as error:  # of a library that is not ours, anything
                raise FacError(f"the logger `{kind.name}` cannot be opened: {told(error)}") from error
        yield telling if opened else listener
    finally:
        telling.close()


class Telling(Listener):
    """Tells another listener first, then loggers. One that fails is told once, and not asked again."""

    def __init__(self, listener: Listener, logs: dict[str, Log]) -> None:
        """`logs` are open, by the names of their kinds; those that fail are taken out."""
        self.listener, self.logs = listener, logs

    def began(self, plan: Plan) -> None:
        self.listener.began(plan)

    def started(self, record: EpochRecord) -> None:
        self.listener.started(record)
        self._tell(record.step, record.flat())

    def noted(self, record: StepRecord) -> None:
        self.listener.noted(record)
        self._tell(record.step, {STEPS + name: value for name, value in record.flat().items()})

    def moved(self, progress: Progress) -> None:
        self.listener.moved(progress)

    def ended(self, record: EpochRecord) -> None:
        self.listener.ended(record)
        self._tell(record.step, record.flat())

    def stopped(self, text: str) -> None:
        self.listener.stopped(text)

    def said(self, text: str) -> None:
        self.listener.said(text)

    def close(self) -> None:
        """Close all that are open."""
        for name in list(self.logs):
            self._try(name, self.logs[name].close)
        self.logs.clear()

    def _tell(self, step: int, values: Mapping[str, Any]) -> None:
        figures = {
            name: float(value)
            for name, value in values.items()
            if value is not None and isfinite(value) and name.removeprefix(STEPS) != "step"
        }
        for name in list(self.logs):
            self._try(name, lambda log=self.logs[name]: log.write(step, figures))

    def _try(self, name: str, do: Any) -> None:
        try:
            do()
        except Exception as error:  # of a library that is not ours, anything
            del self.logs[name]
            self.listener.said(f"warning: the logger `{name}` fails, and is told no more: {told(error)}")
