"""Initial values of weights and feedback matrices. They are drawn in `fac.build.initial`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, Tag

from fac.spec.base import Model, by_key

Named = Literal[
    "kaiming_uniform",
    "kaiming_normal",
    "xavier_uniform",
    "xavier_normal",
    "lecun_normal",
    "launay",
    "crafton",
    "orthogonal",
    "zeros",
]


@dataclass(frozen=True, slots=True)
class Scaled:
    """A law of independent entries with mean zero and the variance `parts / of(fan_in, fan_out)`."""

    parts: int
    of: Callable[[float, float], float]
    normal: bool
    formula: str
    """Of the entries, for people."""


SCALED: Mapping[str, Scaled] = {
    # He et al. 2015, arXiv 1502.01852.
    "kaiming_uniform": Scaled(2, lambda i, o: i, False, "U(-b, b), b = sqrt(6 / fan_in)"),
    "kaiming_normal": Scaled(2, lambda i, o: i, True, "N(0, 1) * sqrt(2 / fan_in)"),
    # Glorot and Bengio 2010.
    "xavier_uniform": Scaled(2, lambda i, o: i + o, False, "U(-b, b), b = sqrt(6 / (fan_in + fan_out))"),
    "xavier_normal": Scaled(2, lambda i, o: i + o, True, "N(0, 1) * sqrt(2 / (fan_in + fan_out))"),
    # LeCun et al. 1998; Klambauer et al. 2017, arXiv 1706.02515, ask for it under selu.
    "lecun_normal": Scaled(1, lambda i, o: i, True, "N(0, 1) / sqrt(fan_in)"),
    # Launay et al. 2020, arXiv 2006.12878.
    "launay": Scaled(1, lambda i, o: i * o, True, "N(0, 1) / sqrt(fan_in * fan_out)"),
    # Crafton et al. 2019, arXiv 1903.02083.
    "crafton": Scaled(1, lambda i, o: 3 * i, False, "U(-b, b), b = 1 / sqrt(fan_in)"),
}
"""Named laws that know the size of what they are drawn for."""


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

    per_unit: Annotated[int, Field(gt=0)] = Field(
        description="How many, drawn without replacement, and so that no component is read by more units than another "
        "by more than one."
    )
    rank: Annotated[int, Field(gt=0)] | None = Field(
        None,
        description="There are so many choices of components, which units take in turn; those of one choice have rows "
        "that are multiples of each other, so that this is the rank of the matrix. On `to` routes.",
    )


class Density(Model):
    """Each entry is kept with this probability, and is zero otherwise."""

    density: Annotated[float, Field(gt=0, le=1)] = Field(description="The probability.")


Mask = Annotated[
    Annotated[PerUnit, Tag("per_unit")] | Annotated[Density, Tag("density")],
    by_key(per_unit=PerUnit, density=Density),
]
"""Which entries of a matrix are drawn; the others are zero."""

Init = Named | Annotated[Normal | Uniform, Field(discriminator="kind")]


@dataclass(frozen=True, slots=True)
class Entries:
    """Independent entries of mean zero."""

    variance: float
    normal: bool
    """Or else uniform."""


def entries(init: object, fan_in: float, fan_out: float) -> Entries | None:
    """How entries are drawn; None where they depend on one another, or nothing is drawn."""
    match init:
        case Normal(std=std):
            return Entries(std * std, True)
        case Uniform(bound=bound):
            return Entries(bound * bound / 3, False)
        case str() if init in SCALED:
            law = SCALED[init]
            return Entries(law.parts / law.of(fan_in, fan_out), law.normal)
    return None
