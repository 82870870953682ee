"""What a plug-in declares. The core's own kinds are declared in the same way, in the folder of their family.

What a kind reads, and so whether it transports weights or draws random numbers, is no declaration:
`fac.program.reading` finds it. What is declared here and cannot be found so, `fac.testing.declarations` holds.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from fac.plugins import Refusal
from fac.program.program import Ends, Node, Program, Route, Shape
from fac.program.tensors import Tensor
from fac.program.traits import Curve, Traits
from fac.spec.base import Model
from fac.spec.feedback import Learning, ThroughRoute, ToRoute
from fac.spec.feedback import Subspace as SubspaceSpec
from fac.spec.layers import Layer
from fac.step.builder import Builder
from fac.step.contraction import Contraction
from fac.step.ir import Value

if TYPE_CHECKING:
    from numpy.typing import NDArray

State = Mapping[str, Value]
"""Values of state tensors by the last part of their name (`weight`, `P`, ...)."""


class ShapeError(Refusal):
    """A layer cannot read what it is given. `field` is the key of the layer that the caret should stand under."""

    def __init__(self, message: str, help: str = "", field: str | None = None) -> None:
        super().__init__(message)
        self.help, self.field = help, field


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


@dataclass(frozen=True, slots=True)
class Mode:
    """How a forward pass is run."""

    node: str
    training: bool
    """Whether the layer behaves as in training. A frozen one does not: it draws nothing, and moves no state."""
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
class Unused:
    """A field that the other fields of its model, or the program, leave without effect."""

    field: str
    why: str
    """Completes "`field` has no effect ..."."""
    help: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What a kind of any family may declare."""

    unused: Callable[[Any, Program], Iterable[Unused]] = lambda *_: ()
    """`unused(spec, program)`. `fac check` reports those of the fields that the user wrote (FAC314).

    The field may be `kind` (or `rule`): then nothing of the spec has an effect.
    """


@dataclass(frozen=True, slots=True)
class LayerKind(Kind):
    """A layer: shapes first, then a forward function. It has no backward code."""

    name: str
    spec: type[Model]
    infer: Callable[[Any, str, Sequence[Shape]], Facts]
    """`infer(spec, node name, input shapes)`; raises ShapeError."""
    forward: Callable[[Builder, Any, Sequence[Value], State, Mode], Value | Made]
    curve: Callable[[Any], Curve] | None = None
    """`curve(spec)`: what it makes of a number, if it treats every number alike; everything else is read off it."""
    traits: Callable[[Any, Facts | None], Traits] | None = None
    """`traits(spec, facts)`: what is known of any other layer; facts are None where its shape is not known."""


class Inside(Protocol):
    """Where the layers of a block go while it is written out."""

    name: str
    """Of the block, in full."""
    input: str
    """The layer that the block reads."""

    def shape(self, name: str) -> Shape | None:
        """The shape of what a layer makes that stands already; None if it is unknown."""

    def chain(
        self, layers: Sequence[Layer], start: str, *key: str | int, scope: str = ""
    ) -> Generator[Node, None, str]:
        """Layers that the spec writes, each of which reads the one before; to be used with `yield from`.

        Args:
            layers: in their order.
            start: what the first of them reads, which `input` means to all of them.
            key: where they stand in the block: its field, and an index if the field holds several lists.
            scope: a name for these layers together, so that others may have the same names: `block.SCOPE.fc1`.

        Returns:
            The name of the last one's output; `start` if there are none.
        """

    def leaf(
        self, layer: Layer, inputs: Sequence[str], own: bool = False, misfit: ShapeError | None = None
    ) -> Node:
        """A layer that the spec does not write, to be yielded.

        Args:
            layer: without `from`.
            inputs: the layers that it reads, as `chain`, `input` and other nodes are called.
            own: whether it bears the block's own name.
            misfit: why it cannot read these, if the block knows better words for that than the layer.
        """


@dataclass(frozen=True, slots=True)
class BlockKind(Kind):
    """A short-hand for layers. They are written out when a spec is lowered; nothing behind that knows blocks."""

    name: str
    spec: type[Model]
    expand: Callable[[Any, Inside], Iterator[Node]]
    """`expand(spec, inside)` yields the layers in an order in which each stands behind those that it reads. The last
    one is the block's output. Raises ShapeError."""
    times: str | None = None
    """The field that says how often it writes out the layers that it holds, if one does. With `own` that bounds a spec
    before anything of it is written out."""
    own: Callable[[Any], int] = lambda _: 0
    """How many layers it writes beside those that it holds, each time."""


@dataclass(frozen=True, slots=True)
class LossKind(Kind):
    """A loss: a scalar from the output and the targets."""

    name: str
    spec: type[Model]
    classes: bool
    """Whether targets are class labels INT [N] rather than FLOAT of the output's shape."""
    forward: Callable[[Builder, Any, Value, Value], Value]
    constant: Callable[[Any, NDArray[Any], Shape], float] | None = None
    """`constant(spec, y, output shape)`: the loss of the best output that is the same for all samples, which a network
    that learned something of x beats. y is [n] labels or [n, *output] targets. None: not known, and to judge a training
    takes two evaluations of all training samples."""
    least: Callable[[Any, NDArray[Any], Shape], float] = lambda *_: 0.0
    """Likewise, of the best output that there is: targets that say two things at once leave a rest."""
    weight: Callable[[Builder, Any, Value, Value], Value | None] = lambda *_: None
    """`weight(builder, spec, output, y)`: the scalar that the loss is the mean over, where that is not the number of
    samples: so means over parts of the data become the mean over all of it. Where it is 0, the loss is what would have
    been divided by it: label smoothing gives a loss to samples whose own class weighs nothing."""
    misfit: Callable[[Any, Shape], ShapeError | None] = lambda *_: None
    """Why the loss cannot read an output of this shape, if it cannot."""
    within: tuple[float, float] | None = None
    """Between which numbers targets have to lie, both included."""
    inside: str = ""
    """What the loss applies to the output itself, so that the network must not: `softmax`, `sigmoid`."""


@dataclass(frozen=True, slots=True)
class Signals:
    """What a feedback operator reads and may learn from. All are values from before the step.

    Rules see rows and matrices, and leave it to the product past which the operator goes what becomes of them.
    """

    error: Value
    """What the operator reads, [places, reads]."""
    way: Contraction | None
    """The product of a layer, on a `through` route; on a `to` route the one that the operator stands for, of the value
    that is fed, as rows, and a weight that there is not. None where a subspace learns, which sends nothing."""
    weight: Value | None
    """The forward weight [reads, writes] that a `through` route replaces."""

    def sent(self, b: Builder, rows: Value, matrix: Value) -> Value:
        """What rows [places, r] send past a matrix [r, writes]: for `error` and `weight`, backpropagation."""
        return self._way.sent(b, rows, matrix)

    def taught(self, b: Builder, rows: Value) -> Value:
        """[r, writes]: the gradient of a matrix past which [places, r] is sent; for `error` that of the weight."""
        return self._way.taught(b, rows)

    def answer(self, b: Builder, matrix: Value) -> Value:
        """[places, r]: the forward product of what is fed with a matrix [r, writes]."""
        return self._way.answer(b, matrix)

    @property
    def _way(self) -> Contraction:
        if self.way is None:
            raise ValueError("the basis of a subspace sends nothing and feeds nothing")
        return self.way


@dataclass(frozen=True, slots=True)
class Learned:
    """What a learning rule says of one matrix: a pseudo-gradient for the update rule, or its next value."""

    tensor: str
    value: Value
    gradient: bool


@dataclass(frozen=True, slots=True)
class MatrixKind(Kind):
    """A feedback operator: its state, what it makes of an error, and how it learns."""

    name: str
    spec: type[Model]
    tensors: Callable[[Any, Ends], tuple[Tensor, ...]]
    apply: Callable[[Builder, Any, State, Signals], Value]
    """`apply(builder, spec, state, signals)`: what `signals.sent` makes of the error, without `scale`."""
    learn: Callable[[Builder, Any, State, Signals], Iterable[Learned]] = lambda *_: ()
    misfit: Callable[[Any, Ends], ShapeError | None] = lambda *_: None
    """Why the operator cannot connect these ends, if it cannot."""
    rank: Callable[[Any, Ends], int | None] = lambda *_: None
    """The rank that the spec writes out, if it does."""
    refresh: Callable[[Any], int | None] = lambda _: None
    """Every how many steps the factors are set anew from the SVD of the weight, if ever."""
    learning: Callable[[Any], Mapping[str, Learning]] = lambda _: {}
    """The rule of the spec that teaches each tensor, by the last part of its name."""
    matrix: Callable[[Builder, Any, Ends, State, Value | None], Value] | None = None
    """`matrix(builder, spec, ends, state, weight)`: the operator whole, without `scale`, for probes.

    [reads, writes], as the weight, on a `through` route; [writes, reads] on a `to` route.
    """


@dataclass(frozen=True, slots=True)
class LearningKind(Kind):
    """How one matrix, or one factor of a low-rank pair, learns. None where the rule has nothing to say."""

    name: str
    spec: type[Model]
    full: Callable[[Builder, Any, State, Signals], Learned] | None = None
    """A full matrix B, here [reads, writes] on every route."""
    read: Callable[[Builder, Any, State, Signals], Learned] | None = None
    """P of a low-rank pair, or of a subspace."""
    write: Callable[[Builder, Any, State, Signals], Learned] | None = None
    """Q of a low-rank pair."""
    follows: bool = False
    """Whether the matrix takes the step of the forward weight, so that the weight has to take it, too."""

    tracks: bool = False
    """Whether P and Q descend |W^T - Q P|^2 / 2, W the forward weight."""

    @property
    def teaches(self) -> bool:
        """Whether there is anything that the rule changes."""
        return any((self.full, self.read, self.write))


@dataclass(frozen=True, slots=True)
class Expansion:
    """The routes that a short-hand stands for, written in the spec's own vocabulary."""

    routes: tuple[ThroughRoute | ToRoute, ...] = ()
    subspaces: tuple[SubspaceSpec, ...] = ()
    frozen: tuple[str, ...] = ()
    """Layers that the rule does not train."""


@dataclass(frozen=True, slots=True)
class RuleKind(Kind):
    """A short-hand for a set of routes."""

    name: str
    spec: type[Model]
    expand: Callable[[Any, Program], Expansion]
    changes: bool = False
    """Whether it is meant to change something: FAC323 reports where it gives no layer a route, and freezes none."""
    direct: bool = False
    """Whether its `nodes` are layers with parameters, to which it brings errors; if not, those with weights."""


@dataclass(frozen=True, slots=True)
class Updated:
    """The next value of a parameter and of its optimiser state."""

    parameter: Value
    slots: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Descent:
    """m = momentum m + g, then w -= lr m, or lr (g + momentum m) in Nesterov's form; g is the gradient + decay w."""

    momentum: float
    nesterov: bool


@dataclass(frozen=True, slots=True)
class UpdateKind(Kind):
    """How a parameter moves once its gradient is known."""

    name: str
    spec: type[Model]
    slots: Callable[[Any], tuple[str, ...]]
    """Names of the optimiser state kept per parameter, each of the parameter's shape."""
    apply: Callable[[Builder, Any, Value, Value, State, Value, Value], Updated]
    """`apply(builder, spec, parameter, gradient, slots, lr, step)`."""
    descent: Callable[[Any], Descent | None] = lambda _: None
    """How its step is linear in the gradients, if it is."""
    decay: Callable[[Any], float] = lambda _: 0.0
    """How much of a weight is added to its gradient, or taken from it beside the gradient: at a rate lr the first step
    leaves 1 - lr decay of it, less in Nesterov's form. What passes through moments is no such decay."""
    moments: tuple[str, str] | None = None
    """The fields that say how slowly the mean of gradients forgets, and that of their squares, which divides it; the
    two are the first slots."""


@dataclass(frozen=True, slots=True)
class Sweeps:
    """What a probe may look at: one forward pass, and two backward sweeps over it."""

    program: Program
    values: Mapping[str, Value]
    """Outputs of nodes by name."""
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


@dataclass(frozen=True, slots=True)
class ProbeKind(Kind):
    """A measurement: named scalars from one batch. NaN stands for what is undefined there, and stops nothing."""

    name: str
    spec: type[Model]
    build: Callable[[Builder, Any, Sweeps], Iterable[tuple[str, Value]]]
