"""What sets parameters from the whole data, by no gradient. The rules stand in `fac.solve`."""

from __future__ import annotations

from typing import Annotated

from fac.spec.base import Model, OneOf


class Solve(Model):
    """What every solve rule has: a `rule` of its own."""


AnySolve = Annotated[Solve, OneOf("fac.solve", "rule")]
