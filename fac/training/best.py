"""Which epoch was the best by the samples that are held out, and whether it is time to stop."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan
from typing import Any

from fac.diagnostics import FacError
from fac.spec.train import Measure, Train
from fac.training.logs import EpochRecord
from fac.training.metadata import BEST


@dataclass(frozen=True, slots=True)
class Best:
    """The best epoch by a measure of the validation data."""

    by: Measure
    value: float
    epoch: int
    """Counts from 1."""

    def __str__(self) -> str:
        """`validation_loss` 0.1234, of epoch 3."""
        return f"`{self.by}` {self.value:.4g}, of epoch {self.epoch}"


class Judge:
    """Hears of each epoch. What it knows is in the metadata of checkpoints, so that a training goes on as it would."""

    def __init__(self, train: Train, about: Mapping[str, str]) -> None:
        """Take over what a checkpoint says of the epochs so far.

        Args:
            train: the section of the spec.
            about: the metadata of the checkpoint that the training goes on from; empty for a new one.
        """
        self.keeps, self.stop = train.kept_by, train.stop
        self.wanted: dict[Measure, str] = {}
        if self.stop is not None:
            self.wanted[self.stop.by] = "stop"
        if self.keeps is not None:
            self.wanted[self.keeps] = "keep"
        self.best: dict[Measure, Best] = {}
        known: dict[Any, Any] = json.loads(about.get(BEST, "{}"))
        for by, (value, epoch) in known.items():
            self.best[by] = Best(by, value, epoch)

    def require(self, measured: Mapping[str, float] | None) -> None:
        """Refuse to go by what the data cannot tell.

        Args:
            measured: what an evaluation of the validation data finds; None where there are none.

        Raises:
            FacError: naming the field of the spec.
        """
        for by, field in self.wanted.items():
            if measured is None:
                raise FacError(
                    f"`train.{field}` goes by samples that are held out for validation, and there are none: write a "
                    f"share of the training samples, such as `validation: 0.1` under `data:`, or leave `{field}` out"
                )
            if _short(by) not in measured:
                raise FacError(
                    f"`train.{field}` goes by `{by}`, and the loss has no classes, so that there is no accuracy: use "
                    "`validation_loss`"
                )

    def heard(self, record: EpochRecord) -> bool:
        """Whether the state after this epoch is the one to keep, because none was better."""
        kept = False
        for by in self.wanted:
            value, before = record.validation[_short(by)], self.best.get(by)
            if before is None or _better(by, value, before.value):
                self.best[by] = Best(by, value, record.epoch)
                kept |= by == self.keeps
        return kept

    def over(self, done: int) -> str | None:
        """Why no epoch follows after so many, if patience has come to its end."""
        if self.stop is None or self.stop.by not in self.best:
            return None
        best = self.best[self.stop.by]
        if done - best.epoch < self.stop.patience:
            return None
        epochs = f"{self.stop.patience} epoch{'s' * (self.stop.patience != 1)}"
        return f"stopped after epoch {done}: none of the last {epochs} was better than {best}"

    @property
    def kept(self) -> Best | None:
        """The epoch whose state is kept beside the last one, if one is."""
        return None if self.keeps is None else self.best.get(self.keeps)

    def told(self) -> dict[str, str]:
        """What a checkpoint says of it."""
        found = {by: [best.value, best.epoch] for by, best in sorted(self.best.items())}
        return {BEST: json.dumps(found)} if found else {}


def _better(by: Measure, value: float, than: float) -> bool:
    """A number is better than none."""
    if isnan(than):
        return not isnan(value)
    return value > than if by == "validation_accuracy" else value < than


def _short(by: Measure) -> str:
    """What an evaluation calls it."""
    return by.removeprefix("validation_")
