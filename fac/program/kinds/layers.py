"""Layers, and blocks of them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from fac.program.adapters import Branch
from fac.program.counted import Sight
from fac.program.kinds.base import Kind, ShapeError, State
from fac.program.kinds.counterparts import Counterpart
from fac.program.kinds.solve import Inverse
from fac.program.program import Node, Shape
from fac.program.tensors import Tensor
from fac.program.traits import Curve, Traits
from fac.spec.adapters import Lora
from fac.spec.base import Model
from fac.spec.layers import Layer
from fac.step.builder import Builder
from fac.step.ir import Value
from fac.step.types import DType

LAST = -1
"""The axis of the channels of tokens [T, d]."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a layer makes of the shapes that it reads."""

    shape: Shape
    tensors: tuple[Tensor, ...] = ()
    weight: Tensor | None = None
    """Which of the tensors the layer multiplies its input with: its axis `reads_axis`, mostly the first, makes the
    channels of the output. Where the layer keeps it in another shape, the same tensor in the shape in which it is
    multiplied; axes of 1 may be left out behind that one."""
    reads: tuple[Shape, ...] = ()
    """The shapes that it reads, for `traits`. Who infers need not say what it was told."""
    channels: int | None = None
    """The axis of the output that holds channels, if the layer makes them, from 0, or from -1 backwards: `LAST` of
    tokens [T, d], 0 of a map [C, H, W]. None if they stay along the axis on which they are; see `axes`. Who has a
    weight and makes more than a vector says it."""
    axes: tuple[int | None, ...] | None = None
    """For each axis of the output the axis of what it reads first, None for one that is made of several or of none.
    Left out, they are the same ones if there are as many, and else nobody knows."""
    stops: bool = False
    """Whether no error goes back to what it reads, because what it makes has no derivative there."""
    sights: tuple[Sight | None, ...] = ()
    """Which places of each of its inputs it reads, where a mask says it, or where it is a single one."""


@dataclass(frozen=True, slots=True)
class Mode:
    """How a forward pass is run."""

    node: str
    training: bool
    """Whether the layer behaves as in training. One that is `still` does not: it draws nothing, and moves no state."""
    seed: int
    number: Callable[[], Value]
    """Makes the number of the step an input of the function, when first called."""

    @property
    def step(self) -> Value | None:
        """INT scalar, the number of the step; None outside training. What asks for it draws random numbers."""
        return self.number() if self.training else None


@dataclass(frozen=True, slots=True)
class Made:
    """What a layer makes that also moves state: its output, and what follows on statistics.

    A step moves them; a probe does not, and what is said outside training counts for nothing.
    """

    value: Value
    state: State
    """The next values, by the last part of their names, of tensors whose role is STATISTIC."""


@dataclass(frozen=True, slots=True)
class LayerKind(Kind):
    """A layer: shapes first, then a forward function. It has no backward code."""

    name: str
    spec: type[Model]
    infer: Callable[[Any, str, Sequence[Shape]], Facts]
    """`infer(layer, node name, input shapes)`, of one sample and without the batch; raises ShapeError."""
    forward: Callable[[Builder, Any, Sequence[Value], State, Mode], Value | Made]
    """`forward(builder, layer, inputs, state, mode)`: what the layer makes, [N, *shape] of `infer`. Inputs are [N,
    *shape] each; `state` holds the values of its tensors by the last part of their names."""
    curve: Callable[[Any], Curve] | None = None
    """`curve(spec)`: what it makes of a number, if it treats every number alike; everything else is read off it."""
    traits: Callable[[Any, Facts | None], Traits] | None = None
    """`traits(spec, facts)`: what is known of any other layer; facts are None where its shape is not known."""
    classes: str | None = None
    """The field that says how many whole numbers it tells apart, 0, 1, ..., if it reads those, INT, and no real ones.
    Only an input of the network holds them. Where the spec leaves it at None it is as many as that has, and `infer` and
    `forward` are told so."""

    inverse: Callable[[Any, Sequence[Shape]], Inverse] | None = None
    """`inverse(spec, input shapes)`: how targets go back through the layer, for rules that solve (`fac.solve`). Raises
    ShapeError where its settings leave none. None: it has none."""

    ties: frozenset[str] = frozenset()
    """Other kinds of layers whose parameters it can share by `tie`, where names and shapes are equal."""

    lora: Callable[[Any, Lora], Branch | None] = lambda *_: None
    """`lora(spec, adapter)`: the layers of low rank beside it; None if it can have none. See `fac.layers.adapters`."""

    counterparts: tuple[Counterpart, ...] = ()
    """Operations of other frameworks that `fac import` reads as this layer."""

    @property
    def dtype(self) -> DType:
        """Of what it reads."""
        return DType.FLOAT if self.classes is None else DType.INT


class Inside(Protocol):
    """Where the layers of a block go while it is written out."""

    name: str
    """Of the block, in full."""
    input: str
    """The layer that the block reads; the first, if it may read several."""
    inputs: tuple[str, ...]
    """All that it reads."""
    beside: tuple[str, ...]
    """What the block reads beside these, by the fields of its spec that name it (`fac.spec.layers.Named`)."""

    def shape(self, name: str) -> Shape | None:
        """The shape of what a layer makes that stands already; None if it is unknown."""

    def chain(
        self,
        layers: Sequence[Layer],
        start: str,
        *key: str | int,
        scope: str = "",
        tie: str | None = None,
    ) -> Generator[Node, None, str]:
        """Layers that the spec writes, each of which reads the one before; to be used with `yield from`.

        Args:
            layers: in their order.
            start: what the first of them reads, which `input` means to all of them.
            key: where they stand in the block: its field, and an index if the field holds several lists.
            scope: a name for these layers together, so that others may have the same names: `block.SCOPE.fc1`.
            tie: the `scope` of the same layers, written before, whose parameters these share.

        Returns:
            The name of the last one's output; `start` if there are none.
        """

    def above(self, word: str) -> str | None:
        """The layer above the block that a word in one of its keys means; None if there is none."""

    def leaf(
        self,
        layer: Layer,
        inputs: Sequence[str],
        own: bool = False,
        misfit: ShapeError | None = None,
        scope: str = "",
        tie: str | None = None,
    ) -> Node:
        """A layer that the spec does not write, to be yielded.

        Args:
            layer: without `from`.
            inputs: the layers that it reads, as `chain`, `input` and other nodes are called.
            own: whether it bears the block's own name.
            misfit: why it cannot read these, if the block knows better words for that than the layer.
            scope: see `chain`; then it has to have a name.
            tie: see `chain`.
        """


@dataclass(frozen=True, slots=True)
class BlockKind(Kind):
    """A short-hand for layers. They are written out when a spec is lowered; nothing behind that knows blocks."""

    name: str
    spec: type[Model]
    expand: Callable[[Any, Inside], Iterator[Node]]
    """`expand(spec, inside)` yields the layers in an order in which each stands behind those that it reads. The last
    one is the block's output. Raises ShapeError."""
    several: bool = False
    """Whether it may read several layers, `inside.inputs`. Its `expand` then says how many."""
    times: str | None = None
    """The field that says how often it writes out the layers that it holds, if one does. With `own` that bounds a spec
    before anything of it is written out."""
    own: Callable[[Any], int] = lambda _: 0
    """How many layers it writes beside those that it holds, each time."""
    unrolled: bool = False
    """Whether it writes more, as many as what it reads is long: those are counted while they are written out."""
