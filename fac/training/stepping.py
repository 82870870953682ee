"""Training by steps: one pass over the data is a run of step calls on batches in a reproducible order.

Where a pass stands follows from the number of steps made, and from nothing else: a training that resumes, in
the middle of an epoch or not, sees the batches and learning rates that it would have seen anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fac.backend import Array, Arrays, Session
from fac.diagnostics import FacError
from fac.program.kinds import ScheduleKind
from fac.program.lower import kind_of
from fac.spec.model import ModelSpec
from fac.spec.schedules import schedule_of
from fac.training.dataset import Split, order
from fac.training.logs import Listener, Plan, Progress, StepRecord
from fac.training.stored import Fed, Stored

Note = Callable[[StepRecord], None]
"""Hears of steps that are logged."""
READ_STEPS = 50
READ_SECONDS = 0.2
"""Losses are read after so many steps or seconds: reading one waits for the device."""


class NonFiniteError(Exception):
    """A step ended in numbers that are not finite. `nonfinite.explain` finds out where they came from."""

    def __init__(self, step: int, loss: float | None = None) -> None:
        """Step number (from 0), and its loss if that is what is not finite."""
        super().__init__(step)
        self.step, self.loss = step, loss


@dataclass(frozen=True, slots=True)
class Pass:
    """What became of one pass over the data."""

    finished: bool
    """False if it was asked to stop on the way."""
    sums: Mapping[str, float]
    """Of what `Session.step` returns, over the steps of the pass so far, those before a resume included."""
    lr: float
    """Of the last step."""
    seconds: float
    step_ms: tuple[float, ...]
    """Mean wall milliseconds per step, one number for each group of steps between two readings."""


class Stepping:
    """The passes of a step program over one training set, which is placed on the device once."""

    remedy = "lower `update.lr`, or set `update.clip`"

    def __init__(self, session: Session, split: Split, spec: ModelSpec) -> None:
        """Place the data.

        Raises:
            FacError: the batch is larger than the training set, or transforms of its images cannot be carried out.
        """
        self.session, self.split, self.samples = session, split, len(split)
        self.batch, self.epochs, self.seed = spec.train.batch, spec.train.epochs, spec.train.seed
        self.steps_per_epoch = self.samples // self.batch
        if not self.steps_per_epoch:
            raise FacError(
                f"`train.batch` is {self.batch}, but there are only {self.samples} training samples: "
                f"write `batch: {self.samples}` or less"
            )
        assert spec.update is not None
        self.lr, self.schedule = spec.update.lr, schedule_of(spec.update.schedule)
        self._scheduled: ScheduleKind = kind_of("fac.schedules", self.schedule)
        for array in split.arrays.values():
            if isinstance(array, Stored):
                array.tried()
        self.fed = Fed(session, split)
        self.accumulate = spec.train.accumulate
        self.log_every, self.probe_every = spec.train.log_every, spec.train.probe_every
        self._order: tuple[int, NDArray[np.int64]] | None = None

    @property
    def plan(self) -> Plan:
        """What is ahead."""
        left = self.samples % self.batch
        return Plan(self.epochs, self.steps_per_epoch, self.batch, self.session.steps, left)

    @property
    def done(self) -> int:
        """Passes that are complete."""
        return self.session.steps // self.steps_per_epoch

    def rate(self, step: int) -> float:
        """Learning rate of a step; of several to an update, that of the first of them."""
        step -= step % self.accumulate
        return self.lr * self._scheduled.factor(self.schedule, step, self.steps_per_epoch, self.epochs)

    def rows(self, step: int) -> NDArray[np.int64]:
        """The samples that a step reads."""
        epoch, position = divmod(step, self.steps_per_epoch)
        if self._order is None or self._order[0] != epoch:
            self._order = epoch, order(self.seed, epoch, self.samples)
        return self._order[1][position * self.batch : (position + 1) * self.batch]

    def taken(self, step: int) -> Arrays:
        """The batch of a step, on the device."""
        return self.fed.batch(self.seed, step, self.rows)

    def read(self, step: int) -> dict[str, Array]:
        """The same, on the host."""
        return self.fed.host(self.seed, step, self.rows(step))

    def fixed(self) -> Arrays:
        """A batch that is the same after every pass: the samples of the first one of the training, as they are."""
        return self.fed.some(self.rows(0))

    def evaluated(self) -> dict[str, float]:
        """What an evaluation of all training samples finds."""
        return self.fed.evaluated()

    def once(self) -> dict[str, Any]:
        """One step; returns what `Session.step` does."""
        return self.several(1)[0]

    def several(self, count: int) -> list[dict[str, Any]]:
        """Some steps; returns what `Session.block` does."""
        steps = range(self.session.steps, self.session.steps + count)
        batches = [self.taken(step) for step in steps]
        try:
            return self.session.block(batches, [self.rate(step) for step in steps])
        except np.linalg.LinAlgError as error:
            # a host task met a matrix that had ceased to be finite before its loss was read
            raise NonFiniteError(self.session.steps - 1) from error

    def probed(self) -> dict[str, float]:
        """What probes measure on `fixed`; nothing where there are none."""
        return probed(self.session, self.fixed())

    def run(
        self, listener: Listener, stop: Callable[[], bool], carried: Mapping[str, float], note: Note
    ) -> Pass:
        """Go on to the end of the pass.

        Args:
            listener: hears of it whenever losses are read.
            stop: asked after each call of the session whether to end here.
            carried: `Pass.sums` of the pass so far; nothing at its start.
            note: hears of the steps that `train.log_every` and `train.probe_every` name.

        Raises:
            NonFiniteError: a loss is NaN or infinite.
        """
        session, sums, groups = self.session, dict(carried), list[float]()
        epoch, position = divmod(session.steps, self.steps_per_epoch)
        pending: list[dict[str, Any]] = []
        began = mark = perf_counter()
        aside = 0.0  # of probes, which are no part of a step
        halted = False
        while position < self.steps_per_epoch and not halted:
            made = self.several(self._together(self.steps_per_epoch - position, READ_STEPS - len(pending)))
            pending += made
            position += len(made)
            halted = position < self.steps_per_epoch and stop()
            waited = perf_counter() - mark
            full = len(pending) == READ_STEPS or waited > READ_SECONDS
            probing = _due(session.steps, self.probe_every)
            if full or halted or probing or position == self.steps_per_epoch:
                read = [{name: float(value) for name, value in made.items()} for made in pending]
                now = perf_counter()
                groups.append(1000 * (now - mark) / len(read))
                for step, losses in enumerate(read, session.steps - len(read) + 1):
                    if not isfinite(losses["loss"]):
                        raise NonFiniteError(step - 1, losses["loss"])
                    sums = {name: sums.get(name, 0.0) + value for name, value in losses.items()}
                    last = probing and step == session.steps
                    if last or _due(step, self.log_every):
                        found = self.probed() if last else {}
                        note(StepRecord(epoch + 1, step, self.rate(step - 1), losses, found))
                listener.moved(
                    Progress(epoch + 1, position, sum(each["loss"] for each in read) / len(read), groups[-1])
                )
                mark = perf_counter()
                aside += mark - now
                pending.clear()
        seconds = perf_counter() - began - aside
        return Pass(not halted, sums, self.rate(session.steps - 1), seconds, tuple(groups))

    def _together(self, *most: int) -> int:
        """How many steps to make in one call: none beyond what is to be looked at."""
        if self.probe_every is not None:
            most = (*most, self.probe_every - self.session.steps % self.probe_every)
        return min(*most, self.session.at_once)


def probed(session: Session, batch: Arrays) -> dict[str, float]:
    """What the probes of a session measure on a batch; nothing where there are none."""
    if not session.compiled.probing.measures:
        return {}
    return {name: value for name, value in session.probe(batch).items() if name != "loss"}


def _due(step: int, every: int | None) -> bool:
    """Whether a step, by its number from 1, is one of each so many."""
    return every is not None and step % every == 0
