"""The layers of a program, and the blocks that they were written out of."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from fac.diagnostics import Path
from fac.program.counted import Sight
from fac.program.tensors import Role, Tensor
from fac.spec.layers import Layer, ParametricLayer

INPUT = "input"
Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Fault:
    """Why the shape of a node is unknown: the finding that `fac check` will report."""

    message: str
    help: str = ""
    field: str | None = None
    plugin: bool = False
    """Whether it is a mistake of the kind rather than of the spec."""


@dataclass(frozen=True, slots=True)
class Node:
    """One layer: reads the outputs of `inputs`, makes one tensor of `shape` per sample."""

    name: str
    layer: Layer
    inputs: tuple[str, ...]
    shape: Shape | None
    origin: Path
    tensors: tuple[Tensor, ...] = ()
    weight: Tensor | None = None
    """What the layer multiplies its input with; None for a layer without weights."""
    reads: tuple[Shape, ...] = ()
    """The shapes that it reads, if all are known."""
    channels: int | None = None
    """The axis of its output that holds the channels that it makes; None if it makes none."""
    axes: tuple[int | None, ...] | None = None
    """For each axis of its output the axis of what it reads first; None where nobody knows."""
    stops: bool = False
    """Whether no error goes back to what it reads."""
    sights: tuple[Sight | None, ...] = ()
    """Which places of each of its inputs it reads, see `Sight`."""
    tie: str | None = None
    """The layer whose parameters it is meant to share."""
    shared: tuple[Tensor, ...] = ()
    """Those of them that it does share: they belong to the other, and are none of `tensors`."""
    trainable: bool = True
    fault: Fault | None = None
    scope: str = ""
    """The block, or the part of one, that it stands in: its name begins with that."""

    @property
    def weighted(self) -> bool:
        """Whether it multiplies with a weight, so that feedback can go through it."""
        return self.weight is not None

    @property
    def state(self) -> tuple[Tensor, ...]:
        """All that it reads of state, its own or another's."""
        return (*self.tensors, *self.shared)

    @property
    def owner(self) -> str:
        """The layer that its parameters belong to."""
        return self.tie if self.tie is not None and self.shared else self.name

    @property
    def parametric(self) -> bool:
        """Whether it has parameters, so that feedback can be brought to it."""
        return any(tensor.role is Role.PARAMETER for tensor in self.state)

    @property
    def weight_learns(self) -> bool:
        """Whether it teaches its weight. Its other parameters may learn without it, and it without them."""
        return self.trainable and self.weight is not None and self.weight.trainable

    @property
    def places(self) -> int:
        """How often per sample a weighted node multiplies with its weight: once, or at each place of a map.

        That is the map that it makes; for a weight whose first axis is that of what is read, the map that it reads.
        """
        if self.weight is None or self.shape is None or not self.reads:
            return 1
        whole = prod(self.reads[0]) if self.weight.reads_axis else prod(self.shape)
        return max(whole // self.weight.shape[0], 1)

    @property
    def parameters(self) -> int:
        """How many numbers it has that may learn, without those that belong to another layer."""
        return sum(tensor.size for tensor in self.tensors if tensor.role is Role.PARAMETER)

    @property
    def still(self) -> bool:
        """Whether it acts in training as in evaluation."""
        layer = self.layer
        if not isinstance(layer, ParametricLayer):
            return False
        return (layer.frozen() if layer.trainable and not self.trainable else layer).still

    @property
    def by_averages(self) -> bool:
        """Whether training reads statistics where a layer of its kind takes those of the batch."""
        return self.still and any(tensor.role is Role.STATISTIC for tensor in self.state)

    @property
    def learns(self) -> bool:
        """Whether it has parameters that should move, be its shape known or not."""
        unknown = self.shape is None and isinstance(self.layer, ParametricLayer)
        return self.trainable and (self.parametric or unknown)


@dataclass(frozen=True, slots=True)
class Block:
    """A layer of the spec that stands for several nodes."""

    name: str
    layer: Layer
    inputs: tuple[str, ...]
    output: str
    """The node that makes what who reads the block reads."""
    origin: Path
    place: int
    """How many nodes come before it."""
    scope: str = ""
