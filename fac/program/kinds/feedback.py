"""Feedback operators, ways to learn, and the short-hands for sets of routes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fac.program.kinds.base import Kind, ShapeError, State
from fac.program.program import Ends, Program
from fac.program.tensors import Tensor
from fac.spec.base import Model
from fac.spec.feedback import Learning, ThroughRoute, ToRoute
from fac.spec.feedback import Subspace as SubspaceSpec
from fac.spec.ranks import AutoRank
from fac.step.builder import Builder
from fac.step.contraction import Contraction
from fac.step.ir import Value
from fac.step.labelled import Labelled
from fac.step.random import Stream


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
    drawn: Tensor | None
    """How that weight is kept and was drawn, for operators that draw alike."""
    stream: Stream
    """Random numbers of this step, for operators that draw; under the name of the operator."""
    ahead: Callable[[Builder, Value], Value] | None = None
    """See `slope`. None on a `through` route, and where a subspace learns."""
    labelled: Labelled | None = None
    """The error, if it holds one number in each row: then what is made of it here is made without a product."""

    def read(self, b: Builder, matrix: Value) -> Value:
        """[places, r]: what a matrix [r, reads] reads of the error."""
        if self.labelled is not None:
            return self.labelled.product(b, b.transpose(matrix, (1, 0)))
        return b.matmul(self.error, matrix, tb=True)

    def sent(self, b: Builder, rows: Value, matrix: Value) -> Value:
        """What rows [places, r] send past a matrix [r, writes]: for `error` and `weight`, backpropagation."""
        if self.labelled is not None and rows is self.error:
            return self.labelled.product(b, matrix)
        return self._way.sent(b, rows, matrix)

    def taught(self, b: Builder, rows: Value) -> Value:
        """[r, writes]: the gradient of a matrix past which [places, r] is sent; for `error` that of the weight."""
        if self.labelled is not None and rows is self.error:
            return self.labelled.taught(b, self._way.x)
        return self._way.taught(b, rows)

    def answer(self, b: Builder, matrix: Value) -> Value:
        """[places, r]: the forward product of what is fed with a matrix [r, writes]."""
        return self._way.answer(b, matrix)

    def slope(self, b: Builder, rows: Value) -> Value:
        """[places, 1]: by how much the loss grows, per step along rows [places, writes], where the operator sends such.

        It is that of the sample of each row, found in forward mode: no weight is read the other way round. Of a layer
        that mixes samples, as the moments of a batch do, what a sample does to the loss of others is left out.
        """
        if self.ahead is None:
            raise ValueError("only where a `to` route leads is there a slope of the loss")
        return self.ahead(b, rows)

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
    """`tensors(matrix, ends)`: its state, named `{ends.prefix}.PART`. `matrix` is the operator as the spec has it, here
    and below; `ends` say what it reads and writes, and on a `through` route the weight that it replaces."""
    apply: Callable[[Builder, Any, State, Signals], Value]
    """`apply(builder, matrix, state, signals)`: what `signals.sent` makes of the error, without `scale`.

    The error is [places, reads]. `state` holds the values of `tensors` by their PART.
    """
    learn: Callable[[Builder, Any, State, Signals], Iterable[Learned]] = lambda *_: ()
    """`learn(builder, matrix, state, signals)`: what is learned of `tensors`, each in the shape of its own."""
    misfit: Callable[[Any, Ends], ShapeError | None] = lambda *_: None
    """`misfit(matrix, ends)`: why the operator cannot connect these ends, if it cannot."""
    rank: Callable[[Any, Ends], int | None] = lambda *_: None
    """`rank(matrix, ends)`: the rank that the spec writes out, if it does; see `auto`."""
    auto: Callable[[Any], AutoRank | None] = lambda _: None
    """`auto(matrix)`: by what its field `rank` is to be measured, if the spec leaves it to that. Until it is, `rank` is
    the highest that it can come to."""
    refresh: Callable[[Any], int | None] = lambda _: None
    """`refresh(matrix)`: every how many steps the factors are set anew from the SVD of the weight, if ever."""
    learning: Callable[[Any], Mapping[str, Learning]] = lambda _: {}
    """`learning(matrix)`: the rule of the spec that teaches each tensor, by the last part of its name."""
    shared: Callable[[Any], bool] = lambda _: False
    """`shared(matrix)`: whether `to` routes from one source that say the same share one state, of `Ends.shared` rows:
    each has the first ones."""
    signs: Callable[[Any], bool] = lambda _: False
    """`signs(matrix)`: whether of the forward weight its signs alone are read, so that d<F, W> = <F, dW> while none of
    them turns."""
    matrix: Callable[[Builder, Any, Ends, State, Value | None], Value] | None = None
    """`matrix(builder, matrix, ends, state, weight)`: the operator whole, without `scale`, for probes.

    [reads, writes], as the weight, on a `through` route; [writes, reads] on a `to` route.
    """


@dataclass(frozen=True, slots=True)
class LearningKind(Kind):
    """How one matrix, or one factor of a low-rank pair, learns. None where the rule has nothing to say.

    Each function is called as `full(builder, rule, state, signals)`: `rule` is what the spec says of the learning,
    `state` holds the matrices of the operator by name, B, or P [r, reads] and Q [writes, r]. What it gives is a
    pseudo-gradient or the next value of its own matrix, in the shape of that.
    """

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
    """`expand(rule, program)`: the routes, by names of layers. `rule` is the short-hand as the spec has it; the
    program has its layers, and no routes yet. `fac.plugin.layerwise` and its like name the layers that it is about."""
    changes: bool = False
    """Whether it is meant to change something: FAC323 reports where it gives no layer a route, and freezes none."""
    direct: bool = False
    """Whether its `nodes` are layers with parameters, to which it brings errors; if not, those with weights."""
