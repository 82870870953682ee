"""Sums and products of tensors, with numbers, and with arrays of the module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fac.backend import Call
from fac.importing.layout import Axis, Value
from fac.importing.learned import added, multiplied
from fac.importing.network import Network
from fac.importing.noise import Noise, divided, masked
from fac.importing.reader import Reader, number, tensor
from fac.importing.scores import hidden
from fac.importing.spelled import gelu, halved, rms
from fac.layers import Add, Multiply, Pow, Rescaling
from fac.program.kinds import NoCounterpartError

Args = dict[str, Any]
NUMBERS = "a layer that {} a number for each place, which nothing learns"


def add(network: Network, call: Call, args: Args) -> Any:
    """The sum of two tensors of one shape, or of one and what is learned."""
    a, b = args["self"], args["other"]
    if isinstance(a, Value) and a.array is not None and not a.shape and isinstance(b, int):
        return a  # how many batches a normalisation has seen
    return _sum(network, call, a, b, number(args.get("alpha", 1)))


def subtract(network: Network, call: Call, args: Args) -> Any:
    """One tensor, or a number, minus another."""
    factor = number(args.get("alpha", 1))
    return _sum(network, call, args["self"], args["other"], None if factor is None else -factor)


def subtract_from(network: Network, call: Call, args: Args) -> Any:
    """The same the other way round: `1 - x`."""
    return subtract(network, call, {**args, "self": args["other"], "other": args["self"]})


def _sum(network: Network, call: Call, a: Any, b: Any, factor: float | None) -> Any:
    """A + factor b."""
    if factor is None:
        raise NoCounterpartError("a sum with a factor that is a number")
    if (offset := number(b)) is not None:
        return _rescaled(network, call, tensor(a), 1.0, factor * offset)
    if (offset := number(a)) is not None:
        return _rescaled(network, call, tensor(b), factor, offset)
    if factor < 0 and _learned(b) and not _learned(a):
        # -(-a + b), because the array is to stay as it is
        negative = _sum(network, call, _rescaled(network, call, tensor(a), -1.0, 0.0), b, -factor)
        return _rescaled(network, call, negative, -1.0, 0.0)
    if factor != 1:
        b = factor * b if isinstance(b, np.ndarray) else _rescaled(network, call, tensor(b), factor, 0.0)
    for x, summand in ((a, b), (b, a)):
        if isinstance(summand, np.ndarray) and isinstance(x, Value):
            if not summand.any() and x.shape == call.shape:
                return x
            if (found := hidden(tensor(x), summand, NUMBERS.format("adds"))) is not None:
                return found
    a, b = _both(a, b, "adds")
    if b.array is not None:
        return added(network, call, tensor(a), b)
    if a.shape != b.shape:
        raise NoCounterpartError("two tensors of one shape, because a sum stretches nothing")
    a, b = _alike(network, call, a, b)
    return Value(network.add(Add(), (a.node, b.node), call).name, a.own, a.axes)


def _learned(value: Any) -> bool:
    return isinstance(value, Value) and value.array is not None


def multiply(network: Network, call: Call, args: Args) -> Value:
    """The product of two tensors, stretched along axes of 1, or of one and what is learned."""
    a, b = args["self"], args["other"]
    if isinstance(b, Noise) and isinstance(a, Value):
        return masked(network, call, tensor(a), b)
    for x, factor in ((a, number(b)), (b, number(a))):
        if factor is not None:
            return _rescaled(network, call, tensor(x), factor, 0.0)
    a, b = _both(a, b, "multiplies with")
    if b.array is not None:
        return multiplied(network, call, tensor(a), b)
    if len(a.axes) != len(b.axes):
        raise NoCounterpartError("two tensors with as many axes")
    wide = a if a.shape == call.shape else b
    if wide.shape != call.shape:
        raise NoCounterpartError("two tensors of which one has the shape of the product")
    a, b = _alike(network, call, a, b)
    wide = a if a.shape == call.shape else b
    if (known := gelu(network, call, a.node, b.node) or rms(network, call, a.node, b.node)) is not None:
        return Value(known, wide.own, wide.axes)
    return Value(network.add(Multiply(), (a.node, b.node), call).name, wide.own, wide.axes)


def divide(network: Network, call: Call, args: Args) -> Any:
    """A tensor divided by a number or by another one; or a mask by its mean."""
    a, b = args["self"], args["other"]
    factor = number(b)
    if isinstance(a, Noise):
        return divided(a, factor)
    if args.get("rounding_mode") is not None:
        raise NoCounterpartError("a quotient that is not rounded")
    if _learned(b):
        raise NoCounterpartError(f"a product: let `{b.array.key}` hold what divided by it does, and multiply")
    if factor == 0 or (factor is None and not isinstance(b, Value)):
        raise NoCounterpartError("a layer that divides, by another thing than a number or a tensor")
    if factor is not None:
        return _rescaled(network, call, tensor(a), 1 / factor, 0.0)
    under = network.add(Pow(exponent=-1.0), (b.node,), call)
    return multiply(network, call, {"self": a, "other": replace(b, node=under.name)})


def negate(network: Network, call: Call, args: Args) -> Value:
    """A tensor with its signs turned."""
    return _rescaled(network, call, tensor(args["self"]), -1.0, 0.0)


def _rescaled(network: Network, call: Call, x: Value, scale: float, offset: float) -> Value:
    if (scale, offset) == (1.0, 0.0):
        return x
    if not offset and (known := halved(network, call, x.node, scale)) is not None:
        return Value(known, x.own, x.axes)
    layer = Rescaling(scale=scale, offset=offset)
    return Value(network.add(layer, (x.node,), call).name, x.own, x.axes)


def _both(a: Any, b: Any, does: str) -> tuple[Value, Value]:
    """Two tensors, that of a layer first, and perhaps an array of the module behind it."""
    for value in (a, b):
        if not isinstance(value, Value):
            raise NoCounterpartError(NUMBERS.format(does))
    return (b, a) if a.array is not None and b.array is None else (a, b)


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


READERS: Mapping[str, Reader] = {
    "aten.add": add,
    "aten.sub": subtract,
    "aten.rsub": subtract_from,
    "aten.mul": multiply,
    "aten.div": divide,
    "aten.neg": negate,
}
