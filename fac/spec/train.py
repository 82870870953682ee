"""How long to train, in which batches, from which seed; what to measure."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from fac.spec.base import Model, OneOf
from fac.spec.feedback import ShortHand
from fac.spec.loggers import AnyLogger

Positive = Annotated[int, Field(gt=0)]


class Anchored(Model):
    """The field of `train.anchor` beside those of its rule."""

    kind_wanted: ClassVar = "write `rule: bp`, or another rule without feedback matrices"

    every: Annotated[int, Field(gt=1)] = Field(
        description="Each step whose number, from 1, is a multiple of this is one of the rule."
    )


Measure = Literal["validation_loss", "validation_accuracy"]
"""Of the samples that are held out. Of losses a smaller one is better, of accuracies a larger one."""


class Best(Model):
    """The state after the epoch that was the best."""

    by: Measure = Field(description="A loss that is lower is better, an accuracy that is higher.")


class Stop(Model):
    """When a training ends before its last epoch."""

    patience: Positive = Field(
        description="It ends once so many epochs, one after the other, were no better than the best before them."
    )
    by: Measure = Field(
        "validation_loss", description="By what epochs are compared, on the samples that are held out."
    )


class Train(Model):
    """The training run."""

    other_keys: ClassVar = {"batch_size": "batch", "epoch": "epochs"}

    epochs: Positive = Field(5, description="Passes over the training set.")
    batch: Positive = Field(
        128,
        description="Samples per step. What fills no batch at the end of an epoch takes no part in it: others in each, "
        "because each has an order of its own.",
    )
    accumulate: Positive = Field(
        1,
        description="Steps to an update, each on a batch of its own, whose gradients are averaged: as one step on a "
        "batch so many times as large, in the memory of a small one. Steps, epochs and schedules count batches.",
    )
    mixed_precision: Literal["bfloat16"] | None = Field(
        None,
        description="Matrix products and convolutions of a step, of layers, of errors and of gradients, are computed "
        "from numbers that are rounded to this type, and their results are rounded to it. Sums, the state, updates "
        "and the products by which feedback learns stay as precise as the state, and so do evaluations and probes.",
    )
    seed: Annotated[int, Field(ge=0)] = Field(
        0, description="Of initial values, dropout masks and the order of the data."
    )
    keep: Literal["last", "best"] | Best = Field(
        "last",
        description="Which state a run offers: `best` keeps that of the epoch that was the best on the samples that "
        "are held out for validation, beside the last one. By the measure of `stop`, or by the loss; "
        "`{by: validation_accuracy}` says another.",
    )
    stop: Stop | None = Field(None, description="End the training early, by the samples that are held out.")
    log_every: Positive | None = Field(
        None,
        description="Each step whose number, from 1, is a multiple of this has a line of its own in `steps.jsonl`. "
        "Default: none has.",
    )
    probe_every: Positive | None = Field(
        None,
        description="After each step whose number is a multiple of this, probes are measured, too, for its line in "
        "`steps.jsonl`. Default: only at the end of epochs.",
    )
    loggers: tuple[AnyLogger, ...] = Field(
        (),
        description="Where figures go beside the logs of the run: `tensorboard`, `{kind: wandb, project: mine}`. They "
        "are no part of what is trained: a run may be resumed with others.",
    )
    prealign: Literal["unit", "drawn"] | None = Field(
        None,
        description="Before the first step the trainer sets the weight above the site of each `to` route, on the first "
        "batch, so that backpropagation brings there what the route brings: to a norm of 1, as Launay et al. "
        "do (arXiv 1906.04554), or to the norm that it was drawn with.",
    )
    anchor: Annotated[ShortHand, OneOf("fac.rules", "rule", Anchored)] | None = Field(
        None,
        description="Steps with another routing than that of `feedback:`. By `{every: 200, rule: bp}` each 200th is "
        "one of backpropagation, on the same state and with the same update. `every` is above 1. The rule has to be "
        "one without feedback matrices.",
    )

    @property
    def kept_by(self) -> Measure | None:
        """By what the state is chosen that is kept beside the last one; None if none is."""
        if isinstance(self.keep, Best):
            return self.keep.by
        if self.keep == "last":
            return None
        return "validation_loss" if self.stop is None else self.stop.by


class Probe(Model):
    """What to measure beside the loss. The kinds stand in `fac.probes`."""
