"""Arrays of a module that no layer of its own has: class tokens, tables of positions, factors, and what is added.

They become layers that are called as the arrays are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fac.backend import Call
from fac.importing.bound import Bound, bound
from fac.importing.layout import Value, fresh, sizes
from fac.importing.network import Network
from fac.importing.reader import Reader
from fac.importing.spelled import weighted
from fac.layers import Bias, ClassToken, PositionalEmbedding, Scale
from fac.program.kinds import NoCounterpartError
from fac.program.program import Shape
from fac.spec.layers import Layer


def added(network: Network, call: Call, x: Value, array: Value) -> Value:
    """The sum of a tensor and an array: of tokens a table of their places, of what else there is a bias."""
    x, axes = _beside(network, call, x, array)
    if len(x.own) != 2 or axes != (0, 1):
        return _applied(network, call, x, Bias(axes=_named(axes, x)), bound(array))
    table = _table(array, x.sample)
    length = None if table.shape == x.sample else table.shape[0]
    return _applied(network, call, x, PositionalEmbedding(length=length), table)


def multiplied(network: Network, call: Call, x: Value, array: Value) -> Value:
    """The product of a tensor and an array."""
    x, axes = _beside(network, call, x, array)
    if (norm := weighted(network, call, x.node, axes, bound(array))) is not None:
        return Value(norm, x.own, x.axes)
    return _applied(network, call, x, Scale(axes=_named(axes, x)), bound(array))


def led(network: Network, call: Call, arrays: Sequence[Any], x: Value, dim: int) -> Value:
    """Tokens with arrays in front of them, each of which is one token, the same in all samples."""
    x = network.settled(x, call)
    axis = dim % len(x.axes)
    for array in reversed(arrays):
        if not isinstance(array, Value) or array.array is None:
            raise NoCounterpartError("arrays of the module in front of all that is computed")
        if not x.alone or x.batch or len(x.own) != 2 or axis != 1 or array.shape[axis] != 1:
            raise NoCounterpartError(
                f"`{array.array.key}` as one token in front of tokens [batch, tokens, channels]"
            )
        written = network.add(ClassToken(), (x.node,), call, {"weight": bound(array)})
        token = fresh(written.shape[:1])[0]
        x = Value(written.name, (token, x.own[1]), (x.axes[0], token, x.axes[2]))
    return x


def _applied(network: Network, call: Call, x: Value, layer: Layer, array: Bound) -> Value:
    written = network.add(layer, (x.node,), call, {"weight": array})
    return Value(written.name, x.own, x.axes)


def _beside(network: Network, call: Call, x: Value, array: Value) -> tuple[Value, tuple[int, ...]]:
    """The tensor, of a layer that has the axes along which the array differs as axes of their own, and which.

    Raises:
        NoCounterpartError: the product or sum has not the shape of the tensor, or the array differs for each sample.
    """
    assert array.array is not None
    inside = {atom for axis in array.own for atom in axis}
    differing = [
        place + len(x.axes) - len(array.axes)
        for place, axis in enumerate(array.axes)
        if any(atom in inside for atom in axis)
    ]
    if x.shape != call.shape or not differing:
        raise NoCounterpartError(
            f"`{array.array.key}` with fewer axes than the tensor beside it, and more numbers than 1"
        )
    if any(atom.batch for place in differing for atom in x.axes[place]):
        raise NoCounterpartError(f"`{array.array.key}` as the same numbers for each sample")
    wanted = [x.axes[place] for place in differing]
    if all(axis in x.own for axis in wanted):
        found = tuple(map(x.own.index, wanted))
        if found == tuple(sorted(found)):
            return x, found
    x = network.settled(x, call)
    if not x.alone:
        raise NoCounterpartError("samples along an axis of their own")
    return x, tuple(place - (place > x.batch) for place in differing)


def _named(axes: tuple[int, ...], x: Value) -> int | tuple[int, ...] | None:
    """As a layer has to say it: nothing where it is what is meant by itself."""
    if len(axes) > 1:
        return axes
    (axis,) = axes
    last = axis == len(x.own) - 1
    return None if last and len(x.own) <= 2 else -1 if last else axis


def _table(array: Value, sample: Shape) -> Bound:
    """An array of rows, of which the tensor may be the first ones."""
    held = array.array
    assert held is not None
    rows = tuple(size for size in held.shape if size != 1)
    whole = tuple(axis for axis in array.own if axis)
    if sizes(whole) == rows or len(rows) != 2 or len(whole) != 2:
        return bound(array).fitted(sample)
    return replace(bound(replace(array, array=replace(held, shape=sizes(whole)))), held=held, shape=rows)


def rows(network: Network, call: Call, args: dict[str, Any]) -> Any:
    """The first rows of a table, one after the other, which are the same for all samples; any others are a layer's."""
    at, table = args["indices"], args["weight"]
    if not isinstance(at, np.ndarray) or not isinstance(table, Value):
        return NotImplemented
    if at.ndim == 0 or (at != np.arange(at.shape[-1])).any():
        raise NoCounterpartError("the first rows of a table in their order, or those that the input says")
    *before, count = at.shape
    first = table if count == table.shape[0] else table.shortened(0, count)
    return first.stretched((*before, *first.shape))


READERS: Mapping[str, Reader] = {"aten.embedding": rows}
