"""Learning-rate schedules: pure functions of the step number.

A schedule is a factor on the learning rate. Steps and epochs count from 0; with w warm-up steps

    factor(s) = ramp(s) · shape(s),    ramp(s) = min(1, (s + 1) / w)

Each schedule also writes itself out as Python, for programs that train without fac.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from fac.spec.base import Model


class Epochs(Model):
    """A duration in epochs, where a plain number would count steps."""

    epochs: int = Field(ge=0, description="Number of epochs.")


class Warmed(Model):
    """What all schedules share: a linear warm-up before the shape of the schedule takes over."""

    warmup: Annotated[int, Field(ge=0)] | Epochs = Field(
        default=0,
        description="Linear warm-up of the learning rate: a number of steps, or `{epochs: 2}`.",
    )

    def factor(self, step: int, steps_per_epoch: int, epochs: int) -> float:
        """The factor on the learning rate at `step`, of `steps_per_epoch * epochs` steps in all."""
        warm = self.warmup.epochs * steps_per_epoch if isinstance(self.warmup, Epochs) else self.warmup
        ramp = (step + 1) / warm if step < warm else 1.0
        return ramp * self.shape(step, warm, steps_per_epoch, epochs)

    def body(self) -> tuple[str, ...]:
        """The lines of a Python function (step, steps_per_epoch, epochs) that gives what `factor` does."""
        if self.warmup in (0, Epochs(epochs=0)):
            *lines, shape = self.shape_body(warmed=False)
            return (*lines, f"return {shape}")
        warm = f"{self.warmup.epochs} * steps_per_epoch" if isinstance(self.warmup, Epochs) else self.warmup
        *lines, shape = self.shape_body(warmed=True)
        # the ramp first: lines of the shape may round `step`
        return (f"warm = {warm}", "ramp = min(1, (step + 1) / warm)", *lines, f"return ramp * {shape}")

    def shape(self, step: int, warm: int, steps_per_epoch: int, epochs: int) -> float:
        """The factor apart from the warm-up, which lasts `warm` steps. Each schedule defines its own."""
        raise NotImplementedError

    def shape_body(self, warmed: bool) -> tuple[str, ...]:
        """`shape` as lines of Python. The last is an expression; if `warmed`, there is a `warm`, and it is a factor."""
        raise NotImplementedError


class Constant(Warmed):
    """shape = 1."""

    kind: Literal["constant"] = Field(default="constant", description="The learning rate stays as it is.")

    def shape(self, step: int, warm: int, steps_per_epoch: int, epochs: int) -> float:
        """The factor apart from the warm-up: always 1."""
        return 1.0

    def shape_body(self, warmed: bool) -> tuple[str, ...]:
        """1, as Python."""
        return ("1.0",)


class Cosine(Warmed):
    """shape = floor + (1 - floor) · (1 + cos(π t)) / 2, where t goes from 0 to 1 after the warm-up."""

    kind: Literal["cosine"] = Field(
        default="cosine", description="Half a cosine from the full learning rate down to `floor`."
    )
    floor: float = Field(
        default=0.0, ge=0, le=1, description="Where the cosine ends, as a fraction of the learning rate."
    )
    per: Literal["step", "epoch"] = Field(
        default="step", description="`step`: a new value at each step; `epoch`: one value for a whole epoch."
    )

    def shape(self, step: int, warm: int, steps_per_epoch: int, epochs: int) -> float:
        """The factor apart from the warm-up: 1 until its end, `floor` once all epochs are over."""
        if self.per == "epoch":
            step -= step % steps_per_epoch
        past, span = step - warm, steps_per_epoch * epochs - warm
        if past <= 0:
            return 1.0
        done = min(1.0, past / span) if span > 0 else 1.0
        return self.floor + (1 - self.floor) * 0.5 * (1 + math.cos(math.pi * done))

    def shape_body(self, warmed: bool) -> tuple[str, ...]:
        """The cosine, as Python."""
        past = "max(0, step - warm)" if warmed else "step"
        span = "max(1, steps_per_epoch * epochs - warm)" if warmed else "(steps_per_epoch * epochs)"
        wave = f"{(1 - self.floor) * 0.5} * (1 + math.cos(math.pi * done))"
        if self.floor:
            wave = f"({self.floor} + {wave})" if warmed else f"{self.floor} + {wave}"
        rounded = ("step -= step % steps_per_epoch",) if self.per == "epoch" else ()
        return (*rounded, f"done = min(1, {past} / {span})", wave)


class StepDecay(Warmed):
    """shape = gamma^⌊epoch / every⌋. Epochs count from the start of the training, warm-up or not."""

    kind: Literal["step"] = Field(
        default="step", description="The learning rate falls by `gamma` every `every` epochs."
    )
    every: int = Field(gt=0, description="Number of epochs between two falls.")
    gamma: float = Field(default=0.1, gt=0, le=1, description="Factor of each fall.")

    def shape(self, step: int, warm: int, steps_per_epoch: int, epochs: int) -> float:
        """The factor apart from the warm-up: one `gamma` for each fall so far."""
        return self.gamma ** (step // steps_per_epoch // self.every)

    def shape_body(self, warmed: bool) -> tuple[str, ...]:
        """The power, as Python."""
        return (f"{self.gamma} ** (step // steps_per_epoch // {self.every})",)


AnySchedule = Constant | Cosine | StepDecay
Name = Literal["constant", "cosine"]
"""The schedules that need no further field, so that a plain name says it all."""


def _tag(value: Any) -> str | None:
    """The branch of `Schedule` that a value is meant for: a wrong one is reported once, not per branch."""
    if isinstance(value, str):
        return "name"
    return value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)


Schedule = Annotated[
    Annotated[Name, Tag("name")]
    | Annotated[Constant, Tag("constant")]
    | Annotated[Cosine, Tag("cosine")]
    | Annotated[StepDecay, Tag("step")],
    Discriminator(_tag),
]
"""A field of the spec: `schedule: cosine` or `schedule: {kind: cosine, warmup: 100}`."""


def schedule_of(value: Schedule) -> AnySchedule:
    """The model behind a schedule field: `"cosine"` stands for `Cosine()`."""
    if isinstance(value, str):
        return Constant() if value == "constant" else Cosine()
    return value
