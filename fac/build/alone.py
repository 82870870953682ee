"""One function of a network as a compiled spec of its own: what a backend runs beside the step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from types import MappingProxyType

import numpy as np

from fac.backend import STEP, Array, Compiled, Feed, Precision, Probing, Reading, Slot
from fac.step.builder import Builder
from fac.step.feed import fed
from fac.step.ir import Function, Value


def alone(
    compiled: Compiled,
    function: Function,
    held: tuple[Feed, ...] = (),
    readings: tuple[Reading, ...] = (),
) -> Compiled:
    """Nothing but that function, fed with what it reads, targets too, and with the state that it needs.

    Args:
        compiled: what else the spec becomes.
        function: called `forward` or `probe`, of which it takes the place.
        held: what it is fed with beside the batch.
        readings: what is made of its arrays, if it is a probe.
    """
    read = {value for op in function.ops for value in op.operands} | {value for _, value in function.outputs}
    known = {feed.name: replace(feed, loss=None) for feed in (*compiled.feeds, *held)}
    taken = [value for value in function.inputs if value in read and value.name in known]
    feeds = tuple(known[value.name] for value in taken)
    numbers = [value for value in function.inputs if value.name == STEP and value in read]
    # What runs functions looks at the first array of a state for the type of all: there has to be one.
    kept = [value for value in function.inputs if not fed(value) and value.name != STEP]
    state = [value for value in kept if value in read] or kept[:1]
    slots = [Slot(v.name, _sizes(v), True) for v in state]
    functions = {name: _idle(name, feeds, state) for name in ("forward", "evaluate", "step", "probe")}
    functions[function.name] = replace(function, inputs=(*taken, *numbers, *state))
    return replace(
        compiled,
        forward=functions["forward"],
        evaluate=functions["evaluate"],
        step=functions["step"],
        probing=Probing(lambda: (functions["probe"], readings)),
        state=tuple(slots),
        feeds=feeds,
        initial=partial(_zeros, slots),
        tasks=(),
        anchor=None,
    )


def _idle(name: str, feeds: tuple[Feed, ...], state: list[Value]) -> Function:
    """A function that nobody calls."""
    b = Builder()
    for feed in feeds:
        b.input(feed.name, feed.type)
    for value in state:
        b.input(value.name, value.type)
    return b.finish(name, {"loss": b.constant(0.0)})


def _sizes(value: Value) -> tuple[int, ...]:
    """Of state, which has no axis of samples."""
    return tuple(size for size in value.type.shape if isinstance(size, int))


def _zeros(
    slots: list[Slot], given: Mapping[str, Array] = MappingProxyType({}), precision: Precision = "float64"
) -> dict[str, Array]:
    """A state that is set before anything is read of it."""
    return {slot.name: np.zeros(slot.shape, precision) for slot in slots} | dict(given)
