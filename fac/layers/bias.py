"""What a bias is good for in front of other layers."""

from __future__ import annotations

from collections.abc import Iterator

from fac.program.declared import traits_of
from fac.program.kinds import Unused
from fac.program.program import Program
from fac.spec.layers import Layer


def unused(layer: Layer, program: Program) -> Iterator[Unused]:
    """A number for each channel has no effect where all that read the layer take the mean of each channel out."""
    for node in program.nodes:
        if node.layer is not layer or node.name == program.output:
            continue
        readers = program.readers.get(node.name, ())
        if readers and all(reader.trainable and traits_of(reader).channels for reader in readers):
            why = f"in front of `{readers[0].name}`, which subtracts the mean of each channel"
            yield Unused("bias", why, "write `bias: false`")
            return
