"""How long to train, in which batches, from which seed; what to measure."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from fac.spec.base import Model, OneOf
from fac.spec.feedback import ShortHand

Positive = Annotated[int, Field(gt=0)]


class Anchored(Model):
    """The field of `train.anchor` beside those of its rule."""

    kind_wanted: ClassVar = "write `rule: bp`, or another rule without feedback matrices"

    every: Annotated[int, Field(gt=1)] = Field(
        description="Each step whose number, from 1, is a multiple of this is one of the rule."
    )


class Train(Model):
    """The training run."""

    epochs: Positive = Field(5, description="Passes over the training set.")
    batch: Positive = Field(
        128,
        description="Samples per step. What fills no batch at the end of an epoch takes no part in it: others in each, "
        "because each has an order of its own.",
    )
    seed: Annotated[int, Field(ge=0)] = Field(
        0, description="Of initial values, dropout masks and the order of the data."
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


class Probe(Model):
    """What to measure beside the loss. The kinds stand in `fac.probes`."""
