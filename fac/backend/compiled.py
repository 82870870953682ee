"""What a backend is given: plain data, without YAML or pydantic."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, Protocol

from numpy.typing import NDArray

from fac.step.feed import Feed
from fac.step.ir import Function

if TYPE_CHECKING:
    from fac.backend.solution import Solution

Array = NDArray[Any]
Precision = Literal["float32", "float64"]
View = Literal["values", "errors", "errors, true", "gradients", "gradients, true"]
"""What a session shows of a batch; true ones are those of backpropagation, whatever the routing is."""
PRECISIONS: tuple[Precision, ...] = ("float32", "float64")
STEP = "step"
"""The name under which a state keeps how many steps were made."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One array of the state. Everything a step reads or writes beside the batch is one."""

    name: str
    shape: tuple[int, ...]
    parameter: bool
    """Whether the forward pass reads it."""
    below: int | None = None
    """If it holds whole numbers from 0 on, as FLOAT, which is the first that it cannot hold."""


@dataclass(frozen=True, slots=True)
class HostTask:
    """Something that happens between steps, on the host, in NumPy: one implementation for every backend."""

    kind: str
    """What is done, for backends that write it out: `svd` sets (P, Q) of `writes` from the weight of `reads`."""
    every: int
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    run: Callable[[Mapping[str, Array]], Mapping[str, Array]]
    """From the state arrays named in `reads` to those named in `writes`."""
    axis: int = 0
    """Of the weight: which P reads. The other axes, in their order, are what Q writes."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """Steps of another function, on the same state, in the place of some: anchors, or those that end with an update."""

    every: int
    """Each step whose number, from 1, is a multiple of this."""
    step: Function
    """Reads what the compiled step reads, but for what it has no use for, and moves a part of the state."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a probe makes on the host of what the probe function gives: one implementation for every backend."""

    reads: Mapping[str, str]
    """Outputs of the probe function, and what they are called here."""
    run: Callable[[Mapping[str, Array], int, dict[Any, Any]], Mapping[str, float]]
    """From arrays, the number of steps made, and what is kept from one call to the next, to measurements by name."""


class Probing:
    """What a probe is made of: built when it is first asked for, which for most networks nobody does.

    It has two sweeps where a step has one, and takes longer to build and to emit than all else.
    """

    def __init__(
        self, make: Callable[[], tuple[Function, tuple[Reading, ...]]], measures: bool = True
    ) -> None:
        self.make, self.measures = make, measures
        """And whether it measures more than the loss."""

    @cached_property
    def made(self) -> tuple[Function, tuple[Reading, ...]]:
        """The function, and what is made of its arrays."""
        return self.make()


class Initial(Protocol):
    """Initial values of the whole state."""

    def __call__(
        self, given: Mapping[str, Array] = MappingProxyType({}), precision: Precision = "float64"
    ) -> Mapping[str, Array]:
        """By name, each drawn when it is asked for. What is `given` stays, and what starts from it follows it."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the spec is trained, for backends that write a program which does it. Sessions are told by the trainer.

    The defaults are for functions that no spec stands behind.
    """

    epochs: int = 1
    batch: int = 1
    seed: int = 0
    """Of the order of the samples."""
    factor: tuple[str, ...] = ("return 1.0",)
    """The factor on the learning rate: lines of a Python function (step, steps_per_epoch, epochs) with `math`."""


@dataclass(frozen=True, slots=True)
class Term:
    """One loss, as a part of what is minimised."""

    target: str = "y"
    """The name of the feed that it reads."""
    name: str = ""
    """What results call it; empty if it is the only one."""
    scale: float = 1.0
    """The factor on what an evaluation finds of it, in the sum of all."""
    axis: int = 0
    """Of a sample of the output that it reads: along which classes lie, if it is over classes."""
    mask: str | None = None
    """The name of the feed that says which places count, if not all do."""

    def of(self, measure: str) -> str:
        """What the function `evaluate` calls a measure of it: `loss`, `hits`, `kept` or `weight`.

        Not as arrays are called: `aux.weight` is one of the layer `aux`.
        """
        return f"{self.name}:{measure}" if self.name else measure

    def told(self, mean: str) -> str:
        """What results call a mean of it: `loss` or `accuracy`, of several losses `aux.loss`."""
        return f"{self.name}.{mean}" if self.name else mean


@dataclass(frozen=True, slots=True)
class Compiled:
    """A spec after all stages that do not depend on a backend. Plain data: no YAML, no pydantic."""

    name: str
    spec_hash: str
    version: str
    forward: Function
    evaluate: Function
    step: Function
    probing: Probing
    state: tuple[Slot, ...]
    feeds: tuple[Feed, ...]
    """The arrays of a batch: what the network reads, then the targets of its loss."""
    lr: float
    """The learning rate of a step that is given none."""
    initial: Initial
    tasks: tuple[HostTask, ...] = ()
    anchor: Anchor | None = None
    recipe: Recipe = Recipe()
    losses: tuple[Term, ...] = (Term(),)
    """The first is that of the network's output."""
    solution: Solution | None = None
    """How parameters are found that no step moves; None where steps do."""
    views: Callable[[View], Compiled] | None = None
    """Makes a compiled spec of its own, whose probe gives arrays by the names of layers, or of parameters."""
    fit: Callable[[Compiled], Compiled] = lambda other: other
    """Makes of another compiled spec one in ops that the same backend has, as this one is."""
    spec: str = "{}"
    """The whole spec as JSON: what a file of its state carries along."""
    disabled: frozenset[str] = frozenset()
    """The names of passes that are left out, those of backends among them."""

    @property
    def probe(self) -> Function:
        """(x, y, step, state) -> measurements; made now if it was not yet."""
        return self.probing.made[0]

    @property
    def readings(self) -> tuple[Reading, ...]:
        """What is made of its arrays on the host; made now if they were not yet."""
        return self.probing.made[1]

    @property
    def anchors(self) -> Compiled | None:
        """The same with the step that comes in the place of some, if there is one: what a backend runs at these."""
        if self.anchor is None:
            return None
        step = replace(self.anchor.step, name="step")
        return replace(self, name=f"{self.name}, {self.anchor.step.name}", step=step, tasks=(), anchor=None)

    def step_at(self, number: int) -> Function:
        """The function of a step, by the number of those before it."""
        anchor = self.anchor
        return self.step if anchor is None or (number + 1) % anchor.every else anchor.step

    @property
    def inputs(self) -> tuple[Feed, ...]:
        """What the network reads."""
        return tuple(feed for feed in self.feeds if feed.loss is None)

    @property
    def targets(self) -> tuple[Feed, ...]:
        """What the loss reads beside the output."""
        return tuple(feed for feed in self.feeds if feed.loss is not None)

    @property
    def output(self) -> tuple[int, ...]:
        """Shape of one sample of the network's output."""
        (_, value), *_ = self.forward.outputs
        return tuple(dim for dim in value.type.shape[1:] if isinstance(dim, int))

    @property
    def about(self) -> dict[str, str]:
        """The metadata that tells whose state a file holds."""
        return {
            "name": self.name,
            "spec_hash": self.spec_hash,
            "version": self.version,
            "seed": str(self.recipe.seed),
            "spec": self.spec,
        }
