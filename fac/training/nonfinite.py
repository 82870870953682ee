"""Where the first number came from that was not finite.

Losses are read late, and a NaN spreads through the whole state within one step. So the training is replayed
from its last good state, with a look at every step, and the step that went wrong is traced op by op on the
reference backend. This takes time only once there is nothing else left to do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite, nan
from typing import Any

import numpy as np

from fac.backend import Array, Session
from fac.diagnostics import FacError
from fac.training.logs import EpochRecord
from fac.training.stepping import NonFiniteError, Stepping

State = Mapping[str, Array]


class DivergedError(FacError):
    """Training stopped because numbers ceased to be finite."""

    def __init__(
        self, why: str, history: Sequence[EpochRecord] = (), kept: str = "", *, step: int = 0
    ) -> None:
        """Why, the epochs before, which are results, too, what is kept where, and in which step, from 1."""
        super().__init__(why + kept)
        self.why, self.history, self.step = why, tuple(history), step


def bad_array(state: State) -> str | None:
    """The name of the first array that holds a NaN or an infinity."""
    return next((name for name, array in state.items() if not np.isfinite(array).all()), None)


def explain(stepping: Stepping, good: State, found: NonFiniteError) -> str:
    """One sentence: which step, which epoch, and in which layer it began.

    The session ends up with the state `good`.
    """
    epoch, position = divmod(found.step, stepping.steps_per_epoch)
    place = f"step {found.step + 1} (epoch {epoch + 1}, batch {position + 1} of {stepping.steps_per_epoch})"
    fact = f"a parameter is no longer finite after {place}"
    if found.loss is not None:
        fact = f"the loss is {found.loss} at {place}"
    step, layer = _replayed(stepping, good, found.step)
    stepping.session.load_state(good)
    earlier = "" if step == found.step else f" of step {step + 1}"
    began = "in the loss itself" if layer == "loss" else f"in layer `{layer}`"
    if layer is None:
        return f"{fact}, and a replay of the steps does not show it again"
    return f"{fact}: the first number that is not finite arises {began}{earlier}"


def layer_of(session: Session, name: str) -> str:
    """The layer that a state array belongs to."""
    for output, value in session.compiled.step.outputs:
        if output == name:
            origin = next((op.origin for op in session.compiled.step.ops if op.result is value), None)
            if origin is not None and origin.node:
                return origin.node
    return name.rpartition(".")[0].removesuffix(".feedback") or name


def _replayed(stepping: Stepping, good: State, last: int) -> tuple[int, str | None]:
    """(step, layer) where the first number that is not finite arises; no layer if none does."""
    session = stepping.session
    session.load_state(good)
    before = good
    while session.steps <= last:
        step = session.steps
        try:
            loss = float(stepping.once()["loss"])
        except NonFiniteError:
            loss = nan
        after = session.state()
        bad = bad_array(after)
        if bad is not None or not isfinite(loss):
            layer = _traced(stepping, before, step)
            return step, layer or ("loss" if bad is None else layer_of(session, bad))
        before = after
    return last, None


def _traced(stepping: Stepping, before: State, step: int) -> str | None:
    """The layer of the first op of a step whose result is not finite, on the reference backend."""
    from fac.pipeline import find_backend

    try:
        # in the session's own precision: what overflows float32 may well fit into float64
        artifact = find_backend("reference").emit(stepping.session.compiled, stepping.session.precision)
    except FacError:
        return None  # not installed: the arrays of the state still tell the layer
    session: Any = artifact.open(before)
    batch = {name: session.place(array) for name, array in stepping.read(step).items()}
    found = ((node, array) for node, array in session.trace(batch) if node)
    return next((node for node, array in found if not np.isfinite(array).all()), None)
