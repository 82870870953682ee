"""How PyTorch keeps arrays that are called otherwise here, or lie otherwise."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from fac.spec.base import Model
from fac.spec.train import Positive


class StateKey(Model):
    """An array of the network in the `state_dict` of a module. Arrays of which nothing is said are there as here.

    `fac import` writes this where it is needed, `fac export --to state_dict` reads it, and no step depends on it.
    """

    other_keys: ClassVar = {"keys": "key", "name": "array", "transposed": "transpose"}

    array: str = Field(description="What it is called here, such as `fc1.weight`.")
    key: str | Annotated[tuple[str, ...], Field(min_length=1)] | None = Field(
        None,
        description="What it is called there; several keys for one that several modules have. Default: as here.",
    )
    transpose: bool = Field(
        False, description="Whether it is a matrix whose axes are there in the other order."
    )
    shape: tuple[Positive, ...] | None = Field(
        None, description="Its shape there, of the same numbers in the same order. Default: as here."
    )

    @property
    def keys(self) -> tuple[str, ...]:
        """All that it is called there."""
        return (self.key,) if isinstance(self.key, str) else self.key or (self.array,)
