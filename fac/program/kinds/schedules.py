"""Learning-rate schedules: pure functions of the step number.

A schedule is a factor on the learning rate. Steps and epochs count from 0; with w warm-up steps

    factor(s) = ramp(s) · shape(s),    ramp(s) = min(1, (s + 1) / w)

Each schedule also writes itself out as Python, for programs that train without fac.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from fac.plugins import misuse, told
from fac.program.kinds.base import Kind
from fac.spec.base import Model
from fac.spec.schedules import Epochs, Schedule

SAMPLED = 100
"""At how many places two lengths of a training are compared."""


@dataclass(frozen=True, slots=True)
class Flat:
    """A setting by which the learning rate never falls within a training, where a schedule is meant to lower it."""

    field: str
    why: str
    """The whole message of FAC211."""
    help: str


@dataclass(frozen=True, slots=True)
class ScheduleKind(Kind):
    """How the learning rate changes over training. All kinds have a linear warm-up, which is not their business."""

    name: str
    spec: type[Model]
    shape: Callable[[Any, int, int, int, int], float]
    """`shape(schedule, step, warm, steps_per_epoch, epochs)`: the factor on the learning rate at `step`, apart from the
    warm-up, which lasts `warm` steps: a finite number that is not negative. It is told by these numbers alone, because
    a training that goes on asks for no step before; and it is asked past `steps_per_epoch * epochs` steps, too."""
    body: Callable[[Any, bool], Sequence[str]]
    """`body(schedule, warmed)`: `shape` as lines of a Python function, for written programs, which know `step`,
    `steps_per_epoch`, `epochs` and `math`. The last line is an expression. If `warmed`, they know `warm` too, and the
    expression is put behind `ramp *`, so that a sum needs brackets; otherwise `warm` is 0, and not there."""
    flat: Callable[[Any, int], Flat | None] = lambda *_: None
    """`flat(schedule, epochs)`: what leaves the factor at 1 in all of so many epochs, if something does (FAC211). None
    also where that is what the kind is for."""

    def factor(self, schedule: Schedule, step: int, steps_per_epoch: int, epochs: int) -> float:
        """The factor on the learning rate at `step`, of `steps_per_epoch * epochs` steps in all.

        Raises:
            PluginError: the shape is no factor.
        """
        warmup = schedule.warmup
        warm = warmup.epochs * steps_per_epoch if isinstance(warmup, Epochs) else warmup
        shape = self.shape(schedule, step, warm, steps_per_epoch, epochs)
        if not isinstance(shape, int | float) or not isfinite(shape) or shape < 0:
            problem = f"returns {shape!r} at step {step} where a number that is not negative is needed"
            raise misuse(self.shape, problem)
        ramp = (step + 1) / warm if step < warm else 1.0
        return ramp * shape

    def written(self, schedule: Schedule) -> tuple[str, ...]:
        """The lines of a Python function (step, steps_per_epoch, epochs) that gives what `factor` does.

        Raises:
            PluginError: the lines of the kind are no Python.
        """
        lines = self._lines(schedule)
        try:
            compile(
                "\n".join(("def factor(step, steps_per_epoch, epochs):", *(f"    {x}" for x in lines))),
                "",
                "exec",
            )
        except (SyntaxError, ValueError) as error:
            raise misuse(self.body, f"returns lines that are no Python: {told(error)}") from error
        return lines

    def _lines(self, schedule: Schedule) -> tuple[str, ...]:
        warmup = schedule.warmup
        warmed = warmup not in (0, Epochs(epochs=0))
        found = self.body(schedule, warmed)
        if not found or not all(isinstance(line, str) for line in found):
            raise misuse(
                self.body, f"returns {found!r} where lines are needed, of which the last is an expression"
            )
        *lines, shape = found
        if not warmed:
            return (*lines, f"return {shape}")
        warm = f"{warmup.epochs} * steps_per_epoch" if isinstance(warmup, Epochs) else warmup
        # the ramp first: lines of the shape may round `step`
        return (f"warm = {warm}", "ramp = min(1, (step + 1) / warm)", *lines, f"return ramp * {shape}")

    def never_falls(self, schedule: Schedule, epochs: int) -> Flat | None:
        """What `flat` says.

        Raises:
            PluginError: it says something else.
        """
        found = self.flat(schedule, epochs)
        if found is not None and not isinstance(found, Flat):
            raise misuse(self.flat, f"returns {type(found).__name__} where a Flat or None is needed")
        return found

    def stretches(self, schedule: Schedule, before: int, epochs: int) -> bool:
        """Whether the factor within the first `before` epochs is another one in a training of `epochs`."""
        steps = (k * before for k in range(SAMPLED))
        return any(
            self.shape(schedule, step, 0, SAMPLED, before) != self.shape(schedule, step, 0, SAMPLED, epochs)
            for step in steps
        )
