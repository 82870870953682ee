"""What `plan.json` holds, as it is read back. Names of folders follow from labels and seeds, and never lead out."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from fac.backend import Precision
from fac.experiments.sealing import Count, Finite, Form, Seed


class NeedsForm(Form):
    """See `fac.experiments.needs.Needs`."""

    backward_ratio: Finite | None
    backward_macs: Count | None
    words: Count | None
    transport: Literal["yes", "in anchors", "no"]
    fixed: bool


class PairForm(Form):
    """See `fac.experiments.contrasts.Pair`."""

    one: str
    other: str


class RowForm(Form):
    """See `fac.experiments.rows.Row`, with what is trained and on what."""

    label: str
    spec: str
    name: str
    rule: str
    rank: int | str | None
    file: str
    network: str
    ranks: list[Count]
    classifies: bool
    by_place: bool
    by_byte: bool
    body: str
    needs: NeedsForm
    data: dict[str, str]
    trains: dict[str, Any]
    arm: bool

    @property
    def rate(self) -> float | None:
        """The learning rate that the spec says; None of one that is solved."""
        update = self.trains.get("update")
        rate = update.get("lr") if isinstance(update, dict) else None
        return rate if type(rate) in (int, float) else None

    @model_validator(mode="after")
    def _labelled(self) -> RowForm:
        if self.label != f"{self.spec} {self.name}".strip():
            raise ValueError("the label does not follow from spec and name")
        return self


class PlanForm(Form):
    """The file, see `fac.experiments.plan.Plan`."""

    comparison: Count
    rows: Annotated[list[RowForm], Field(min_length=1)]
    seeds: Annotated[list[Seed], Field(min_length=1)]
    contrasts: list[PairForm]
    budget: str
    backend: str
    device: str | None
    precision: Precision | None
    threads: Count
    version: str
    audit: bool
    disable: Annotated[list[str], Field(default_factory=list)]
    plugins: dict[str, str]
    versions: dict[str, str]
    notes: list[str]
    digest: str

    @model_validator(mode="after")
    def _unlike(self) -> PlanForm:
        labels = [row.label for row in self.rows]
        if len(set(labels)) < len(labels) or len(set(self.seeds)) < len(self.seeds):
            raise ValueError("two rows have one label, or a seed stands there twice")
        if not {name for pair in self.contrasts for name in (pair.one, pair.other)} <= {*labels}:
            raise ValueError("a contrast names no row")
        return self
