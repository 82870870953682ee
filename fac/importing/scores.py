"""Attention that a module writes out: products of queries and keys, what hides some, shares, and what they make.

Products, and shares that nothing hides, are layers of their own, and become an `attend` once values are multiplied with
them. What hides places is no layer: until then it stands beside the product.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fac.backend import Array, Call
from fac.importing.attention import attend
from fac.importing.layout import Atom, Value
from fac.importing.network import Network
from fac.importing.reader import Reader, number, tensor
from fac.importing.spelled import line
from fac.layers import Dropout, Matmul, Softmax
from fac.program.kinds import NoCounterpartError

Args = dict[str, Any]
FAR = -1e4
"""What is added to scores, or put in their place, hides a token from here on."""


@dataclass(frozen=True, slots=True)
class Scores:
    """What queries and keys make, of which some are hidden."""

    value: Value
    mask: Array | None = None
    """Added to them: 0, or minus infinity."""
    otherwise: str = ""
    """What would be needed, if no softmax of them follows: then they are no scores."""


@dataclass(frozen=True, slots=True)
class Shares:
    """The same behind a softmax over keys."""

    scores: Scores
    dropout: float = 0.0


def hidden(value: Value, summand: Array, otherwise: str) -> Scores | None:
    """Scores beside an array that is added and hides some; None if it does something else."""
    if summand.dtype.kind != "f" or not ((summand == 0) | (summand <= FAR)).all():
        return None
    return Scores(value, np.where(summand == 0, 0.0, -np.inf), otherwise)


def filled(network: Network, call: Call, args: Args) -> Scores:
    """Scores in whose place a number stands where a mask is true."""
    return _filled(args["self"], args["mask"], args["value"])


def chosen(network: Network, call: Call, args: Args) -> Scores:
    """The same, said as one or the other."""
    mask, one, other = args["condition"], args["self"], args["other"]
    if isinstance(one, Value):
        mask = ~mask if isinstance(mask, np.ndarray) and mask.dtype == np.bool_ else None
        one, other = other, one
    return _filled(other, mask, one)


def _filled(value: Any, mask: Any, far: Any) -> Scores:
    to = number(far)
    if to is None:
        raise NoCounterpartError("a layer that takes each number from one of two tensors")
    otherwise = f"a layer that puts {to:g} in the place of some numbers"
    if to > FAR:
        raise NoCounterpartError(otherwise)
    if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_:
        raise NoCounterpartError(
            "scores of an attention that are hidden where a mask says so, the same for all"
        )
    return Scores(tensor(value), np.where(mask, -np.inf, 0.0), otherwise)


def compared(network: Network, call: Call, args: Args) -> Any:
    """A mask that the module keeps in its `state_dict`, or numbers of the data."""
    value = args["self"]
    if isinstance(value, Value) and value.array is not None:
        raise NoCounterpartError(
            f"`{value.array.key}` as no part of the `state_dict`: `register_buffer(..., persistent=False)`"
        )
    raise NoCounterpartError("a layer that compares")


def softmax(network: Network, call: Call, args: Args) -> Any:
    """Of what is hidden, or has heads beside the batch, shares; of anything else a layer."""
    scores = args["self"]
    if isinstance(scores, Value) and scores.array is None and not scores.alone:
        scores = Scores(scores)
    if not isinstance(scores, Scores):
        return NotImplemented
    if args["dim"] not in (-1, len(scores.value.axes) - 1):
        raise NoCounterpartError("shares of keys, which stand along the last axis")
    return Shares(scores)


def dropout(network: Network, call: Call, args: Args) -> Any:
    """Of shares that stand beside a mask; of anything else a layer."""
    shares = args.get("input", args.get("self"))
    if not isinstance(shares, Shares):
        return NotImplemented
    return replace(shares, dropout=float(args["p"]) if args["train"] else 0.0)


def product(network: Network, call: Call, a: Any, b: Value) -> Value:
    """Of two tensors: an attention if the first one holds shares of what queries and keys made, or else a layer."""
    if isinstance(a, Shares):
        scores = a.scores
        found = _looked(network, call, scores.value.node, b, scores.mask, a.dropout)
        if found is None or not _unturned(scores.value):
            raise NoCounterpartError("scores that are a product of queries and keys")
        return found
    rate, made = 0.0, network.layers.get(tensor(a).node)
    if made is not None and isinstance(made.layer, Dropout):
        rate, made = made.layer.rate, network.layers.get(made.reads[0])
    if (
        _unturned(a)
        and made is not None
        and isinstance(made.layer, Softmax)
        and made.layer.axis in (-1, len(made.shape) - 1)
        and (found := _looked(network, call, made.reads[0], b, None, rate)) is not None
    ):
        return found
    return _multiplied(network, call, a, b)


def _unturned(value: Value) -> bool:
    """Whether its axes are in the order in which the layer makes them."""
    atoms = [atom for axis in value.axes for atom in axis if not atom.batch]
    return atoms == [atom for axis in value.own for atom in axis]


def _looked(
    network: Network, call: Call, scores: str, values: Value, mask: Array | None, rate: float
) -> Value | None:
    """The attention of scores, if that is what they are."""
    name, scale, offset = line(network, scores)
    if name not in network.products or offset:
        return None
    queries, keys = network.products[name]
    given: Args = {"query": queries, "key": keys.swapped(-2, -1), "value": values, "attn_mask": mask}
    given |= {"dropout_p": rate, "is_causal": False, "scale": scale, "enable_gqa": False}
    try:
        return attend(network, call, given)
    except NoCounterpartError:
        if mask is not None:
            raise
        return None


def _multiplied(network: Network, call: Call, a: Value, b: Value) -> Value:
    if any(len(x.axes) < 3 or not x.axes[0] or not x.axes[0][0].batch for x in (a, b)):
        raise NoCounterpartError("a product of matrices, with samples along the first axis of both")
    # matrices beside those of the batch have an axis of their own in a layer
    one, two = (
        replace(x, axes=(x.axes[0][:1], x.axes[0][1:], *x.axes[1:])) if x.axes[0][1:] else x for x in (a, b)
    )
    first, second = network.settled(one, call), network.settled(two, call)
    written = network.add(Matmul(), (first.node, second.node), call)
    network.products[written.name] = a, b
    # of tokens that look at each other rows and columns are the same places, and two axes
    columns = tuple(Atom(atom.size) for atom in b.axes[-1])
    return Value(written.name, (*one.axes[1:-1], columns), (*a.axes[:-1], columns))


READERS: Mapping[str, Reader] = {
    "aten.masked_fill": filled,
    "aten.where": chosen,
    **dict.fromkeys(("aten.eq", "aten.ne", "aten.lt", "aten.gt", "aten.logical_not"), compared),
    "aten.softmax": softmax,
    "aten.dropout": dropout,
}
