"""Libraries with the shape of Weights & Biases: a run that is told figures by `log`, and ends with `finish`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class RunLog:
    """See `Log`."""

    def __init__(self, run: Any) -> None:
        """It is open."""
        self.run = run

    def write(self, step: int, figures: Mapping[str, float]) -> None:
        """See `Log`."""
        self.run.log(dict(figures), step=step)

    def close(self) -> None:
        """See `Log`."""
        self.run.finish()
