"""State, and the functions that run on it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fac.backend.boundary import check_placed, check_state, check_x, check_y
from fac.backend.compiled import STEP, Array, Compiled, Precision
from fac.backend.partial_state import completed
from fac.diagnostics import FacError

CHUNK = 2048
"""Samples at a time where no state changes, so that memory does not grow with the data."""


class Session(ABC):
    """State, and the functions that run on it. The trainer, checkpoints and logs know nothing else."""

    def __init__(self, compiled: Compiled, precision: Precision, device: str) -> None:
        self.compiled, self.precision, self.device = compiled, precision, device
        self.steps = 0
        """How many steps were made, over all runs that this state has seen."""
        self.derived: tuple[str, ...] = ()
        """What the state that came in last did not hold, so that it was derived."""

    # -- what a backend writes -------------------------------------------------------------------------------

    @abstractmethod
    def place(self, array: Array) -> Any:
        """The array on the session's device, in its precision; integers become int64. `take` reads from it."""

    @abstractmethod
    def is_placed(self, value: Any) -> bool:
        """Whether this is what `place` and `take` give: on the device, in the precision."""

    @abstractmethod
    def take(self, placed: Any, rows: NDArray[np.int64]) -> Any:
        """Some rows of a placed array, as a placed array."""

    @abstractmethod
    def run_step(self, x: Any, y: Any, lr: float, step: int) -> Any:
        """One call of the step function on placed arrays: moves the state, returns the loss.

        float() of the loss may be asked for many steps later, so later steps must not overwrite it.
        """

    @abstractmethod
    def run_evaluate(self, x: Any, y: Any) -> dict[str, float]:
        """`loss`; for classification `hits`; `weight`, if the loss is the mean over something else than samples.

        Where `weight` is 0, the loss is divided by 1 instead.
        """

    @abstractmethod
    def run_forward(self, x: Any) -> Array:
        """The network's output."""

    @abstractmethod
    def run_probe(self, x: Any, y: Any, step: int) -> dict[str, float]:
        """The measurements by name."""

    @abstractmethod
    def read(self, names: tuple[str, ...]) -> dict[str, Array]:
        """Copies of state arrays, row by row."""

    @abstractmethod
    def write(self, arrays: Mapping[str, Array]) -> None:
        """Replace state arrays; names and shapes have been checked, and the arrays lie row by row."""

    # -- what everybody calls --------------------------------------------------------------------------------

    def step(self, x: Any, y: Any, lr: float | None = None) -> dict[str, Any]:
        """One training step.

        Args:
            x: [N, *sample], an array or the result of `place` or `take`.
            y: labels [N] or targets [N, *output], likewise.
            lr: the learning rate; the spec's own, without schedule, by default.

        Returns:
            `{"loss": ...}`, the loss before the update. It may live on the device until float() reads it.

        Raises:
            FacError: x or y do not fit the spec, or the learning rate is not finite.
        """
        x, y = self._batch(x, y)
        rate = self.compiled.lr if lr is None else lr
        if not isfinite(rate):
            raise FacError(f"the learning rate is {rate}, which would leave no parameter finite")
        loss = self.run_step(x, y, rate, self.steps)
        self.steps += 1
        for task in self.compiled.tasks:
            if self.steps % task.every == 0:
                found = task.run(self.read(task.reads))
                self.write({name: np.asarray(array, order="C") for name, array in found.items()})
        return {"loss": loss}

    def evaluate(self, x: Any, y: Any) -> dict[str, float]:
        """Mean loss and, for classification, accuracy in [0, 1], with layers as in inference."""
        x, y = self._batch(x, y)
        loss = weight = hits = 0.0
        for start in range(0, len(x), CHUNK):
            part = x[start : start + CHUNK], y[start : start + CHUNK]
            found = self.run_evaluate(*part)
            counts = found.get("weight", len(part[0]))
            # where nothing counts, the loss is a sum that was divided by nothing
            loss += found["loss"] * (counts or 1.0)
            weight, hits = weight + counts, hits + found.get("hits", 0.0)
        total = {"loss": loss / (weight or 1.0)}
        return total | {"accuracy": hits / len(x)} if self.compiled.classes else total

    def forward(self, x: Any) -> Array:
        """The network's output for x [N, *sample]."""
        x = self._samples(x)
        parts = [self.run_forward(x[start : start + CHUNK]) for start in range(0, len(x), CHUNK)]
        return np.concatenate(parts)

    def probe(self, x: Any, y: Any) -> dict[str, float]:
        """What the spec's probes measure on this batch; changes nothing."""
        x, y = self._batch(x, y)
        return self.run_probe(x, y, self.steps)

    def state(self) -> dict[str, Array]:
        """Copies of all state arrays by name, and the number of steps under `step`."""
        state = self.read(tuple(slot.name for slot in self.compiled.state))
        return state | {STEP: np.array(self.steps, np.int64)}

    def load_state(self, state: Mapping[str, Array], *, derive: bool = False) -> None:
        """Take over a state, as `state()` gives it; `step` may be missing and then is 0.

        Args:
            state: arrays by name.
            derive: whether what a training keeps beside the parameters may be missing. It is derived then, as
                `partial_state.completed` says, and `derived` names it. Feedback that starts from the weights starts
                from those of this state, not from the initial ones.

        Raises:
            FacError: an array is missing, unknown, of another shape, or holds no numbers. The session is then
                unchanged.
        """
        arrays, steps = check_state(self.compiled, state, self.precision, whole=not derive)
        arrays, steps, derived = completed(self.compiled, arrays, steps)
        self.write(arrays)
        self.steps, self.derived = steps, derived

    def _samples(self, x: Any) -> Any:
        if not self.is_placed(x):
            return self.place(check_x(self.compiled, x))
        check_placed(self.compiled, "x", x, self.precision)
        return x

    def _batch(self, x: Any, y: Any) -> tuple[Any, Any]:
        x = self._samples(x)
        if not self.is_placed(y):
            return x, self.place(check_y(self.compiled, y, len(x)))
        check_placed(self.compiled, "y", y, self.precision, len(x))
        return x, y
