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
    says: tuple[str, ...] = ()
    """What else its rule has to tell of it, a sentence each."""


class Solving(Protocol):
    """A network that is being solved, and the training samples."""

    def rows(self, name: str) -> Iterator[Array]:
        """What a piece makes of all samples, some at a time: [rows, columns], float64; of a layer, what that makes."""

    def hold(self, name: str) -> bool:
        """Keep the rows of a layer, or of a piece with one row for each sample, if there is room for them.

        What is asked for later starts from there, and does not make them anew: whoever writes what they depend on drops
        them before.
        """

    def drop(self, name: str) -> None:
        """Keep such rows no more, if they are."""

    def read(self, name: str) -> Array:
        """A parameter as it is now."""

    def write(self, arrays: Mapping[str, Array]) -> None:
        """Set parameters, or what the rule keeps while it solves."""


@dataclass(frozen=True, slots=True)
class Solution:
    """How parameters are found."""

    rule: str
    remedy: str
    """What to do where what is found is none."""
    piece: Callable[[str, Mapping[str, int]], Compiled]
    """`piece(name, held)`: a `Compiled` of its own whose forward pass makes the rows of a piece, or of a layer, so that
    a backend runs it as any other. It is fed with what it reads of a batch, targets too, and of what is held, which has
    so many columns: under the names of `holding`."""
    layers: tuple[str, ...]
    """What is solved, one after the other: what a state counts as its steps."""
    block: int
    """How many samples to read at a time."""
    run: Callable[[Solving, int], Iterator[Solved]]
    """`run(solving, done)`: solve the layers behind the first `done`, one at a time."""


def holding(name: str) -> str:
    """What a piece calls rows that are held. A layer with a dot in its name stands in a block, and none is held."""
    return f"{name}.held"
