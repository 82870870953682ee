"""What every layer of a spec has. The kinds stand in `fac.layers`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Annotated, ClassVar, Self

from pydantic import Field

from fac.spec.adapters import Lora
from fac.spec.base import Model


@dataclass(frozen=True, slots=True)
class Named:
    """`mask: Annotated[str | None, Named(mask=True)]`: a layer or an input, which is read after those of `from`."""

    mask: bool = False
    """Whether it has to be a mask, which only an input can be."""


class Layer(Model):
    """One node of the network: makes one tensor, batch first, from the layer before or from those named."""

    other_keys: ClassVar = {
        "inplace": "leave it out: where values are kept is up to the backend",
        "inputs": "from",
        "input": "from",
        "inbound": "from",
    }

    name: str | None = Field(
        None,
        description="How routes, messages and state names call this layer. Default: kind and a number. "
        "`input` and `loss` mean something else, and so do outside of blocks `targets`, `step`, `x`, `y` and `lr`.",
    )
    from_: str | Annotated[tuple[str, ...], Field(min_length=1)] | None = Field(
        None,
        alias="from",
        description="Which layers it reads; `input` is the data, in a block what that reads. "
        "Default: the layer before.",
    )

    @property
    def beside(self) -> Mapping[str, str]:
        """What it reads beside that, by the fields that name it, see `Named`."""
        return {name: value for name in self.named() if (value := getattr(self, name)) is not None}

    @classmethod
    def named(cls) -> Mapping[str, Named]:
        """The fields that name what it reads beside `from`, and what they say of it."""
        return _named(cls)

    @property
    def reads(self) -> tuple[str, ...]:
        """The names given in `from:`; empty if there are none."""
        return (self.from_,) if isinstance(self.from_, str) else self.from_ or ()


@cache
def _named(kind: type[Layer]) -> Mapping[str, Named]:
    marked = ((name, mark) for name, field in kind.model_fields.items() for mark in field.metadata)
    return MappingProxyType({name: mark for name, mark in marked if isinstance(mark, Named)})


class ParametricLayer(Layer):
    """A layer with parameters, such as the scale of a normalisation."""

    trainable: bool = Field(
        True,
        description="False keeps the parameters at their initial values. Those that layers share by `tie` learn from "
        "the layers that are trainable.",
    )
    tie: str | None = Field(
        None,
        description="A layer above of the same kind, or of `linear` an `embedding`, whose parameters this one shares, "
        "those that both have: they learn from both.",
    )

    @property
    def still(self) -> bool:
        """Whether it acts in training as in evaluation: it draws nothing, and moves no state."""
        return not self.trainable

    def frozen(self) -> Self:
        """The layer that a rule makes of it which freezes its parameters."""
        return self.model_copy(update={"trainable": False})


class WeightedLayer(ParametricLayer):
    """A layer that multiplies with a weight: the only kind that feedback can go through."""

    adapter: Lora | None = Field(
        None,
        description="Few parameters beside the layer, whose own stay as they are. `adapters` says it of many layers.",
    )


class Loss(Model):
    """What is minimised. The kinds stand in `fac.losses`."""

    mask: str | None = Field(
        None,
        description="An input with `mask: true` that says which places count, such as the tokens of a text.",
    )


class Head(Model):
    """What is said of each loss where there are several: their sum is minimised."""

    other_keys: ClassVar = {"weight": "scale", "loss_weight": "scale", "lambda": "scale", "layer": "of"}

    of: str | None = Field(None, description="The layer whose output it reads. Default: the last one.")
    scale: Annotated[float, Field(gt=0)] = Field(1.0, description="Factor on it in the sum.")
    target: str = Field(
        "y",
        description="The name of the targets that it reads, which no layer may have; losses may share them.",
    )
    name: str | None = Field(None, description="How results call it. Default: as the layer that it reads.")
