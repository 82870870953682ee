"""Axes that are moved, joined, cut and counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import accumulate, pairwise
from math import prod
from typing import Any

from fac.backend import Call
from fac.importing.layout import Axis, Value, fresh, made, sizes
from fac.importing.learned import led
from fac.importing.network import Network
from fac.importing.reader import Reader, tensor
from fac.layers import Concat, Max, Mean, Rescaling, Select, Slice
from fac.program.kinds import NoCounterpartError

Args = dict[str, Any]


def as_it_is(network: Network, call: Call, args: Args) -> Any:
    """What changes no number and no axis."""
    return args.get("self", args.get("input"))


def reshape(network: Network, call: Call, args: Args) -> Value:
    """Any operation after which the numbers lie in the same order."""
    assert call.shape is not None
    return network.viewed(args["self"], call.shape, call)


def permute(network: Network, call: Call, args: Args) -> Value:
    """The axes in the order that is given."""
    value: Value = args["self"]
    return value.permuted([axis % len(value.axes) for axis in args["dims"]])


def transpose(network: Network, call: Call, args: Args) -> Value:
    """Two axes change places."""
    value: Value = args["self"]
    return value.swapped(args.get("dim0", 0), args.get("dim1", 1))


def select(network: Network, call: Call, args: Args) -> Value:
    """One of what stands along an axis."""
    value = tensor(args["self"])
    axis = args["dim"] % len(value.axes)
    return _selected(network, call, value, axis, args["index"])


def _selected(network: Network, call: Call, value: Value, axis: int, index: int) -> Value:
    kept = (*value.axes[:axis], *value.axes[axis + 1 :])
    if not value.axes[axis]:
        return Value(value.node, value.own, kept)
    if any(atom.batch for atom in value.axes[axis]):
        raise NoCounterpartError("a layer that does not pick samples")
    value, at = _apart(network, call, value, axis)
    written = network.add(Select(axis=at, index=index % value.sample[at]), (value.node,), call)
    return Value(written.name, (*value.own[:at], *value.own[at + 1 :]), kept)


def _apart(network: Network, call: Call, value: Value, axis: int) -> tuple[Value, int]:
    """The tensor, of a layer that has one of its axes as an axis of its own, and which that is.

    Where the layer below has its numbers side by side in that order, only its axes are cut: what stands beside them
    stays in the order in which it is.
    """
    wanted, own = value.axes[axis], list[Axis]()
    for have in value.own:
        first = next((i for i in range(len(have)) if have[i : i + len(wanted)] == wanted), None)
        if first is None:
            own.append(have)
            continue
        last = first + len(wanted)
        own += [part for part in (have[:first], wanted, have[last:]) if part]
    if wanted not in own:
        value = network.settled(value, call)
        return value, value.own.index(wanted)
    if tuple(own) == value.own:
        return value, own.index(wanted)
    node = network.reshaped(value, tuple(own), call)
    return Value(node, tuple(own), value.axes), own.index(wanted)


def expand(network: Network, call: Call, args: Args) -> Value:
    """An array of the module that is the same for each sample, or each place; no layer stretches other tensors."""
    value = args["self"]
    assert call.shape is not None
    if isinstance(value, Value) and value.shape == call.shape:
        return value
    if not isinstance(value, Value) or value.array is None:
        raise NoCounterpartError("a layer that has a tensor once for each place")
    return value.stretched(call.shape)


def part(network: Network, call: Call, args: Args) -> Value:
    """A part of what stands along an axis; all of it, as of the samples in `x[:, 0]`, is no layer."""
    value, axis, start, step = args["self"], args["dim"], args["start"], args["step"]
    assert call.shape is not None
    if not isinstance(value, Value) or step != 1:
        raise NoCounterpartError("a part in a row, each one of it")
    if call.shape == value.shape:
        return value
    axis %= len(value.axes)
    first = (start or 0) % max(value.shape[axis], 1)
    if value.array is not None:
        if first:
            raise NoCounterpartError(f"the first rows of `{value.array.key}`, or all")
        return value.shortened(axis, call.shape[axis])
    return _cut(network, call, value, axis, first, first + call.shape[axis])


def _cut(network: Network, call: Call, value: Value, axis: int, start: int, stop: int) -> Value:
    if any(atom.batch for atom in value.axes[axis]):
        raise NoCounterpartError("a layer that does not pick samples")
    value, at = _apart(network, call, value, axis)
    written = network.add(
        Slice(axis=at, start=start, stop=_stop(stop, value.sample[at])), (value.node,), call
    )
    (new,) = fresh((stop - start,))
    own = (*value.own[:at], new, *value.own[at + 1 :])
    return Value(written.name, own, (*value.axes[:axis], new, *value.axes[axis + 1 :]))


def _stop(stop: int, size: int) -> int | None:
    return None if stop == size else stop


def split(network: Network, call: Call, args: Args) -> list[Value]:
    """Parts side by side along an axis: of equal size as those of one more axis, such as queries, keys and values."""
    value = tensor(args["self"])
    axis = args["dim"] % len(value.axes)
    size = value.shape[axis]
    many = -(-size // args["chunks"]) if "chunks" in args else args.get("split_size", 1)
    each = args.get("split_sizes") or [min(many, size - at) for at in range(0, size, many)]
    if len(each) == 1:
        return [value]
    if len(set(each)) == 1:
        shape = (*value.shape[:axis], len(each), each[0], *value.shape[axis + 1 :])
        apart = network.viewed(value, shape, call)
        return [_selected(network, call, apart, axis, index) for index in range(len(each))]
    ends = [0, *accumulate(each)]
    return [_cut(network, call, value, axis, *pair) for pair in pairwise(ends)]


def unbind(network: Network, call: Call, args: Args) -> list[Value]:
    """Each of what stands along an axis."""
    value = tensor(args["self"])
    axis = args["dim"] % len(value.axes)
    return [_selected(network, call, value, axis, index) for index in range(value.shape[axis])]


def item(network: Network, call: Call, args: Args) -> Any:
    """One of several results."""
    return args["0"][args["1"]]


def concat(network: Network, call: Call, args: Args) -> Value:
    """Tensors one behind the other; of arrays of the module those that stand in front as class tokens do."""
    *before, _ = args["tensors"]
    if any(isinstance(value, Value) and value.array is not None for value in before):
        return led(network, call, before, tensor(args["tensors"][-1]), args["dim"])
    values = [tensor(value) for value in args["tensors"]]
    axis = args["dim"] % len(values[0].axes)
    if len(values) == 1:
        return values[0]
    values = [network.settled(value, call) for value in values]
    first = values[0]
    if any(not v.alone or v.batch != first.batch for v in values) or axis == first.batch:
        raise NoCounterpartError("samples along an axis of their own in all that is joined")
    at = axis - (axis > first.batch)
    written = network.add(Concat(axis=at), [value.node for value in values], call)
    new = made(written.name, written.shape, ())
    own = [*first.own]
    own[at] = new.own[at]
    axes = [*first.axes]
    axes[axis] = new.own[at]
    return Value(written.name, tuple(own), tuple(axes))


def mean(network: Network, call: Call, args: Args) -> Value:
    """The mean along axes."""
    return _reduced(network, call, args, Mean)[0]


def largest(network: Network, call: Call, args: Args) -> Value:
    """The largest number along axes."""
    return _reduced(network, call, args, Max)[0]


def total(network: Network, call: Call, args: Args) -> Value:
    """The sum along axes: the mean times how many there are."""
    value, count = _reduced(network, call, args, Mean)
    written = network.add(Rescaling(scale=float(count)), (value.node,), call)
    return replace(value, node=written.name)


def _reduced(network: Network, call: Call, args: Args, kind: type[Mean] | type[Max]) -> tuple[Value, int]:
    """What is left along the other axes, and of how many numbers each is made."""
    value = network.settled(tensor(args["self"]), call)
    wanted = args.get("dim") or range(len(value.axes))
    axes = sorted({axis % len(value.axes) for axis in wanted})
    if not value.alone or value.batch in axes:
        raise NoCounterpartError("a layer that does not mix samples")
    along = tuple(axis - (axis > value.batch) for axis in axes)
    keep = bool(args["keepdim"])
    written = network.add(kind(axes=along, keep=keep), (value.node,), call)
    count = prod(value.shape[axis] for axis in axes)
    return _without(written.name, value, axes, keep), count


def _without(node: str, value: Value, axes: list[int], keep: bool) -> Value:
    left: list[Axis] = []
    for index, axis in enumerate(value.axes):
        if index not in axes:
            left.append(axis)
        elif keep:
            left.append(())
    own = tuple(axis for axis in left if not any(atom.batch for atom in axis))
    assert sizes(own) is not None
    return Value(node, own, tuple(left))


SAME = frozenset({"aten.clone", "aten.contiguous", "aten.detach_", "aten.alias", "aten.to"})
"""Operations that change no number and no axis."""
READERS: Mapping[str, Reader] = {
    **dict.fromkeys(SAME, as_it_is),
    **dict.fromkeys(
        (
            "aten.view",
            "aten.reshape",
            "aten.flatten",
            "aten.unflatten",
            "aten.unsqueeze",
            "aten.squeeze",
            "aten._unsafe_view",
        ),
        reshape,
    ),
    "aten.permute": permute,
    "aten.transpose": transpose,
    "aten.t": transpose,
    "aten.select": select,
    "aten.expand": expand,
    "aten.slice": part,
    "aten.unbind": unbind,
    **dict.fromkeys(("aten.split", "aten.split_with_sizes", "aten.chunk"), split),
    "getitem": item,
    "aten.cat": concat,
    "aten.mean": mean,
    "aten.amax": largest,
    "aten.sum": total,
}
