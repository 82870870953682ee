"""What `outcome.json` holds, as it is read back, and which training of a comparison or a sweep it is of."""

from __future__ import annotations

from typing import Any

from pydantic import model_validator

from fac.experiments.sealing import Count, Finite, Form, Number, Seed
from fac.spec.train import Measure


class Belonging(Form):
    """Which training it is, so that no other one is taken for it."""

    plan: str
    """The digest of the plan, in which the specs, the data, the backend and the version of fac are."""
    row: str
    """Its label."""
    seed: Seed
    trial: Count | None = None
    """Its number in a sweep."""

    def __str__(self) -> str:
        """In words."""
        which = f"trial {self.trial} of `{self.row}`" if self.trial is not None else f"`{self.row}`"
        return f"{which}, seed {self.seed}"


class BestForm(Form):
    """See `fac.training.best.Best`."""

    by: Measure
    value: Finite
    epoch: Count


class ConcernForm(Form):
    """See `fac.training.outcome.Concern`."""

    kind: str
    message: str
    figures: dict[str, Number]
    of: str


class FiguresForm(Form):
    """Of a `Report` what its log does not tell."""

    epochs: Count
    steps: Count
    train_loss: Number
    test_loss: Number
    test_accuracy: Finite | None
    stopped: str | None
    best: BestForm | None

    @property
    def flat(self) -> dict[str, Any]:
        """As arguments of `Report`, but for the best epoch."""
        return {name: getattr(self, name) for name in type(self).model_fields if name != "best"}


class MeasuredForm(Form):
    """See `fac.audit.Measured`."""

    scale: dict[str, Number]
    routed: dict[str, Number]
    true: dict[str, Number]
    cosine: dict[str, Number]
    stacked: Number

    @model_validator(mode="after")
    def _alike(self) -> MeasuredForm:
        if not self.routed.keys() == self.true.keys() == self.cosine.keys():
            raise ValueError("gradients are not of the same layers")
        return self


class OutcomeForm(Form):
    """The file."""

    report: FiguresForm | None
    """None of a training that diverged."""
    problem: str | None
    """Why it did."""
    step: Count
    concerns: list[ConcernForm]
    audit: MeasuredForm | None
    said: list[str]
    seed: Seed | None
    state: str | None
    """The digest of the state that it is about."""
    log: str
    """That of its log, without times."""
    belongs: Belonging | None
    """None of a training by itself."""
    versions: dict[str, str]
    """Of what computed, by the names of distributions."""
