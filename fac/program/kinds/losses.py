"""Losses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fac.program.kinds.base import Kind, ShapeError
from fac.program.program import Shape
from fac.spec.base import Model
from fac.step.builder import Builder
from fac.step.ir import Value
from fac.step.labelled import Labelled

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Unsettled:
    """A field of a loss that becomes numbers once the labels are counted that are trained on."""

    field: str
    by: str
    """What the spec says in their place."""
    settled: Callable[[NDArray[Any], Sequence[str]], Any]
    """`settled(count, names)`: what to write instead, of how many labels [C] each class has that count, and what the
    classes are called. Raises ShapeError: there is nothing to write."""


@dataclass(frozen=True, slots=True)
class LossKind(Kind):
    """A loss: a scalar from the output and the targets."""

    name: str
    spec: type[Model]
    classes: bool
    """Whether targets are class labels INT [N] rather than FLOAT of the output's shape."""
    forward: Callable[..., Value]
    """`forward(builder, loss, output, y)`: a FLOAT scalar, of output [N, *shape] and y, the same shape or labels. A
    loss over classes reads rows, output [N, C] and y [N]: samples, or all places of all samples. Where not all of them
    count, a loss that `masks` is given a fifth argument, FLOAT [N], 1 for what counts and 0 for the rest, and reads
    rows whatever it is over."""
    constant: Callable[[Any, NDArray[Any], Shape], float] | None = None
    """`constant(loss, y, output shape)`: the loss of the best output that is the same for all samples, which a network
    that learned something of x beats. y is [n] labels that count, of rows of C numbers, or [n, *output] targets. None:
    not known, and to judge a training takes two evaluations of all training samples."""
    least: Callable[[Any, NDArray[Any], Shape], float] = lambda *_: 0.0
    """Likewise, of the best output that there is: targets that say two things at once leave a rest."""
    weight: Callable[..., Value | None] = lambda *_: None
    """The scalar, of the same arguments, that the loss is the mean over, where that is not the number of rows: so
    means over parts of the data become the mean over all of it. Where it is 0, the loss is what would have been
    divided by it: label smoothing gives a loss to samples whose own class weighs nothing."""
    surrogate: Callable[..., Labelled | Value] | None = None
    """What stands for the error at the output where targets alone are known, of the same arguments: in each number it
    is zero, or has the sign of the error. Of the output it is given the type and no value. None: targets do not tell
    the sign, and nothing can be projected in place of the error."""
    misfit: Callable[[Any, Shape], ShapeError | None] = lambda *_: None
    """`misfit(loss, shape)`: why the loss cannot read an output of this shape, if it cannot; over classes, rows of this
    shape."""
    unsettled: Callable[[Any], Unsettled | None] = lambda _: None
    """What only training data can tell of this loss over classes, if anything: then nothing is made to run until a
    training has written it into its spec. Up to there the loss has the ops that it will have."""
    within: tuple[float, float] | None = None
    """Between which numbers targets have to lie, both included."""
    masks: bool = False
    """Whether it can leave rows out."""
    ignored: Callable[[Any], int | None] = lambda _: None
    """`ignored(loss)`: the label of rows that it leaves out, which need not be a class."""
    inside: str = ""
    """What the loss applies to the output itself, so that the network must not: `softmax`, `sigmoid`."""
    aim: Callable[[Any], Callable[[Builder, Value, Value], Value]] | None = None
    """`aim(loss)` is a function (builder, output, y): the output that the targets y ask for, of the output that there
    is, both [N, C] over classes; for rules that solve (`fac.solve`). Raises ShapeError where its settings leave none.
    None: it asks for no one output."""
