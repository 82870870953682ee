"""Sums and products of tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fac.backend import Call
from fac.importing.layout import Axis, Value
from fac.importing.network import Network
from fac.importing.noise import Noise, masked
from fac.importing.reader import Reader, tensor
from fac.layers import Add, Multiply
from fac.program.kinds import NoCounterpartError

Args = dict[str, Any]


def add(network: Network, call: Call, args: Args) -> Value:
    """The sum of two tensors of one shape."""
    a, b = args["self"], args["other"]
    if isinstance(a, Value) and a.array is not None and not a.shape and isinstance(b, int):
        return a  # how many batches a normalisation has seen
    if args.get("alpha", 1) != 1:
        raise NoCounterpartError("a sum with a factor")
    a, b = _both(a, b, "adds")
    if a.shape != b.shape:
        raise NoCounterpartError("two tensors of one shape, because a sum stretches nothing")
    a, b = _alike(network, call, a, b)
    return Value(network.add(Add(), (a.node, b.node), call).name, a.own, a.axes)


def multiply(network: Network, call: Call, args: Args) -> Value:
    """The product of two tensors, stretched along axes of 1."""
    a, b = args["self"], args["other"]
    if isinstance(b, Noise) and isinstance(a, Value):
        return masked(network, call, tensor(a), b)
    a, b = _both(a, b, "multiplies with")
    if len(a.axes) != len(b.axes):
        raise NoCounterpartError("two tensors with as many axes")
    wide = a if a.shape == call.shape else b
    if wide.shape != call.shape:
        raise NoCounterpartError("two tensors of which one has the shape of the product")
    a, b = _alike(network, call, a, b)
    wide = a if a.shape == call.shape else b
    return Value(network.add(Multiply(), (a.node, b.node), call).name, wide.own, wide.axes)


def _both(a: Any, b: Any, does: str) -> tuple[Value, Value]:
    for value in (a, b):
        if not isinstance(value, Value):
            raise NoCounterpartError(f"a layer that {does} a number")
        if value.array is not None:
            raise NoCounterpartError(
                f"a layer that {does} `{value.array.key}`, an array of no module that is a layer"
            )
    return a, b


def _alike(network: Network, call: Call, a: Value, b: Value) -> tuple[Value, Value]:
    """Both with equal axes, in what layers make too."""
    if a.sample == b.sample and _places(a) == _places(b):
        return a, b
    a, b = network.settled(a, call), network.settled(b, call)
    if not a.alone or not b.alone or a.batch != b.batch:
        raise NoCounterpartError("samples along the same axis in both")
    return a, b


def _places(value: Value) -> Sequence[Sequence[tuple[int, int]]]:
    """Which of the layer's atoms each axis is made of, and how large they are."""
    have: Axis = tuple(atom for axis in value.own for atom in axis)
    return [[(-1 if atom.batch else have.index(atom), atom.size) for atom in axis] for axis in value.axes]


READERS: Mapping[str, Reader] = {"aten.add": add, "aten.mul": multiply}
