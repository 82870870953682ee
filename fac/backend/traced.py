"""A network of another framework, operation by operation: what `fac import` reads.

A backend that is `Importing` says what a module computes, and computes it. Operations go by PyTorch's names for them,
whatever the framework calls them. What layers they are is said in `fac.importing` and by the kinds of layers, which
know no framework.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from io import BufferedReader
from typing import Any, Protocol, runtime_checkable

from fac.backend.artifact import Backend
from fac.backend.compiled import Array, Precision

RESERVED = frozenset({"input", "loss", "targets", "step", "x", "y", "lr"})
"""Names that mean something else in a spec: no layer has them."""


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
    also: tuple[str, ...] = ()
    """What else the module calls it: it is one array under several keys."""


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
    need: str = ""
    """What would be needed, where the backend knows that no layer is this."""
    place: str = ""
    """Where it stands, if that is not the module."""


@dataclass(frozen=True, slots=True)
class Traced:
    """What a module computes in one of its modes, in order."""

    inputs: tuple[Fed, ...]
    arrays: Mapping[str, Held]
    """By the names by which calls refer to them."""
    calls: tuple[Call, ...]
    outputs: tuple[Ref, ...]
    constants: Mapping[str, Array] = field(default_factory=dict)
    """Values of the graph that depend neither on inputs nor on arrays, such as the numbers of places, by name."""


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

    training: Traced | None
    """None of one that only evaluates: then it has no gradients either."""
    evaluation: Traced
    precision: Precision
    """In which it runs."""
    notes: tuple[str, ...]
    """What somebody who goes on with it has to know."""

    def state(self) -> dict[str, Array]:
        """Its arrays by key, as they are; of those that are one array under several keys each key."""

    def run(self, state: Mapping[str, Array], x: Array, training: bool, target: Array | None = None) -> Ran:
        """Run it in its precision, with these arrays in the place of its own; it stays as it was."""


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


@runtime_checkable
class Saving(Importing, Protocol):
    """One whose framework keeps arrays by key in files of its own."""

    def saved(self, arrays: Mapping[str, Array]) -> bytes:
        """The content of the framework's own file of arrays by key.

        Raises:
            FacError: what the backend runs with is not installed.
        """

    def loaded(self, file: BufferedReader, name: str) -> dict[str, Array]:
        """The arrays by key in the framework's own file of them, read without running any code that it may hold.

        Nothing is copied before it is asked for: a file may say that few numbers are many.

        Args:
            file: at its start.
            name: what messages call it.

        Raises:
            FacError: it is damaged, holds something else than arrays by key, or what the backend runs with is not
                installed.
        """


@dataclass(frozen=True, slots=True)
class File:
    """A file that holds a network, as it was opened."""

    place: str
    """What messages call it."""
    content: bytes
    beside: Callable[[str], bytes]
    """The content of another file in the same folder, by its name."""


@runtime_checkable
class Opening(Importing, Protocol):
    """One whose framework keeps networks in files."""

    def opened(self, file: File, shape: Sequence[int] | None) -> tuple[Any, tuple[int, ...], bool]:
        """What `module` reads, the shape of a sample, and whether it holds whole numbers.

        Args:
            file: the file.
            shape: of a sample, where the user says it.

        Raises:
            FacError: the file cannot be read, or leaves the shape open.
        """
