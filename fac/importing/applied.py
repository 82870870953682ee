"""A layer that reads a tensor: which axes it has to have in order for that, and which come of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fac.backend import Call, Held
from fac.importing.bound import Bound
from fac.importing.layout import Value, made
from fac.importing.network import Network
from fac.program.kinds import NoCounterpartError
from fac.spec.layers import Layer

Arrays = Mapping[str, Held | Bound]


def numbers(network: Network, call: Call, layer: Layer, x: Value, arrays: Arrays) -> Value:
    """A layer that treats all numbers alike."""
    written = network.add(layer, (x.node,), call, arrays)
    return Value(written.name, x.own, x.axes)


def any_(network: Network, call: Call, layer: Layer, x: Value, arrays: Arrays) -> Value:
    """One that has the batch along an axis of its own."""
    if not x.alone:
        raise NoCounterpartError("samples along an axis of their own")
    x = network.settled(x, call)
    written = network.add(layer, (x.node,), call, arrays)
    return Value(written.name, x.own, x.axes)


def last(network: Network, call: Call, layer: Layer, x: Value, arrays: Arrays) -> Value:
    """One that acts along the last axis, or the last few."""
    x = network.settled(x, call)
    written = network.add(layer, (x.node,), call, arrays)
    if written.shape == x.sample:
        return Value(written.name, x.own, x.axes)
    if any(atom.batch for atom in x.axes[-1]):
        raise NoCounterpartError("a layer that does not mix samples")
    return made(written.name, written.shape, x.axes[:-1])


def sample(network: Network, call: Call, layer: Layer, x: Value, arrays: Arrays) -> Value:
    """One that has the batch first."""
    if not x.alone or x.batch:
        raise NoCounterpartError("samples along the first axis")
    x = network.settled(x, call)
    written = network.add(layer, (x.node,), call, arrays)
    if written.shape == x.sample:
        return Value(written.name, x.own, x.axes)
    return made(written.name, written.shape, x.axes[:1])


READS: Mapping[str, Callable[[Network, Call, Layer, Value, Arrays], Value]] = {
    "numbers": numbers,
    "any": any_,
    "last": last,
    "sample": sample,
}
"""See `fac.program.kinds.counterparts.Reads`."""
