"""What a schedule says of itself, held against its factors."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from fac.plugins import PluginError, told
from fac.program.kinds import ScheduleKind
from fac.spec.schedules import Epochs, Schedule
from fac.testing.case import require

LENGTHS = ((1, 1), (1, 7), (4, 2), (5, 4), (100, 3))
"""(steps per epoch, epochs) of the trainings that are tried."""
WARMUPS = (0, 1, 3, 8, 1000, *(Epochs(epochs=epochs) for epochs in (0, 1, 2, 9)))
PAST = 3
"""So many steps past the end are asked for, where a training that goes on for longer may get."""
SAME = 1e-12
"""Relative, or of factors below 1 absolute: what is written out may be computed in another order."""


def check_schedule(kind: ScheduleKind, schedule: Schedule) -> None:
    """Hold its factors against what it writes out and says, with warm-ups of many lengths.

    Args:
        kind: of the schedule.
        schedule: its settings; its own warm-up is tried among others.

    Raises:
        AssertionError: a factor is no finite number, is negative, or depends on what was asked for before, so that a
            resumed training would have others; the lines of `body` are another function; `flat` says that the
            learning rate never falls, and it does, or names what is no setting.
    """
    for warmup in (schedule.warmup, *WARMUPS):
        tried = schedule.model_copy(update={"warmup": warmup})
        named = f"`{kind.name}`" + (f" with `warmup: {warmup}`" if tried.warmup != schedule.warmup else "")
        function = _written(kind, tried, named)
        for steps_per_epoch, epochs in LENGTHS:
            _factors(kind, tried, function, steps_per_epoch, epochs, named)
    _flat(kind, schedule)


def _written(kind: ScheduleKind, schedule: Schedule, named: str) -> Callable[[int, int, int], Any]:
    """What `body` writes, as a function."""
    try:
        lines = kind.written(schedule)
    except PluginError as error:
        raise AssertionError(f"{named}: {error.fact}") from error
    names: dict[str, Any] = {"math": math}
    exec("\n".join(("def factor(step, steps_per_epoch, epochs):", *(f"    {line}" for line in lines))), names)
    function: Callable[[int, int, int], Any] = names["factor"]
    return function


def _factors(
    kind: ScheduleKind,
    schedule: Schedule,
    function: Callable[[int, int, int], Any],
    steps_per_epoch: int,
    epochs: int,
    named: str,
) -> None:
    length = f"{epochs} epochs of {steps_per_epoch} steps"
    steps = range(steps_per_epoch * epochs + PAST)
    try:
        found = [kind.factor(schedule, step, steps_per_epoch, epochs) for step in steps]
        again = [kind.factor(schedule, step, steps_per_epoch, epochs) for step in reversed(steps)]
    except PluginError as error:
        raise AssertionError(f"{named} in {length}: {error.fact}") from error
    for step, factor, other in zip(steps, found, reversed(again), strict=True):
        where = f"{named} at step {step} of {length}"
        require(factor == other, f"{where} is {factor}, and asked again {other}: a run could not go on")
        try:
            written = function(step, steps_per_epoch, epochs)
        except Exception as error:
            raise AssertionError(f"{where} fails with {told(error)} as `body` writes it") from error
        near = isinstance(written, int | float) and math.isclose(written, factor, rel_tol=SAME, abs_tol=SAME)
        require(near, f"{where} is {factor}, and as `body` writes it {written}")


def _flat(kind: ScheduleKind, schedule: Schedule) -> None:
    cold = schedule.model_copy(update={"warmup": 0})
    for steps_per_epoch, epochs in LENGTHS:
        try:
            flat = kind.never_falls(cold, epochs)
        except PluginError as error:
            raise AssertionError(f"`{kind.name}`: {error.fact}") from error
        if flat is None:
            continue
        fields = {field.alias or name for name, field in type(schedule).model_fields.items()}
        require(flat.field in fields, f"`{kind.name}` has no setting `{flat.field}`, which its `flat` names")
        steps = range(steps_per_epoch * epochs)
        fallen = [step for step in steps if kind.factor(cold, step, steps_per_epoch, epochs) < 1]
        require(
            not fallen,
            f"`{kind.name}` says by `flat` that it never falls in {epochs} epochs, and it does at step "
            f"{''.join(map(str, fallen[:1]))} of {steps_per_epoch * epochs}",
        )
