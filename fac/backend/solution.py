"""What a compiled spec has whose parameters are solved for, and moved by no step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from fac.backend.compiled import Array, Compiled


@dataclass(frozen=True, slots=True)
class Solved:
    """What became of one solve."""

    node: str
    rows: int
    """Equations: places of all samples."""
    features: int
    """Unknowns of each output, the bias among them."""
    outputs: int
    rank: int
    """How many singular values were not cut off."""
    error: float
    """Mean squared distance from the targets."""


class Solving(Protocol):
    """A network that is being solved, and the training samples."""

    def rows(self, piece: str) -> Iterator[Array]:
        """What a piece makes of all samples, some at a time: [rows, columns], float64."""

    def read(self, name: str) -> Array:
        """A parameter as it is now."""

    def write(self, arrays: Mapping[str, Array]) -> None:
        """Set parameters, or what the rule keeps while it solves."""


@dataclass(frozen=True, slots=True)
class Solution:
    """How parameters are found.

    A piece is a `Compiled` of its own whose forward pass it is, so that a backend runs it as any other. It reads the
    whole batch, targets too.
    """

    rule: str
    remedy: str
    """What to do where what is found is none."""
    pieces: Mapping[str, Compiled]
    layers: tuple[str, ...]
    """What is solved, one after the other: what a state counts as its steps."""
    block: int
    """How many samples to read at a time."""
    run: Callable[[Solving, int], Iterator[Solved]]
    """`run(solving, done)`: solve the layers behind the first `done`, one at a time."""
