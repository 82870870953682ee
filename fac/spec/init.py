"""Initial values of weights and feedback matrices. They are drawn in `fac.build.initial`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, Tag

from fac.spec.base import Model, by_key

Named = Literal["kaiming_uniform", "xavier_uniform", "launay", "orthogonal", "zeros"]


class Normal(Model):
    """Independent normal entries of mean zero."""

    kind: Literal["normal"] = "normal"
    std: Annotated[float, Field(ge=0)] = Field(description="Standard deviation of the entries.")


class Uniform(Model):
    """Independent uniform entries in [-bound, bound]."""

    kind: Literal["uniform"] = "uniform"
    bound: Annotated[float, Field(ge=0)] = Field(description="Largest absolute value of the entries.")


class PerUnit(Model):
    """Each unit that is fed reads so many components of the error, and has zeros for the others."""

    per_unit: Annotated[int, Field(gt=0)] = Field(description="How many, drawn without replacement.")


class Density(Model):
    """Each entry is kept with this probability, and is zero otherwise."""

    density: Annotated[float, Field(gt=0, le=1)] = Field(description="The probability.")


Mask = Annotated[
    Annotated[PerUnit, Tag("per_unit")] | Annotated[Density, Tag("density")],
    by_key(per_unit=PerUnit, density=Density),
]
"""Which entries of a matrix are drawn; the others are zero."""

Init = Named | Annotated[Normal | Uniform, Field(discriminator="kind")]
