"""What a bias is good for in front of other layers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from fac.program.declared import traits_of
from fac.program.kinds import Unused
from fac.program.program import Program


class Biased(Protocol):
    """A layer that may add a number for each of its channels."""

    @property
    def bias(self) -> bool:
        """Whether it does."""


def unused(layer: Biased, program: Program) -> Iterator[Unused]:
    """A number for each channel has no effect where all that read the layer take the mean of each channel out."""
    for node in program.standing.get(id(layer), ()) if layer.bias else ():
        readers = program.readers.get(node.name, ())
        if node.name in program.heads or not readers:
            continue
        if all(traits_of(reader).channels and not reader.by_averages for reader in readers):
            why = f"in front of `{readers[0].name}`, which subtracts the mean of each channel"
            yield Unused("bias", why, "write `bias: false`")
            return
