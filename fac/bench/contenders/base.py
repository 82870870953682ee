"""What every contender does."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from fac.diagnostics import FacError

State = Mapping[str, Any]
"""Arrays of NumPy by the names of fac."""


SETTLING = 2
"""Where graphs are recorded: libraries set themselves up in the first call, and the second is written down."""


class UnfitError(FacError):
    """A contender cannot be built here; the message says why."""


class Contender(ABC):
    """A training step on tensors of its own."""

    settling = 0
    """Calls after which later ones are as those that are timed: what is recorded for a GPU is recorded by then."""
    at_once = 1
    """Steps that it makes in one call, where it is given as many."""

    def begin(self, state: State) -> State:
        """A state with which the oracle means the same: a peer that has its own feedback puts that in."""
        return state

    @abstractmethod
    def place(self, x: Any, y: Any) -> Any:
        """A batch as `steps` takes it."""

    @abstractmethod
    def steps(self, batches: Sequence[Any]) -> Any:
        """One training step on each batch; the loss of the last."""

    @abstractmethod
    def load(self, state: State) -> None:
        """Parameters, statistics and all that a step moves, as in a state of the rule."""

    @abstractmethod
    def state(self) -> State:
        """What it has of a state by now."""
