"""Every op, run as the forward pass of a network that does nothing else.

A backend promises to run whole functions on x and state, not single ops, so operands have to come from there: those
with a batch dimension are columns of x, cut out by exact products with matrices of zeros and ones; the others are
state; scalars are both, one after the other, because backends treat numbers that are known beforehand differently.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import product
from math import prod
from types import MappingProxyType
from typing import Any

import numpy as np

from fac.backend import Array, Compiled, Feed, Initial, Precision, Probing, Slot, held
from fac.step.builder import Builder
from fac.step.ir import Function, Value
from fac.step.types import Batch, DType, N, Shape, Type
from fac.testing.calls import CALLS, Call, concrete, draw
from fac.testing.case import Answers, Case, Subject, agreement

SAMPLES = (4, 1)


def cases() -> Iterator[Case]:
    """One for each call."""
    for call in CALLS:
        yield agreement("op", call.id, partial(results, call))


def results(call: Call, subject: Subject) -> Answers:
    """What the call makes at every batch size, with each FLOAT scalar as a number and as a tensor."""
    found: dict[str, Any] = {}
    scalars = [k for k, type in enumerate(call.operands) if type == Type(())]
    for kept in product((False, True), repeat=len(scalars)):
        tensors = {k for k, tensor in zip(scalars, kept, strict=True) if tensor}
        session = subject.open_functions(only(call, tensors))
        for n in SAMPLES:
            where = f"{n} samples, scalars {sorted(tensors)} in tensors"
            found[where] = session.forward(columns(call, n))
    return found


def only(call: Call, tensors: set[int]) -> Compiled:
    """Functions of which `forward` makes the call and the others move one number.

    Args:
        call: the op and its operands.
        tensors: which of the scalar operands are tensors; the other ones are constants.
    """
    wiring = Wiring(call)
    b = wiring.b
    operands = [wiring.operand(k, k in tensors) for k in range(len(call.operands))]
    result = b.cast(b.emit(call.kind, *operands, **call.attributes), DType.FLOAT)
    if result.type.shape[:1] != (N,):
        result = b.broadcast_to(result, (N, *result.type.shape))
    sample, output = shape_of_x(call), without_batch(result.type.shape)
    return forward_alone(b.finish("forward", {"output": result}), sample, output, wiring.state)


def forward_alone(
    forward: Function,
    sample: tuple[int, ...],
    output: tuple[int, ...],
    state: Mapping[str, Array],
    classes: int | None = None,
) -> Compiled:
    """A forward pass that reads `state`, beside functions that move one number, the `weight`."""
    kept, feeds = (
        {"weight": np.ones(1), **state},
        (Feed("x", sample, classes=classes), Feed("y", output, "none")),
    )
    evaluate, step, probe = (plain(name, feeds) for name in ("evaluate", "step", "probe"))
    return Compiled(
        name="alone",
        spec_hash="0" * 16,
        version="0",
        forward=forward,
        evaluate=evaluate,
        step=step,
        probing=Probing(lambda: (probe, ())),
        state=tuple(Slot(name, array.shape, name in state) for name, array in kept.items()),
        feeds=feeds,
        lr=0.1,
        initial=starting_from(kept),
    )


def starting_from(state: Mapping[str, Array]) -> Initial:
    """Initial values that depend on nothing."""

    def initial(
        given: Mapping[str, Array] = MappingProxyType({}), precision: Precision = "float64"
    ) -> Mapping[str, Array]:
        return {name: held(name, a, precision) for name, a in {**state, **given}.items()}

    return initial


class Wiring:
    """A forward pass that has x, and the state that brings its operands to where the call can take them."""

    def __init__(self, call: Call) -> None:
        self.call, self.b = call, Builder()
        self.x = self.b.input("x", Type((N, *shape_of_x(call))))
        self.state: dict[str, Array] = {}

    def operand(self, k: int, tensor: bool) -> Value:
        """Operand number k, which is a tensor even if it is a scalar, or may be a number."""
        type = self.call.operands[k]
        if k in batched(self.call):
            return self._from_x(k, type)
        drawn = draw(self.call, 1)[k]
        if type.shape == () and not tensor:
            number = self.b.constant(int(drawn) if type.dtype == DType.BOOL else drawn)
            return self.b.cast(number, type.dtype)
        # As an input of its own a scalar would be a number that is known beforehand, such as `lr`.
        kept = self._kept(f"a{k}", np.reshape(drawn, concrete(type.shape, 1) or (1,)))
        return self.b.cast(self.b.reshape(kept, type.shape), type.dtype)

    def _from_x(self, k: int, type: Type) -> Value:
        """X itself if nothing else is in it."""
        value = self.x
        if len(batched(self.call)) > 1:
            value = self.b.matmul(value, self._kept(f"columns{k}", selection(self.call, k)))
        at, _ = batch_axis(type.shape)
        rest = (*type.shape[:at], *type.shape[at + 1 :])
        value = self.b.reshape(value, (N, *sample_of(type.shape)))
        lead = len(value.type.shape) - len(rest)
        later = range(lead, lead + at), range(lead), range(lead + at, lead + len(rest))
        turned = self.b.transpose(value, [axis for part in later for axis in part])
        return self.b.cast(self.b.reshape(turned, type.shape), type.dtype)

    def _kept(self, name: str, array: Array) -> Value:
        self.state[name] = array
        return self.b.input(name, Type(array.shape))


def batched(call: Call) -> list[int]:
    """Numbers of the operands that x holds."""
    return [k for k, type in enumerate(call.operands) if without_batch(type.shape) != type.shape]


def batch_axis(shape: Shape) -> tuple[int, int]:
    """Which dimension depends on N, and how many times N it is."""
    return next((axis, dim.times) for axis, dim in enumerate(shape) if isinstance(dim, Batch))


def without_batch(shape: Shape) -> tuple[int, ...]:
    """The dimensions of one sample."""
    return tuple(dim for dim in shape if not isinstance(dim, Batch))


def sample_of(shape: Shape) -> tuple[int, ...]:
    """What it holds of one sample: how many times, if more than once, then the other dimensions."""
    times = batch_axis(shape)[1]
    return (times, *without_batch(shape)) if times > 1 else without_batch(shape)


def by_sample(array: Array, shape: Shape, n: int) -> Array:
    """An operand of that shape as [n, *sample_of(shape)]."""
    at, times = batch_axis(shape)
    apart = np.reshape(array, (*array.shape[:at], n, times, *array.shape[at + 1 :]))
    return np.reshape(np.moveaxis(apart, (at, at + 1), (0, 1)), (n, *sample_of(shape)))


def width(shape: Shape) -> int:
    """Numbers per sample."""
    return prod(sample_of(shape))


def shape_of_x(call: Call) -> tuple[int, ...]:
    """Of one sample: that of the only operand in x, or a row of columns of all of them."""
    inside = [call.operands[k].shape for k in batched(call)]
    return sample_of(inside[0]) if len(inside) == 1 else (sum(map(width, inside)) or 1,)


def columns(call: Call, n: int) -> Array:
    """X for n samples, that holds the operands."""
    drawn = draw(call, n)
    rows = [by_sample(drawn[k], call.operands[k].shape, n) for k in batched(call)]
    if len(rows) == 1:
        return np.asarray(rows[0], np.float64)
    return np.concatenate([row.reshape(n, -1) for row in rows], 1) if rows else np.zeros((n, 1))


def selection(call: Call, k: int) -> Array:
    """[columns of x, columns of operand k]: 1 where they are the same."""
    start = sum(width(call.operands[j].shape) for j in batched(call) if j < k)
    own = width(call.operands[k].shape)
    return np.eye(own, shape_of_x(call)[0], start).T


def plain(name: str, feeds: Sequence[Feed]) -> Function:
    """The loss is the one weight, which a step multiplies by lr."""
    b = Builder()
    for feed in feeds:
        b.input(feed.name, feed.type)
    weight = b.input("weight", Type((1,)))
    loss = {"loss": b.sum(weight, (0,))}
    return b.finish(name, loss | {"weight": b.mul(weight, b.scalar("lr"))} if name == "step" else loss)
