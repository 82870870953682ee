"""What a layer says of how targets go back through it, held against what it makes."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np

from fac.backend import Array
from fac.program.kinds import Back, Inverse, ShapeError
from fac.step.builder import Builder
from fac.step.ir import Value
from fac.step.types import SCALAR, N, Type
from fac.testing.alone import Alone
from fac.testing.case import distance, require
from fac.testing.evaluated import evaluated

THERE_AND_BACK = 1e-12
"""Relative, in float64. Found: 6e-15."""


def check_inverse(alone: Alone) -> None:
    """Hold an inverse against the layer, in inference. Settings that leave none say so by a ShapeError.

    - What takes its range from the targets makes of them an affine map, the same for all numbers, that rises.
    - One that `moves` gives back what it read, of the same numbers.
    - With a weight of as many outputs as features or more, what it read comes back.
    - With fewer, where no number stands in two rows, or without a weight: what comes back makes the same again.
    - `rows` times the weight, and the same constants in each row, is what the layer makes.

    Raises:
        AssertionError: one of these does not hold.
    """
    if alone.kind.inverse is None:
        return
    name, x = alone.kind.name, alone.x
    try:
        found: Inverse = alone.kind.inverse(alone.layer, alone.shapes)
    except ShapeError as error:
        require(bool(error.help), f"`{name}` has no inverse for these settings, and does not say what to do")
        return
    if found.rows is not None:
        _rows(alone, found.rows)
    made = alone.output(x)
    if found.ranged:
        _ranged(alone, found)
        return
    again = back(alone, found, x, made)
    weight, numbers = alone.facts.weight, prod(alone.shapes[0])
    if found.moves:
        same = np.array_equal(np.sort(made.ravel()), np.sort(x.ravel())) and np.array_equal(again, x)
        require(same, f"`{name}` says that it moves numbers alone, and they do not come back as they were")
    elif weight is not None and weight.reads >= weight.writes:
        close(again, x, f"`{name}` has {weight.reads} outputs for {weight.writes} features, and what it read")
    elif weight is None or prod(alone.facts.shape) // weight.reads * weight.writes == numbers:
        close(alone.output(again), made, f"what `{name}` makes of what its inverse gives")


def back(alone: Alone, inverse: Inverse, x: Array, targets: Array) -> Array:
    """What the layer should read in order to make targets [N, *output], where it reads x now."""
    b, facts = Builder(), alone.facts
    shape, output, samples = alone.shapes[0], facts.shape, len(x)
    both = b.input("x", Type((N, prod(shape) + prod(output))))
    read = b.reshape(b.emit("crop", both, before=(0, 0), after=(0, prod(output))), (N, *shape))
    wanted = b.reshape(b.emit("crop", both, before=(0, prod(shape)), after=(0, 0)), (N, *output))
    state = {t.part: b.input(t.name, Type(t.shape)) for t in facts.tensors}
    given = {**alone.state, "low": targets.min(), "high": targets.max()}
    ends = (b.input("low", SCALAR), b.input("high", SCALAR)) if inverse.ranged else (None, None)
    pseudo = None
    if facts.weight is not None:
        matrix = alone.state[facts.weight.name].reshape(facts.weight.reads, -1)
        given["inverse"] = np.linalg.pinv(matrix).T.reshape(facts.weight.shape)
        pseudo = b.input("inverse", Type(facts.weight.shape))
    value = inverse.back(b, wanted, Back(read, state, pseudo, *ends))
    require(
        value.type == Type((N, *shape)),
        f"the inverse of `{alone.kind.name}` makes {value.type}, and the layer reads {Type((N, *shape))}",
    )
    found: Array = evaluated(b, value, np.c_[x.reshape(samples, -1), targets.reshape(samples, -1)], given)
    return found


def close(found: Array, wanted: Array, what: str) -> None:
    """Two arrays are equal but for rounding.

    Raises:
        AssertionError: they are not.
    """
    far = distance(found, wanted)
    require(far <= THERE_AND_BACK, f"{what} comes back wrong by {far:.1e}")


def _ranged(alone: Alone, inverse: Inverse) -> None:
    name, targets = alone.kind.name, 7 * alone.rng.standard_normal((len(alone.x), *alone.facts.shape)) - 2
    made = alone.output(back(alone, inverse, alone.x, targets))
    low, high = made.min(), made.max()
    require(bool(low < high), f"`{name}` takes its range from the targets, and makes the same of all")
    share = (targets - targets.min()) / (targets.max() - targets.min())
    close(
        low + share * (high - low), made, f"`{name}` takes its range from the targets: an affine map of them"
    )


def _rows(alone: Alone, rows: Callable[[Builder, Value], Value]) -> None:
    name, facts = alone.kind.name, alone.facts
    weight = facts.weight
    require(weight is not None, f"`{name}` has rows for a weight, and no weight")
    assert weight is not None
    b = Builder()
    features = rows(b, b.input("x", Type((N, *alone.shapes[0]))))
    places = prod(facts.shape) // weight.reads
    # one sample after the other, as what is evaluated has one row for each
    wide = b.reshape(features, (N, places, weight.writes))
    seen = evaluated(b, wide, alone.x, {}).reshape(-1, weight.writes)
    axis = (facts.channels or 0) % len(facts.shape) + 1
    made = np.moveaxis(alone.output(alone.x), axis, -1).reshape(-1, weight.reads)
    rest = made - seen @ alone.state[weight.name].reshape(weight.reads, -1).T
    bias = [alone.state[t.name] for t in facts.tensors if t.name != weight.name] or [np.zeros(weight.reads)]
    require(
        len(bias) == 1, f"`{name}` has several tensors beside its weight: rows of one matrix solve for one"
    )
    close(
        np.broadcast_to(bias[0], rest.shape),
        rest,
        f"`{name}` has rows, and what it makes beside weight times rows",
    )
