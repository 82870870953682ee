"""How far values reach into an input: op by op against the interpreter, which is asked what changes with each place."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from fac.step.reach import BATCH, RULES, Reach, places, reaches
from fac.step.types import DType
from fac.testing.calls import CALLS, Call
from fac_reference.interpreter import run
from tests.step.op_cases import SAMPLES, draw, function_of, x_of

CASES = [
    (call, place, axis)
    for call in CALLS
    for place, type in enumerate(call.operands)
    for axis, size in enumerate(type.shape)
    if isinstance(size, int) and size > 1 and (call.kind, place) != ("gather", 0)
    if call.result.dtype != DType.BOOL
]
"""Every operand of every op, along each of its axes. Of a table each row is read by who names it, whichever
that is; and whether a truth value changes, is not found out by a few tries."""
TRIES = 6
"""So many changes of a place find out whether it is read, also where the largest number wins."""
MASKED = {call.id for call in CALLS if call.kind == "attend" and len(call.operands) > 3}
"""Nobody knows who is looked at."""


@pytest.mark.parametrize(
    ("call", "place", "axis"), CASES, ids=lambda value: value.id if isinstance(value, Call) else str(value)
)
def test_what_changes_with_a_place_is_said_to_reach_there(call: Call, place: int, axis: int) -> None:
    """Never further than it does; and as far, of ops that are known."""
    function = function_of(call, lambda b, made: {"made": made}, "one")
    source = next(value for value in function.inputs if value.name == f"a{place}")
    found = reaches(function, {source: places(source, axis)})[function.outputs[0][1]]
    measured = last_read(call, place, axis)
    said = [last for last, _ in found.bounds]
    read = furthest(found, measured)
    assert all(least <= last for least, last in zip(said, read, strict=True))
    if call.kind in RULES and call.id not in MASKED:
        assert said == read


def furthest(reach: Reach, measured: NDArray[np.int64]) -> list[int]:
    """Of all numbers that have one bound the furthest that was found."""
    batches, rest = divmod(reach.inner, BATCH)
    inner = reach.inner if rest else batches * SAMPLES
    turns = np.arange(measured.size) // inner % len(reach.bounds)
    return [int(measured.ravel()[turns == turn].max(initial=-1)) for turn in range(len(reach.bounds))]


def last_read(call: Call, place: int, axis: int) -> NDArray[np.int64]:
    """For each number of the result the last index along the axis that changes it; -1 if none does."""
    function = function_of(call, lambda b, made: {"made": made}, "one")
    measured = np.full(0, -1)
    for seed in range(TRIES):
        given = draw(call, seed)
        before = np.asarray(run(function, {"x": x_of(), **given}, np.dtype("float64"))["made"])
        if not measured.size:
            measured = np.full(before.shape, -1)
        array = given[f"a{place}"]
        other = draw(call, seed + TRIES)[f"a{place}"]
        for index in range(array.shape[axis]):
            at = tuple(index if i == axis else slice(None) for i in range(array.ndim))
            moved = array.copy()
            moved[at] = other[at]
            inputs = {"x": x_of(), **given, f"a{place}": moved}
            made = np.asarray(run(function, inputs, np.dtype("float64"))["made"])
            measured[made != before] = np.maximum(measured[made != before], index)
    return measured
