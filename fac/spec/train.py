"""How long to train, in which batches, from which seed; what to measure; what must hold."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from fac.spec.base import Model

Positive = Annotated[int, Field(gt=0)]


class Train(Model):
    """The training run."""

    epochs: Positive = Field(5, description="Passes over the training set.")
    batch: Positive = Field(128, description="Samples per step; a last partial batch is dropped.")
    seed: Annotated[int, Field(ge=0)] = Field(
        0, description="Of initial values, dropout masks and the order of the data."
    )


class Probe(Model):
    """What to measure beside the loss. The kinds stand in `fac.probes`."""


class BackwardBound(Model):
    """A bound on a ratio."""

    at_most: Annotated[float, Field(gt=0)] = Field(description="The largest allowed ratio.")


class Constraints(Model):
    """What a team wants to hold for its specs. `fac check` reports what does not."""

    no_weight_transport: bool = Field(False, description="No error may pass through a forward weight.")
    max_rank: Positive | None = Field(None, description="Largest rank of a feedback matrix or subspace.")
    backward_macs_vs_backprop: BackwardBound | None = Field(
        None, description="Multiply-adds of the backward pass against backprop on the same network."
    )
