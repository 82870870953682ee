"""A network of another framework, in that framework's own operations: what `fac import` reads.

A backend that is `Importing` says what a module computes, operation by operation, and computes it. What layers these
operations are is said in `fac.importing` and by the kinds of layers, which know no framework.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from fac.backend.artifact import Backend
from fac.backend.compiled import Array


@dataclass(frozen=True, slots=True)
class Ref:
    """A value of a graph: an input, an array of the module, or what a call makes."""

    name: str


@dataclass(frozen=True, slots=True)
class Fed:
    """An input of the network, for a batch."""

    name: str
    shape: tuple[int, ...]
    """The batch first."""


@dataclass(frozen=True, slots=True)
class Held:
    """An array of the module."""

    key: str
    """What the module calls it."""
    shape: tuple[int, ...]
    learns: bool
    """Whether it is a parameter that gets a gradient."""
    statistic: bool = False
    """Whether it is no parameter: it follows the data, or stays as it is."""


@dataclass(frozen=True, slots=True)
class Call:
    """One operation. Each value is made once: what overwrites a value is told as an operation that makes another."""

    name: str
    op: str
    """Such as `aten.conv2d`, without the variants for other types of arguments."""
    args: Mapping[str, Any]
    """All arguments by name, defaults among them; tensors as `Ref`, also within lists."""
    module: str
    """The path of the module in whose code it stands, `layer1.0.conv1`; empty for the outermost."""
    type: str
    """The class of that module."""
    leaf: bool
    """Whether that module holds no others."""
    shape: tuple[int, ...] | None
    """Of the result, if it is one tensor."""


@dataclass(frozen=True, slots=True)
class Traced:
    """What a module computes in one of its modes, in order."""

    inputs: tuple[Fed, ...]
    arrays: Mapping[str, Held]
    """By the names by which calls refer to them."""
    calls: tuple[Call, ...]
    outputs: tuple[Ref, ...]


@dataclass(frozen=True, slots=True)
class Ran:
    """One run of a module on a batch, with what is random in it left out."""

    output: Array
    gradients: Mapping[str, Array]
    """Of mean((output - target)^2), by key; empty if no target was given."""
    state: Mapping[str, Array]
    """Of arrays that are no parameters, after the run."""


class Module(Protocol):
    """A network of another framework."""

    training: Traced
    evaluation: Traced

    def state(self) -> dict[str, Array]:
        """Its arrays by key, as they are; of those that are one array under several keys each key."""

    def shared(self) -> Mapping[str, str]:
        """For each key whose array stands under another key before it that key."""

    def run(self, state: Mapping[str, Array], x: Array, training: bool, target: Array | None = None) -> Ran:
        """Run it in float64, with these arrays in the place of its own; it stays as it was."""


@runtime_checkable
class Importing(Backend, Protocol):
    """A backend whose framework has networks of its own."""

    imports: str
    """What that framework is called."""

    def module(self, made: Any, sample: Sequence[Array]) -> Module:
        """Read a network of the framework.

        Args:
            made: the module.
            sample: a batch for each of its inputs.

        Raises:
            FacError: it is no module, cannot be traced, or holds what no state can hold.
        """

    def saved(self, arrays: Mapping[str, Array]) -> bytes:
        """The content of the framework's own file of arrays by key.

        Raises:
            FacError: what the backend runs with is not installed.
        """
