"""The model under all learning-rate schedules. The kinds stand in `fac.schedules`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from fac import plugins
from fac.spec.base import Model, OneOf


class Epochs(Model):
    """A duration in epochs, where a plain number would count steps."""

    epochs: int = Field(ge=0, description="Number of epochs.")


class Schedule(Model):
    """What all schedules share: a linear warm-up before the shape of the schedule takes over."""

    warmup: Annotated[int, Field(ge=0)] | Epochs = Field(
        default=0,
        description="Linear warm-up of the learning rate: a number of steps, or `{epochs: 2}`.",
    )


AnySchedule = Annotated[str | Schedule, OneOf("fac.schedules", named=True)]
"""A field of the spec: `schedule: cosine` or `schedule: {kind: cosine, warmup: 100}`."""


def schedule_of(value: str | Schedule) -> Schedule:
    """The model behind a schedule field: the name of a kind stands for its settings at their defaults."""
    if isinstance(value, Schedule):
        return value
    found: Schedule = next(kind.spec for kind in plugins.kinds("fac.schedules") if kind.name == value)()
    return found
