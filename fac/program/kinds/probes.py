"""Probes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fac.program.kinds.base import Kind
from fac.program.kinds.feedback import Signals
from fac.program.program import Program, Route
from fac.spec.base import Model
from fac.step.builder import Builder
from fac.step.contraction import Contraction
from fac.step.ir import Value


@dataclass(frozen=True, slots=True)
class Sweeps:
    """What a probe may look at: one forward pass, and two backward sweeps over it."""

    program: Program
    values: Mapping[str, Value]
    """Outputs of nodes by name."""
    targets: Mapping[str, Value]
    """What losses read beside outputs, by name."""
    state: Mapping[str, Value]
    """State tensors by full name."""
    routed: Callable[[Value], Value | None]
    """The cotangent under the routing that is trained."""
    true: Callable[[Value], Value | None]
    """The cotangent under backpropagation on the same forward values."""
    contraction: Callable[[str], Contraction]
    """The product of a weighted node with its weight."""
    signals: Callable[[Route], Signals | None]
    """What the operator of a route reads and may learn from; None if no error arrives there."""
    moved: Callable[[str], Value | None]
    """What follows on a parameter, by its full name, under its update rule; None if it stays.

    At the learning rate of the spec, without its schedule."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What a session keeps for a probe from one measurement to the next."""

    step: int
    """How many steps were made before this measurement."""
    kept: dict[Any, Any]
    """Empty at the first, and after another state was taken over."""
    epochs: int
    """How many measurements the trainer makes: one after each epoch of the spec."""


@dataclass(frozen=True, slots=True)
class ProbeKind(Kind):
    """A measurement: named scalars from one batch. NaN stands for what is undefined there, and stops nothing."""

    name: str
    spec: type[Model]
    build: Callable[[Builder, Any, Sweeps], Iterable[tuple[str, Value]]]
    """`build(builder, probe, sweeps)`: names, such as `fc1.size`, and FLOAT scalars. Outputs and targets in `sweeps`
    are [N, *shape], of all samples of the batch."""
    measures: Mapping[str, str] = field(default_factory=dict)
    """How its names end, and what that is in a few words: `{"error.cosine": "cosine of routed and true error"}` of
    `fc1.error.cosine`. Pictures draw what ends alike, layer by layer, on one pair of axes."""
    standard: bool = True
    """Whether it is measured where a spec says nothing of probes."""
    finish: Callable[[Any, Mapping[str, Any], Memory], Mapping[str, float]] | None = None
    """`finish(probe, found, memory)`, for what no op does: what is measured, made on the host of what `build` gives.

    That may then be of any shape, and is a NumPy array here. The function may import NumPy; its module may not."""
    keeps: Callable[[Any, Program], int] = lambda *_: 0
    """`keeps(spec, program)`: how many numbers are in its `memory.kept` at most, in the precision of the run."""
