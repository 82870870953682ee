"""Adapters: few parameters beside a layer whose own stay, for networks that were trained elsewhere."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from fac.spec.base import Model
from fac.spec.train import Positive


class Lora(Model):
    """A product of low rank beside that of a layer: W x + b + s B A x, s = alpha / rank (arXiv 2106.09685).

    A [rank, in] is drawn from U(-b, b), b = 1/sqrt(in), and B [out, rank] starts with zeros, so that at first the layer
    is what it was. Feedback that is drawn like a weight, as that of `fa`, has in the place of B the law of A, because
    zeros would teach A nothing. The layer `fc1` so becomes `fc1.base_layer`, `fc1.lora_A`, `fc1.lora_B` and the sum,
    `fc1`.
    """

    other_keys: ClassVar = {"r": "rank", "lora_alpha": "alpha"}

    kind: Literal["lora"]
    rank: Positive = Field(description="Rows of A.")
    alpha: Annotated[float, Field(gt=0)] | None = Field(
        None, description="rank times the factor s. Default: as `rank`, so that s is 1."
    )
    freeze: bool = Field(True, description="Whether the parameters of the layer itself stay as they are.")

    @property
    def scale(self) -> float:
        """The factor s."""
        return 1.0 if self.alpha is None else self.alpha / self.rank


class AdapterGroup(Lora):
    """Adapters of several layers."""

    match: str = Field(
        description="Glob of names of layers such as `*.query`, of those with a weight that can have one. The last "
        "group that matches a layer counts, one with its name before globs; what the layer itself says comes before."
    )
