"""No schedule but the warm-up."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fac.program.kinds import ScheduleKind
from fac.spec.schedules import Schedule


class Constant(Schedule):
    """The learning rate stays as it is: shape = 1."""

    kind: Literal["constant"] = Field(default="constant", description="The learning rate stays as it is.")


CONSTANT = ScheduleKind("constant", Constant, lambda *_: 1.0, lambda *_: ("1.0",))
