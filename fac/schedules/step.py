"""Falls by a constant factor, epochs apart."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fac.program.kinds import Flat, ScheduleKind
from fac.spec.schedules import Schedule


class StepDecay(Schedule):
    """Falls by `gamma`: shape = gamma^⌊epoch / every⌋. Epochs count from the start of the training, warm-up or not."""

    kind: Literal["step"] = Field(
        default="step", description="The learning rate falls by `gamma` every `every` epochs."
    )
    every: int = Field(gt=0, description="Number of epochs between two falls.")
    gamma: float = Field(default=0.1, gt=0, le=1, description="Factor of each fall.")


def shape(schedule: StepDecay, step: int, warm: int, steps_per_epoch: int, epochs: int) -> float:
    """One `gamma` for each fall so far."""
    return schedule.gamma ** (step // steps_per_epoch // schedule.every)


def body(schedule: StepDecay, warmed: bool) -> tuple[str, ...]:
    """The power, as Python."""
    return (f"{schedule.gamma} ** (step // steps_per_epoch // {schedule.every})",)


def flat(schedule: StepDecay, epochs: int) -> Flat | None:
    """The training ends before the first fall, or a fall is none."""
    if schedule.every >= epochs:
        after = "1 epoch" if schedule.every == 1 else f"{schedule.every} epochs"
        return Flat(
            "every",
            f"the first fall comes after {after}, and the training has {epochs}",
            "let it fall earlier, train longer, or write `schedule: constant`",
        )
    if schedule.gamma == 1:
        return Flat("gamma", "a `gamma` of 1 never lowers the learning rate", "use a `gamma` below 1")
    return None


STEP = ScheduleKind("step", StepDecay, shape, body, flat)
