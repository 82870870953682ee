"""Rules that set parameters from all training samples at once, and how targets go back through layers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fac.diagnostics import Path
from fac.program.kinds.base import Kind, State
from fac.program.program import Node, Program
from fac.program.tensors import Tensor
from fac.spec.base import Model
from fac.step.builder import Builder
from fac.step.ir import Value

if TYPE_CHECKING:
    from fac.backend.solution import Solved, Solving

EPS = 1e-5
"""How far targets stay from the ends of what a layer can make, where its inverse is infinite."""


@dataclass(frozen=True, slots=True)
class Back:
    """What a layer may read while targets of its output go back through it."""

    input: Value
    """What it reads as the network is now. Who reads it has the forward pass computed below."""
    state: State
    """Its parameters."""
    inverse: Value | None
    """(W^+)^T, the pseudoinverse of its weight W [reads, writes], in the shape of the weight; None without a weight."""
    low: Value | None
    """The smallest of the targets of all training samples: a scalar, for layers that are `ranged`."""
    high: Value | None
    """The largest of them."""


@dataclass(frozen=True, slots=True)
class Inverse:
    """How targets go back through a layer."""

    back: Callable[[Builder, Value, Back], Value]
    """`back(builder, targets, seen)`: what the layer should read in order to make targets [N, *output]."""
    ranged: bool = False
    """Whether it maps the range of its targets onto that of its output first. What the layer makes is then an affine
    map away from its targets, the same for all numbers: the parameters above take that up."""
    moves: bool = False
    """Whether the layer moves numbers and changes none, so that such a map passes it."""
    rows: Callable[[Builder, Value], Value] | None = None
    """`rows(builder, input)`: the features that its weight, kept as [out, ...], multiplies, [places, in], for layers
    that can be solved: one row of them for each place of each sample, as the channels of their output stand there."""


@dataclass(frozen=True, slots=True)
class Passing:
    """What the pieces of a solve rule are written with: one forward pass, and the output that the loss asks for."""

    program: Program
    values: Mapping[str, Value]
    """Outputs of nodes by name, with layers as in inference; of the inputs, too."""
    state: Mapping[str, Value]
    """State tensors, and those that the rule keeps while it solves, by full name."""
    asked: Value
    """The output [N, *output] that the targets of the data ask for, see `LossKind.aim`."""
    held: Mapping[str, Value]
    """Pieces whose rows are there already, [N, columns], by name. Layers that are have their place in `values`."""


@dataclass(frozen=True, slots=True)
class Unsolvable:
    """Something in a program that a rule cannot solve, or that it would leave without effect."""

    path: Path
    message: str
    help: str


@dataclass(frozen=True, slots=True)
class SolveKind(Kind):
    """A rule that sets parameters from all training samples at once.

    It is written in pieces, functions of a batch that every backend runs, and a procedure on the host that asks for
    what they make of all samples.
    """

    name: str
    spec: type[Model]
    misfits: Callable[[Any, Program], Iterable[Unsolvable]]
    """What keeps the rule from solving a program, whose shapes may be unknown."""
    order: Callable[[Any, Program], tuple[Node, ...]]
    """The layers that it solves, one after the other."""
    kept: Callable[[Any, Program], tuple[Tensor, ...]]
    """Arrays that the pieces read and `run` writes, beside the state; zero at the start."""
    pieces: Callable[[Any, Program], tuple[str, ...]]
    """Names of the pieces."""
    write: Callable[[Builder, Any, Passing, str], Value]
    """`write(builder, spec, passing, piece)`: what a piece makes, [rows, columns], rows a multiple of the samples."""
    run: Callable[[Any, Program, Solving, int], Iterator[Solved]]
    """`run(spec, program, solving, done)`: solve the layers of `order` behind the first `done`, one at a time."""
    block: Callable[[Any, Program], int]
    """How many samples to read at a time."""
    memory: Callable[[Any, Node], int] = lambda *_: 0
    """Bytes that it takes to solve a layer, however many samples there are."""
    transports: Callable[[Any, Program], Sequence[str]] = lambda *_: ()
    """The layers of which it reads the weights to make targets for others."""
    remedy: str = "train with `update`"
    """What to do where the loss of what it finds is above that of the network at the start."""
