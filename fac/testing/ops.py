"""Every op, run as the forward pass of a network that does nothing else.

A backend promises to run whole functions on x and state, not single ops, so operands have to come from there: those
with a batch dimension are columns of x, cut out by exact products with matrices of zeros and ones; the others are
state; scalars are both, one after the other, because backends treat numbers that are known beforehand differently.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import product
from math import prod
from typing import Any

import numpy as np

from fac.backend import Array, Compiled, Slot
from fac.step.builder import Builder
from fac.step.ir import Function, Value
from fac.step.types import Batch, DType, N, Shape, Type
from fac.testing.calls import CALLS, Call, draw
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
        tensors: which of the scalar operands are state; the other ones are constants.
    """
    b = Builder()
    sample = shape_of_x(call)
    state: dict[str, Array] = {"weight": np.ones(1)}
    x = b.input("x", Type((N, *sample)))
    operands = [operand(b, x, call, k, tensors, state) for k in range(len(call.operands))]
    result = b.cast(b.emit(call.kind, *operands, **call.attributes), DType.FLOAT)
    if result.type.shape[:1] != (N,):
        result = b.broadcast_to(result, (N, *result.type.shape))
    output = tuple(dim for dim in result.type.shape[1:] if isinstance(dim, int))
    evaluate, step, probe = (plain(name, sample, output) for name in ("evaluate", "step", "probe"))
    return Compiled(
        name=call.kind,
        spec_hash="0" * 16,
        version="0",
        forward=b.finish("forward", {"output": result}),
        evaluate=evaluate,
        step=step,
        probe=probe,
        state=tuple(Slot(name, array.shape, name != "weight") for name, array in state.items()),
        sample=sample,
        output=output,
        classes=False,
        lr=0.1,
        initial=lambda: {name: array.copy() for name, array in state.items()},
    )


def operand(b: Builder, x: Value, call: Call, k: int, tensors: set[int], state: dict[str, Array]) -> Value:
    """Operand number k, made of x, of an array that is added to `state`, or of a number."""
    type = call.operands[k]
    if N in type.shape:
        return from_x(b, x, call, k, state)
    drawn = draw(call, 1)[k]
    if type.shape == () and k not in tensors:
        return b.constant(drawn)
    # A scalar that is an input of its own would be a number known beforehand, such as `lr`.
    state[f"a{k}"] = np.reshape(drawn, type.shape or (1,))
    return b.reshape(b.input(f"a{k}", Type(state[f"a{k}"].shape)), type.shape)


def from_x(b: Builder, x: Value, call: Call, k: int, state: dict[str, Array]) -> Value:
    """Operand number k, which is x itself if nothing else is in x."""
    type = call.operands[k]
    value = x
    if len(batched(call)) > 1:
        state[f"columns{k}"] = selection(call, k)
        value = b.matmul(x, b.input(f"columns{k}", Type(state[f"columns{k}"].shape)))
    if type.shape[0] == N:
        return b.cast(b.reshape(value, type.shape), type.dtype)
    state["identity"] = np.eye(width(type.shape))
    return b.matmul(b.input("identity", Type(state["identity"].shape)), value, tb=True)


def batched(call: Call) -> list[int]:
    """Numbers of the operands that x holds."""
    return [k for k, type in enumerate(call.operands) if N in type.shape]


def width(shape: Shape) -> int:
    """Numbers per sample."""
    return prod(dim for dim in shape if not isinstance(dim, Batch))


def shape_of_x(call: Call) -> tuple[int, ...]:
    """Of one sample: that of the only operand in x, or a row of columns of all of them."""
    inside = batched(call)
    if len(inside) == 1:
        return tuple(dim for dim in call.operands[inside[0]].shape if not isinstance(dim, Batch))
    return (sum(width(call.operands[k].shape) for k in inside) or 1,)


def columns(call: Call, n: int) -> Array:
    """X for n samples, that holds the operands."""
    drawn = draw(call, n)
    # The one operand with the batch in its second dimension comes back transposed.
    rows = [drawn[k].T if call.operands[k].shape[0] != N else drawn[k] for k in batched(call)]
    if len(rows) == 1:
        return np.asarray(rows[0], np.float64)
    return np.concatenate([row.reshape(n, -1) for row in rows], 1) if rows else np.zeros((n, 1))


def selection(call: Call, k: int) -> Array:
    """[columns of x, columns of operand k]: 1 where they are the same."""
    start = sum(width(call.operands[j].shape) for j in batched(call) if j < k)
    own = width(call.operands[k].shape)
    return np.eye(own, shape_of_x(call)[0], start).T


def plain(name: str, sample: tuple[int, ...], output: tuple[int, ...]) -> Function:
    """The loss is the one weight, which a step multiplies by lr."""
    b = Builder()
    for data, shape in (("x", sample), ("y", output)):
        b.input(data, Type((N, *shape)))
    weight = b.input("weight", Type((1,)))
    loss = {"loss": b.sum(weight, (0,))}
    return b.finish(name, loss | {"weight": b.mul(weight, b.scalar("lr"))} if name == "step" else loss)
