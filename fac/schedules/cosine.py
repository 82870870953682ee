"""Half a cosine over the whole training."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field

from fac.program.kinds import Flat, ScheduleKind
from fac.spec.schedules import Schedule


class Cosine(Schedule):
    """Half a cosine from the full learning rate down to `floor`.

    shape = floor + (1 - floor) · (1 + cos(π t)) / 2, where t goes from 0 to 1 after the warm-up.
    """

    kind: Literal["cosine"] = Field(
        default="cosine", description="Half a cosine from the full learning rate down to `floor`."
    )
    floor: float = Field(
        default=0.0, ge=0, le=1, description="Where the cosine ends, as a fraction of the learning rate."
    )
    per: Literal["step", "epoch"] = Field(
        default="step", description="`step`: a new value at each step; `epoch`: one value for a whole epoch."
    )


def shape(schedule: Cosine, step: int, warm: int, steps_per_epoch: int, epochs: int) -> float:
    """1 until the end of the warm-up, `floor` once all epochs are over."""
    if schedule.per == "epoch":
        step -= step % steps_per_epoch
    past, span = step - warm, steps_per_epoch * epochs - warm
    if past <= 0:
        return 1.0
    done = min(1.0, past / span) if span > 0 else 1.0
    return schedule.floor + (1 - schedule.floor) * 0.5 * (1 + math.cos(math.pi * done))


def body(schedule: Cosine, warmed: bool) -> tuple[str, ...]:
    """The cosine, as Python."""
    past = "max(0, step - warm)" if warmed else "step"
    span = "max(1, steps_per_epoch * epochs - warm)" if warmed else "(steps_per_epoch * epochs)"
    wave = f"{(1 - schedule.floor) * 0.5} * (1 + math.cos(math.pi * done))"
    if schedule.floor:
        wave = f"({schedule.floor} + {wave})" if warmed else f"{schedule.floor} + {wave}"
    rounded = ("step -= step % steps_per_epoch",) if schedule.per == "epoch" else ()
    return (*rounded, f"done = min(1, {past} / {span})", wave)


def flat(schedule: Cosine, epochs: int) -> Flat | None:
    """It ends where it begins."""
    if schedule.floor < 1:
        return None
    return Flat("floor", "a `floor` of 1 never lowers the learning rate", "use a `floor` below 1")


COSINE = ScheduleKind("cosine", Cosine, shape, body, flat)
