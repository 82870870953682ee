"""Layers under the modules that they come from: blocks, so that a person can read and edit them.

A module becomes a `sequence` where it is one: its layers stand together, read one value from outside, and the last of
them alone is read outside. Modules in a row that are equal become a `repeat`. Layers keep their full names.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from fac.importing.network import Written
from fac.spec.base import written

Data = dict[str, Any]
WORDS = frozenset({"input", "loss", "token"})
"""What no layer inside of a block may be called."""


def nested(layers: Sequence[Written], start: str) -> list[Data]:
    """The layers of a spec.

    Args:
        layers: in order; the last one is the output.
        start: the input.
    """
    return _body(layers, layers, "", start)


def _body(layers: Sequence[Written], network: Sequence[Written], scope: str, start: str) -> list[Data]:
    """Layers of one scope, each of which reads the one before unless it says otherwise."""
    found, before, words = list[Data](), start, {start: "input"}
    for part, group in groupby(layers, key=lambda layer: _first(layer.name, scope)):
        members = list(group)
        outside = _outside(members, network, _joined(scope, part)) if len(members) > 1 else None
        if outside is None:
            for layer in members:
                found.append(_layer(layer, _local(layer.name, scope), before, words))
                before = layer.name
                words[before] = _local(before, scope)
            continue
        inside = _body(members, network, _joined(scope, part), outside)
        reads = {} if outside == before else {"from": words[outside]}
        found.append(_block(part, reads, inside))
        before = members[-1].name
        words[before] = part
    return found


def _block(name: str, reads: Data, body: list[Data]) -> Data:
    """A `repeat` of what a body holds, if that is the same several times, and else a `sequence`."""
    first = body[0]
    copies = [{"kind": "sequence", "name": str(i), "body": first.get("body")} for i in range(len(body))]
    if len(body) > 1 and body == copies:
        return {"kind": "repeat", "name": name, **reads, "times": len(body), "body": first["body"]}
    return {"kind": "sequence", "name": name, **reads, "body": body}


def _outside(members: Sequence[Written], network: Sequence[Written], name: str) -> str | None:
    """The one value that a module reads, if it can be a block."""
    inside = {layer.name for layer in members}
    last = members[-1].name
    read = {name for layer in members for name in layer.reads if name not in inside}
    if any(layer.name == name for layer in network):
        return None  # a layer by itself, with others inside, as a norm that holds its activation
    whole = {layer.name for layer in network if layer.name.startswith(f"{name}.")}
    seen = {name for layer in network if layer.name not in inside for name in layer.reads if name in inside}
    output = network[-1].name
    named = any(word in WORDS for layer in members for word in _local(layer.name, name).split("."))
    alone = whole == inside and seen <= {last} and (output not in inside or output == last)
    return next(iter(read)) if len(read) == 1 and alone and not named else None


def _layer(layer: Written, name: str, before: str, words: dict[str, str]) -> Data:
    reads = None if layer.reads == (before,) else tuple(_word(words, read) for read in layer.reads)
    said: Data = written(layer.layer.model_copy(update={"name": name, "from_": reads}))
    if reads is not None and len(reads) == 1:
        (said["from"],) = reads
    return {key: said.pop(key) for key in ("kind", "name", "from") if key in said} | said


def _word(words: dict[str, str], name: str) -> str:
    """What a layer above is called; one that stands outside of all that is nested here has its full name."""
    return words.get(name, name)


def _first(name: str, scope: str) -> str:
    """The module inside of a scope that a layer belongs to; the layer itself, if that is none."""
    return _local(name, scope).partition(".")[0]


def _local(name: str, scope: str) -> str:
    return name.removeprefix(f"{scope}.") if scope else name


def _joined(scope: str, part: str) -> str:
    return f"{scope}.{part}" if scope else part
