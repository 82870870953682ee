"""What a loss says of its targets and of its smallest values, held against the loss and its derivative."""

from __future__ import annotations

from collections.abc import Sequence
from math import isinf, prod
from typing import Any

import numpy as np

from fac.backend import Array
from fac.plugins import kinds
from fac.program.kinds import LossKind, Mode, ShapeError
from fac.program.program import Shape
from fac.step.builder import Builder
from fac.step.ir import Value
from fac.step.labelled import Labelled
from fac.step.reverse import Edits, Reverse
from fac.step.types import SCALAR, DType, N, Type
from fac.testing.case import require
from fac.testing.evaluated import evaluated, near

LABELS = (0, 1, 0, 0, 0, 1, 2)
PARTS = (slice(0, 2), slice(2, 5), slice(5, 7))
"""Of the samples. All labels of one part are alike."""
SPAN = 4.0
"""Between the targets of a loss that says no bounds for them."""
DESCENTS, GROWTH, NEARLY = 100, 1.3, 1e-3
"""Steps down to the best output, by what a step grows on a straight way, and relative to the loss of zeros, how near
they come."""
OTHERS: dict[bool, tuple[Shape, ...]] = {True: ((2,), (5,)), False: ((1,), (4,), (2, 3))}
"""Shapes of outputs that networks may have, by whether targets are classes."""


class Measured:
    """A loss, of samples whose outputs are free: all the same one, or each one of its own."""

    def __init__(self, kind: LossKind, loss: Any, shape: Shape, *, common: bool, behind: str = "") -> None:
        """Write it.

        Args:
            kind: of the loss.
            loss: its settings.
            shape: of an output.
            common: whether all samples have the same output.
            behind: the kind of a layer through which the outputs go before they come to the loss.
        """
        self.kind, self.loss, self.shape, self.size = kind, loss, shape, prod(shape)
        self.rows = 1 if common else len(LABELS)
        self.b = b = Builder()
        wide = self.size + len(LABELS)
        x = b.input("x", Type((N, wide)))
        y = b.matmul(x, b.input("targets", Type((wide, self.size))))
        self.free = b.input("free", Type((self.rows, self.size)))
        chosen = b.matmul(x, b.matmul(b.input("places", Type((wide, self.rows))), self.free))
        output = b.reshape(chosen, (N, *shape))
        if behind:
            layer = next(kind for kind in kinds("fac.layers") if kind.name == behind)
            mode = Mode("it", True, 0, lambda: b.constant(3))
            output = layer.forward(b, layer.spec(), [output], {}, mode)
        given = b.argmax(y) if kind.classes else b.reshape(y, (N, *shape))
        self.output, self.targets = output, given
        self.found = kind.forward(b, loss, output, given)
        self.counted = kind.weight(b, loss, output, given)
        self.y = self._targets()
        """[samples, numbers of an output]; of classes one 1 in each row."""
        own = np.zeros((self.rows, wide)) if common else np.eye(wide)[self.size :]
        own[:, self.size :] += 1 if common else 0
        self.state = {"targets": np.eye(wide)[:, : self.size], "places": own.T}

    @property
    def given(self) -> Array:
        """The targets as `constant` and `least` read them."""
        return self.labels if self.kind.classes else self.y.reshape(-1, *self.shape)

    def at(self, value: Value, place: Array, rows: slice = slice(None)) -> Array:
        """A value that is not one of each sample, of some of the samples."""
        x = np.concatenate([self.y, np.eye(len(LABELS))], axis=1)[rows]
        wide = self.b.broadcast_to(value, (N, *value.type.shape))
        found: Array = evaluated(self.b, wide, x, {**self.state, "free": place})[0]
        return found

    def descended(self) -> tuple[float, float]:
        """The loss of zeros, and of the best output that is found from there on its gradient."""
        b = self.b
        gradient = Reverse(b, self.found, Edits(), frozenset({self.free})).cotangent(self.free)
        require(gradient is not None, f"`{self.kind.name}` gives no error back")
        assert gradient is not None
        flat = b.reshape(gradient, (self.rows * self.size,))
        both = b.emit("concat", b.reshape(self.found, (1,)), flat, axis=0)
        # Each number by steps of its own, which know the sign of its slope alone: some go far, others stay near.
        place = np.zeros((self.rows, self.size))
        steps, before, losses = np.full(place.shape, 0.5), np.zeros(place.shape), list[float]()
        for _ in range(DESCENTS):
            here = self.at(both, place)
            losses.append(float(here[0]))
            slopes = np.sign(here[1:].reshape(place.shape))
            steps *= np.where(slopes * before < 0, 0.5, GROWTH)
            place, before = place - slopes * steps, slopes
        return losses[0], min(losses)

    @property
    def labels(self) -> Array:
        """Of as many classes as there are."""
        found: Array = np.array(LABELS) % self.size
        return found

    def _targets(self) -> Array:
        if self.kind.classes:
            return np.eye(self.size)[self.labels]
        low, high = _bounds(self.kind)
        y = np.random.default_rng(0).uniform(low, high, (len(LABELS), self.size))
        y[0], y[1] = low, high
        return y


def check_loss(kind: LossKind, loss: Any, shape: Shape) -> None:
    """Hold what a loss says against it, on outputs of one shape.

    Raises:
        AssertionError: something that it says does not hold.
    """
    fault = kind.misfit(loss, shape)
    require(fault is None, f"`{kind.name}` cannot read an output of {list(shape)}: {fault}")
    require(
        kind.within is None or (not kind.classes and kind.within[0] < kind.within[1]),
        f"`{kind.name}` says that targets lie within {kind.within}: labels have no bounds, and numbers two",
    )
    _reads(kind, loss, shape)
    for other in OTHERS[kind.classes]:
        _misfit(kind, loss, other)
    _mean(Measured(kind, loss, shape, common=False))
    each, same = (Measured(kind, loss, shape, common=common) for common in (False, True))
    _least(each, "best output", kind.least(loss, each.given, shape))
    if kind.constant is not None:
        _least(same, "best constant output", kind.constant(loss, same.given, shape))
    if kind.inside:
        _inside(kind, loss, shape, kind.least(loss, each.given, shape))
    _surrogate(Measured(kind, loss, shape, common=False))


def _reads(kind: LossKind, loss: Any, shape: Shape) -> None:
    """A scalar of targets of the type that it says, and of no others."""
    value, words = _of(kind, loss, shape, kind.classes), ("class labels", "numbers")
    said, other = words if kind.classes else words[::-1]
    require(isinstance(value, Value), f"`{kind.name}` says that its targets are {said}, and cannot read them")
    require(isinstance(value, Value) and value.type == SCALAR, f"`{kind.name}` is no scalar")
    require(
        not isinstance(_of(kind, loss, shape, not kind.classes), Value),
        f"`{kind.name}` says that its targets are {said}, and reads {other}",
    )


def _of(kind: LossKind, loss: Any, shape: Shape, classes: bool) -> Value | Exception:
    """The loss of an output of that shape; why there is none."""
    b = Builder()
    y = Type((N,), DType.INT) if classes else Type((N, *shape))
    try:
        return kind.forward(b, loss, b.input("output", Type((N, *shape))), b.input("y", y))
    except Exception as error:  # whatever a kind raises
        return error


def _misfit(kind: LossKind, loss: Any, shape: Shape) -> None:
    """It says of what it cannot read why not, and by which of its fields."""
    fault = kind.misfit(loss, shape)
    if fault is None:
        found = _of(kind, loss, shape, kind.classes)
        why = f"and fails with {type(found).__name__}: {found}"
        require(
            isinstance(found, Value), f"`{kind.name}` says that it can read an output of {list(shape)}, {why}"
        )
        return
    require(isinstance(fault, ShapeError), f"`{kind.name}` says a misfit by {type(fault).__name__}")
    known = {None, "kind", *type(loss).model_fields}
    require(fault.field in known, f"`{kind.name}` says that `{fault.field}` misfits: there is no such field")


def _mean(measured: Measured) -> None:
    """The means over parts of the data become the mean over all of it."""
    kind, place = measured.kind, np.random.default_rng(1).standard_normal((len(LABELS), measured.size))
    require(
        measured.counted is None or measured.counted.type == SCALAR,
        f"the weight of `{kind.name}` is no scalar",
    )

    counted = measured.counted

    def sums(rows: slice) -> tuple[float, float]:
        mean = float(measured.at(measured.found, place, rows))
        weight = float(len(measured.y[rows]) if counted is None else measured.at(counted, place, rows))
        return (mean * weight if weight else mean), weight

    whole, parts = np.array(sums(slice(None))), np.sum([sums(rows) for rows in PARTS], axis=0)
    over = "samples" if measured.counted is None else "its `weight`"
    require(near(whole, parts), f"`{kind.name}` is no mean over {over}: it says another `weight` than that")


def _least(measured: Measured, of: str, told: float) -> None:
    start, found = measured.descended()
    require(
        abs(told - found) <= NEARLY * max(abs(start), NEARLY),
        f"`{measured.kind.name}` says that the {of} has a loss of {told:.4g}, and it has {found:.4g}",
    )


def _inside(kind: LossKind, loss: Any, shape: Shape, least: float) -> None:
    """A network that applies it as well is kept from the best outputs."""
    names = {layer.name for layer in kinds("fac.layers")}
    require(kind.inside in names, f"`{kind.name}` says that it applies `{kind.inside}`, which is no layer")
    start, found = Measured(kind, loss, shape, common=False, behind=kind.inside).descended()
    require(
        found > least + NEARLY * abs(start),
        f"`{kind.name}` says that it applies `{kind.inside}`, and behind one its loss still falls to {found:.4g}",
    )


def _surrogate(measured: Measured) -> None:
    """What stands for the error reads no output, and has nowhere the other sign: for labels, or targets at bounds."""
    kind, b = measured.kind, measured.b
    if kind.surrogate is None:
        return
    error = Reverse(b, measured.found, Edits(), frozenset()).cotangent(measured.output)
    assert error is not None
    unread = Value("unread", measured.output.type)
    said = kind.surrogate(b, measured.loss, unread, measured.targets)
    said = said.whole(b) if isinstance(said, Labelled) else said
    require(said.type == error.type, f"the surrogate of `{kind.name}` has another shape than its error")
    reads = any(unread in op.operands for op in b.ops)
    require(
        not reads, f"the surrogate of `{kind.name}` reads the output, which stands above all that it is for"
    )
    x = np.concatenate([measured.y, np.eye(len(LABELS))], axis=1)
    place = np.random.default_rng(1).standard_normal((len(LABELS), measured.size))
    given = {**measured.state, "free": place}
    true, stands = (evaluated(b, value, x, given).reshape(measured.y.shape) for value in (error, said))
    told = np.isin(measured.y, _bounds(kind)) if not kind.classes else np.ones_like(measured.y, np.bool_)
    wrong = (true * stands < 0) & told
    require(
        bool(stands.any()) and not wrong.any(),
        f"the surrogate of `{kind.name}` has another sign than its error",
    )


def _bounds(kind: LossKind) -> Sequence[float]:
    """Numbers between which targets may lie."""
    low, high = kind.within or (-SPAN / 2, SPAN / 2)
    if isinf(low):
        low = min(high, SPAN / 2) - SPAN
    return low, low + SPAN if isinf(high) else high
