"""Initial values of weights and feedback matrices. They are drawn in `fac.build.initial`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fac.spec.base import Model

Named = Literal["kaiming_uniform", "xavier_uniform", "launay", "orthogonal", "zeros"]


class Normal(Model):
    """Independent normal entries of mean zero."""

    kind: Literal["normal"] = "normal"
    std: Annotated[float, Field(ge=0)] = Field(description="Standard deviation of the entries.")


class Uniform(Model):
    """Independent uniform entries in [-bound, bound]."""

    kind: Literal["uniform"] = "uniform"
    bound: Annotated[float, Field(ge=0)] = Field(description="Largest absolute value of the entries.")


Init = Named | Annotated[Normal | Uniform, Field(discriminator="kind")]
