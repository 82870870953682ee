"""Scaled dot-product attention, whatever moves heads and tokens about around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isclose, sqrt
from typing import Any

import numpy as np

from fac.backend import Call
from fac.importing.layout import Axis, Value, fresh
from fac.importing.network import Network
from fac.importing.reader import Reader, tensor
from fac.layers import Attend, Rescaling, Reshape, Select
from fac.program.kinds import NoCounterpartError

Args = dict[str, Any]
ROUNDED = 1e-6
"""Relative: how far a factor that float32 has rounded may be from what is meant."""


def attend(network: Network, call: Call, args: Args) -> Value:
    """Of queries [N, heads, T, d], keys [N, kv_heads, S, d] and values [N, kv_heads, S, e] -> [N, heads, T, e].

    Heads may stand beside the batch, [N heads, T, d], and there may be one alone.
    """
    causal = bool(args["is_causal"]) or _causal(args["attn_mask"])
    queries, keys, values = (_heads(tensor(args[name])) for name in ("query", "key", "value"))
    for value in (queries, keys, values):
        if len(value.axes) != 4 or not value.alone or value.batch:
            raise NoCounterpartError("queries, keys and values [batch, heads, tokens, channels]")
    queries, keys = _scaled(network, call, queries, keys, args["scale"])
    heads, groups = queries.shape[1], keys.shape[1]
    if groups != heads and not args["enable_gqa"]:
        raise NoCounterpartError("as many heads of keys as of queries")
    reads = [network.settled(_tokens(value), call).node for value in (queries, keys, values)]
    layer = Attend(
        heads=heads,
        kv_heads=None if groups == heads else groups,
        causal=causal,
        dropout=float(args["dropout_p"]),
    )
    written = network.add(layer, _packed(network, reads) or reads, call)
    batch, head, token, _ = queries.axes
    (channel,) = fresh((values.shape[3],))
    lead = (batch, head) if len(args["query"].axes) == 4 else (batch + head,)
    return Value(written.name, (token, head + channel), (*lead, token, channel))


def _heads(value: Value) -> Value:
    """With heads along an axis of their own, if they stand beside the batch."""
    first, *rest = value.axes
    if len(rest) != 2 or not first or not first[0].batch:
        return value
    return replace(value, axes=(first[:1], first[1:], *rest))


def _scaled(
    network: Network, call: Call, queries: Value, keys: Value, scale: float | None
) -> tuple[Value, Value]:
    """Queries and keys, of which an attention that divides by sqrt(channels of a head) makes the same.

    What multiplies the two before it counts too, as where queries are divided by the root, and nothing else is.
    """
    root = sqrt(queries.shape[3])
    factor = 1.0 if scale is None else scale * root
    found = []
    for value in (queries, keys):
        by = network.layers.get(value.node)
        if by is not None and isinstance(by.layer, Rescaling) and not by.layer.offset:
            factor *= by.layer.scale
            value = replace(value, node=by.reads[0])
        found.append(value)
    if isclose(factor, 1.0, rel_tol=ROUNDED):
        return found[0], found[1]
    rescaled = network.add(Rescaling(scale=factor), (found[0].node,), call)
    return replace(found[0], node=rescaled.name), found[1]


def _causal(mask: Any) -> bool:
    """Whether a mask of what may be looked at leaves what comes later out, the same for all; None leaves nothing out.

    Raises:
        NoCounterpartError: it does something else.
    """
    if mask is None:
        return False
    if isinstance(mask, np.ndarray):
        shares = np.where(mask, 0.0, -np.inf) if mask.dtype == np.bool_ else mask
        if (shares == 0).all():
            return False
        if mask.ndim > 1 and (shares == np.where(np.tri(*mask.shape[-2:]), 0.0, -np.inf)).all():
            return True
    raise NoCounterpartError(
        "attention without a mask, or with one that is the same for all and leaves later tokens out"
    )


def _tokens(value: Value) -> Value:
    """[N, tokens, heads of channels]: heads side by side, as layers have them."""
    batch, head, token, channel = value.axes
    joined: Axis = head + channel
    return Value(value.node, value.own, (batch, token, joined))


def _packed(network: Network, reads: Sequence[str]) -> list[str] | None:
    """The one layer that makes queries, keys and values side by side, if these are its three parts."""
    parts = [network.layers.get(name) for name in reads]
    sources = {part.reads for part in parts if part is not None}
    if len(sources) != 1 or None in parts:
        return None
    wanted = [Select(axis=1, index=index) for index in range(3)]
    if [part.layer for part in parts if part is not None] != wanted:
        return None
    ((cut,),) = sources
    source = network.layers.get(cut)
    if source is None or not isinstance(source.layer, Reshape) or source.shape[1] != 3:
        return None
    (whole,) = source.reads
    tokens, _, channels = source.shape
    return [whole] if network.shapes[whole] == (tokens, 3 * channels) else None


READERS: Mapping[str, Reader] = {"aten.scaled_dot_product_attention": attend}
