"""What the trainer asks of a way to train: by steps, or by solving."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from fac.backend import Session
from fac.training.dataset import Split
from fac.training.logs import Listener, Plan
from fac.training.stepping import Note, Pass


class Family(Protocol):
    """The passes over one training set. Where they stand follows from the number of steps of the session alone."""

    session: Session
    split: Split
    epochs: int
    steps_per_epoch: int
    remedy: str
    """What to do where the loss runs away."""

    @property
    def plan(self) -> Plan:
        """What is ahead."""

    @property
    def done(self) -> int:
        """Passes that are complete."""

    def rate(self, step: int) -> float:
        """Learning rate of a step; NaN where there is none."""

    def fixed(self) -> Any:
        """A batch for probes that is the same after every pass."""

    def evaluated(self) -> Mapping[str, float]:
        """What an evaluation of all training samples finds, as the session is now."""

    def probed(self) -> dict[str, float]:
        """What probes measure on `fixed`; nothing where there are none."""

    def run(
        self, listener: Listener, stop: Callable[[], bool], carried: Mapping[str, float], note: Note
    ) -> Pass:
        """Go on to the end of the pass; see `Stepping.run`."""
