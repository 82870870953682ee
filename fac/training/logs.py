"""What a training says of itself: the record of an epoch, and the listener that hears of it.

Nothing here prints. The command line draws a bar or writes lines; a library user may keep the records.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fac.render.json_text import json_text


@dataclass(frozen=True, slots=True)
class Plan:
    """What a training is about to do."""

    epochs: int
    steps_per_epoch: int
    samples_per_step: int
    done: int
    """Steps that were made before: more than 0 if the training resumes."""
    left_over: int
    """Samples that fill no batch at the end of an epoch, and take no part in it: others in each."""
    solves: bool = False
    """Whether a step is the solve of a layer, on all samples."""
    goes_by: tuple[str, ...] = ()
    """The measures that `train.stop` and `train.keep` go by, such as `validation_loss`."""
    over: str = ""
    """Why no step follows although epochs are left, where `train.stop` has ended the training before."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a training stands within an epoch, as of the losses that were read last."""

    epoch: int
    """Counts from 1."""
    step: int
    """Steps made in this epoch."""
    loss: float
    """Mean over the steps since the last report."""
    step_ms: float


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """One line of `metrics.jsonl`."""

    epoch: int
    """Counts from 1; 0 is the network before its first step."""
    step: int
    """Steps made since the start of the training."""
    lr: float
    """Learning rate of the last step; before the first one, of that."""
    train_loss: float
    """Mean over the epoch, each batch measured before its update. Before the first step, the loss of its batch."""
    test_loss: float
    test_accuracy: float | None
    """In [0, 1]; None if the loss does not classify."""
    seconds: float
    """Wall time of the epoch's steps, without the evaluation."""
    step_ms: float
    """Median wall time of a step; 0 before the first one."""
    probes: Mapping[str, float] = field(default_factory=dict)
    """Measurements at the end of the epoch, on one fixed batch of training samples; NaN where one is undefined."""
    losses: Mapping[str, float] = field(default_factory=dict)
    """Where there are several, the loss and the accuracy of each on the test data: `aux.loss`, `aux.accuracy`."""
    validation: Mapping[str, float] = field(default_factory=dict)
    """Of samples that are held out, if there are some: `loss`, `accuracy`, and of several losses each by its name."""
    train_losses: Mapping[str, float] = field(default_factory=dict)
    """Where there are several, the mean of each over the epoch, as `train_loss` is that of their sum: `aux.loss`."""

    def flat(self) -> dict[str, Any]:
        """Fields and probes side by side, so that a table reads them."""
        losses = {TRAIN + name: value for name, value in self.train_losses.items()}
        losses |= {TEST + name: value for name, value in self.losses.items()}
        losses |= {_held(name): value for name, value in self.validation.items()}
        return {name: getattr(self, name) for name in _FIELDS} | losses | dict(self.probes)

    def to_json(self) -> str:
        """One JSON object; numbers that are not finite become null."""
        return json_text(self.flat())

    @classmethod
    def from_json(cls, text: str) -> EpochRecord:
        """The record that a line holds.

        Raises:
            ValueError: the line is cut off or is another object.
        """
        try:
            found = json.loads(text)
        except RecursionError as error:
            raise ValueError("not the record of an epoch") from error
        if not _is_record(found):
            raise ValueError("not the record of an epoch")
        own = {name: found.pop(name) for name in _FIELDS}
        for name in own.keys() - {"test_accuracy"}:
            own[name] = float("nan") if own[name] is None else own[name]
        numbers = {name: float("nan") if v is None else v for name, v in found.items()}
        held = {name: numbers.pop(_held(name)) for name in ("loss", "accuracy") if _held(name) in numbers}
        starts = (TRAIN, TEST, VALIDATION)
        of_losses = {name for name in numbers if name.startswith(starts) and name.endswith(ENDINGS)}
        train_losses, losses, others = (
            {
                name.removeprefix(start): numbers[name]
                for name in numbers
                if name in of_losses and name.startswith(start)
            }
            for start in starts
        )
        probes = {name: v for name, v in numbers.items() if name not in of_losses}
        return cls(**own, probes=probes, losses=losses, validation=held | others, train_losses=train_losses)


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One line of `steps.jsonl`. It tells no time: a run that was interrupted has the file of one that was not."""

    epoch: int
    """That the step belongs to; counts from 1."""
    step: int
    """Steps made since the start of the training, this one included."""
    lr: float
    losses: Mapping[str, float]
    """Of the batch of the step, before its update: `loss`, of several each by its name."""
    probes: Mapping[str, float] = field(default_factory=dict)
    """Measurements after the step, on the batch of those at the end of epochs; empty where none were made."""

    def flat(self) -> dict[str, Any]:
        """As `EpochRecord` calls them."""
        named = {TRAIN + name: value for name, value in self.losses.items() if name != "loss"}
        about = {"epoch": self.epoch, "step": self.step, "lr": self.lr, "train_loss": self.losses["loss"]}
        return about | named | dict(self.probes)

    def to_json(self) -> str:
        """One JSON object; numbers that are not finite become null."""
        return json_text(self.flat())


TRAIN, TEST, VALIDATION = "train.", "test.", "validation."
"""In front of what a line says of one of several losses."""
ENDINGS = (".loss", ".accuracy")
"""How that ends: probes of a layer that is called `train` or `test` end otherwise."""
_COUNTS = ("epoch", "step")
_FIELDS = (*_COUNTS, "lr", "train_loss", "test_loss", "test_accuracy", "seconds", "step_ms")


def _held(name: str) -> str:
    """How a line calls what was found on samples that are held out."""
    return VALIDATION + name if "." in name else f"validation_{name}"


def _is_record(found: Any) -> bool:
    """Whether it has all fields, whole numbers for those that count, and else numbers or what stands for NaN."""
    return (
        isinstance(found, dict)
        and all(name in found for name in _FIELDS)
        and all(_is_count(found[name]) for name in _COUNTS)
        and all(value is None or type(value) is float or _is_count(value) for value in found.values())
    )


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 63


class Listener:
    """Hears how a training goes. All methods do nothing: override those that matter."""

    def began(self, plan: Plan) -> None:
        """Before the first step."""

    def started(self, record: EpochRecord) -> None:
        """Before the first step of a training that is new: the network as it begins, as epoch 0."""

    def noted(self, record: StepRecord) -> None:
        """After a step, where `train.log_every` or `train.probe_every` says so: logged."""

    def moved(self, progress: Progress) -> None:
        """Within an epoch, whenever the losses were read."""

    def ended(self, record: EpochRecord) -> None:
        """After an epoch: evaluated, logged and saved."""

    def stopped(self, text: str) -> None:
        """`train.stop` ended the training, and why."""
        self.said(text)

    def said(self, text: str) -> None:
        """Something that a person should know."""
