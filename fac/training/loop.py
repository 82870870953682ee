"""The trainer: passes over the training set, each followed by evaluation, probes, a log line, a checkpoint.

Written once against `Session`. How a pass trains is the business of its family; this module only asks a
family for its passes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from fac.backend import Array, Session
from fac.diagnostics import FacError
from fac.spec.model import ModelSpec
from fac.training import checkpoint
from fac.training.dataset import Dataset, Split, fitted
from fac.training.folder import RunFolder
from fac.training.logs import EpochRecord, Listener
from fac.training.nonfinite import DivergedError, bad_array, explain, layer_of
from fac.training.stepping import NonFiniteError, Pass, Stepping

CHUNK = 2048
"""Most samples evaluated at once: activations of a whole test set may not fit a device."""
LOSS_SUM = "loss_sum"
"""Metadata key of a checkpoint within an epoch: the sum of its losses so far."""


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome of a training."""

    epochs: int
    steps: int
    train_loss: float
    """Mean over the last epoch."""
    test_loss: float
    test_accuracy: float | None
    """In [0, 1]; None if the loss does not classify."""
    seconds: float
    """Wall time of this call, evaluations included."""
    step_ms: float
    """Median wall milliseconds of a training step."""
    history: tuple[EpochRecord, ...]
    """One record per epoch; after a resume those of the earlier run too, as far as its log holds them."""


class StoppedError(Exception):
    """Training ended early because it was asked to. The state is saved if there is a folder."""

    def __init__(self, step: int, epoch: int) -> None:
        """Steps made so far, and the epoch that they lead into, from 1."""
        super().__init__(f"stopped after step {step}, in epoch {epoch}")
        self.step, self.epoch = step, epoch


def train(
    session: Session,
    dataset: Dataset,
    spec: ModelSpec,
    out: RunFolder | None = None,
    listener: Listener | None = None,
    *,
    stop: Callable[[], bool] = lambda: False,
    carried: float = 0.0,
) -> Report:
    """Train until all epochs of the spec are done, from wherever the session's state stands.

    Args:
        session: of an artifact compiled from `spec`.
        dataset: as loaded; it is checked against the session and reshaped here.
        spec: its `train` and `update` sections count.
        out: where the log and the checkpoints go; None keeps nothing.
        listener: hears how it goes.
        stop: asked after each step; True saves the state and ends the training.
        carried: for a state from within an epoch, the sum of the epoch's losses so far (see `carried_loss`).

    Raises:
        FacError: the data do not fit, the batch is larger than the training set, nothing is left to train, or
            a file cannot be written.
        DivergedError: a loss or a parameter is no longer finite. The session is back at its last good state.
        StoppedError: `stop` said so.
    """
    return _Training(session, dataset, spec, out, listener or Listener(), stop).run(carried)


def carried_loss(found: checkpoint.Checkpoint) -> float:
    """What `train` needs as `carried` to go on from a checkpoint."""
    return float(found.about.get(LOSS_SUM, "0"))


def evaluate(session: Session, x: Any, y: Any) -> dict[str, float]:
    """`loss` and, for classification, `accuracy`, averaged over all samples of placed arrays."""
    samples = len(x)
    totals: dict[str, float] = {}
    for start in range(0, samples, CHUNK):
        rows = np.arange(start, min(start + CHUNK, samples))
        found = session.evaluate(session.take(x, rows), session.take(y, rows))
        for name, value in found.items():
            totals[name] = totals.get(name, 0.0) + value * len(rows)
    return {name: total / samples for name, total in totals.items()}


class _Training:
    """One call of `train`."""

    def __init__(
        self,
        session: Session,
        dataset: Dataset,
        spec: ModelSpec,
        out: RunFolder | None,
        listener: Listener,
        stop: Callable[[], bool],
    ) -> None:
        self.began = perf_counter()
        self.session, self.spec, self.out, self.listener, self.stop = session, spec, out, listener, stop
        compiled = session.compiled
        data = fitted(dataset, compiled.sample, prod(compiled.output), compiled.classes)
        self.family = Stepping(session, data.train, spec)
        self.test = self._placed(data.test)
        self.about = checkpoint.about(compiled, spec)
        self.good: Mapping[str, Array] = session.state()
        self.step_ms: list[float] = []

    def run(self, carried: float) -> Report:
        bad = bad_array(self.good)
        if bad is not None:
            layer = layer_of(self.session, bad)
            raise DivergedError(
                f"`{bad}` of layer `{layer}` is not finite before the first step of this training"
            )
        history = self.out.rewind(self.family.done) if self.out else []
        if self.session.steps == 0:
            self._keep({})
        self.listener.began(self.family.plan)
        while self.family.done < self.family.epochs:
            history.append(self._epoch(carried))
            carried = 0.0
            self.listener.ended(history[-1])
        if not history:
            raise FacError(f"nothing is left to train: all {self.family.epochs} epochs are done")
        return self._report(history)

    def _epoch(self, carried: float) -> EpochRecord:
        done = self._pass(carried)
        self.step_ms += done.step_ms
        if not done.finished:
            self._keep({LOSS_SUM: repr(done.loss_sum)})
            raise StoppedError(self.session.steps, self.family.done + 1)
        found = evaluate(self.session, *self.test)
        record = EpochRecord(
            epoch=self.family.done,
            step=self.session.steps,
            lr=done.lr,
            train_loss=done.loss_sum / self.family.steps_per_epoch,
            test_loss=found["loss"],
            test_accuracy=found.get("accuracy"),
            seconds=done.seconds,
            step_ms=median(done.step_ms),
            probes=self._probes(),
        )
        # the line first: if the machine dies before the checkpoint, a resume makes the line again
        if self.out:
            self.out.append(record)
        self._keep({})
        return record

    def _pass(self, carried: float) -> Pass:
        """One pass, or the news of where it went wrong."""
        try:
            done = self.family.run(self.listener, self.stop, carried)
            state = self.session.state()
            if bad_array(state) is not None:
                raise NonFiniteError(self.session.steps - 1)
        except NonFiniteError as found:
            self.listener.said("numbers are no longer finite: looking for the layer where it began")
            raise DivergedError(self._diverged(found)) from found
        self.good = state
        return done

    def _diverged(self, found: NonFiniteError) -> str:
        text = explain(self.family, self.good, found) + "; lower `update.lr`, or set `update.clip`"
        if self.out is None:
            return text
        return f"{text}; `{self.out.state}` holds the last good state, from step {self.session.steps}"

    def _keep(self, more: Mapping[str, str]) -> None:
        if self.out:
            self.out.save(self.good, {**self.about, **more})

    def _probes(self) -> dict[str, float]:
        if all(name == "loss" for name, _ in self.session.compiled.probe.outputs):
            return {}
        found = self.session.probe(*self.family.fixed())
        return {name: value for name, value in found.items() if name != "loss"}

    def _placed(self, split: Split) -> tuple[Any, Any]:
        return self.session.place(split.x), self.session.place(split.y)

    def _report(self, history: list[EpochRecord]) -> Report:
        last = history[-1]
        return Report(
            epochs=self.family.epochs,
            steps=self.session.steps,
            train_loss=last.train_loss,
            test_loss=last.test_loss,
            test_accuracy=last.test_accuracy,
            seconds=perf_counter() - self.began,
            step_ms=median(self.step_ms or [last.step_ms]),
            history=tuple(history),
        )
