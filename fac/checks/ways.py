"""Which layers with weights lie between two others, for many pairs at once.

A set of layers is a whole number with one bit for each, so that a union takes one step of the processor for 64 of
them: thousands of routes in a network of thousands of layers take a second at most, whatever its skips.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from fac.checks.places import SHOWN, has_weights
from fac.program.program import Program

BLOCK = 8192
"""How many layers one number stands for. Bounds the memory: there are two numbers for each layer."""

Pair = tuple[str, str]
"""A layer with parameters, and one that may lie above it."""


@dataclass(slots=True)
class Between:
    """The layers with weights on all ways from one layer up to another, the lower one left out."""

    joined: bool = False
    """Whether there is a way at all."""
    first: tuple[str, ...] = ()
    """The lowest ones, as many as a message shows."""
    last: str = ""
    count: int = 0


def between(program: Program, pairs: Iterable[Pair]) -> Mapping[Pair, Between]:
    """What lies between the two of each pair. For programs that are `wired`."""
    found = {pair: Between() for pair in pairs}
    lower = {low for low, _ in found}
    marked = [n.name for n in program.nodes if n.name in lower or has_weights(n)] if found else []
    for start in range(0, len(marked), BLOCK):
        names = marked[start : start + BLOCK]
        bit = {name: 1 << place for place, name in enumerate(names)}
        weighted = sum(bit[name] for name in names if has_weights(program.by_name[name]))
        below, above = _below(program, bit), _above(program, bit)
        for (low, high), way in found.items():
            own = bit.get(low, 0)
            way.joined |= bool(below[high] & own)
            crossed = below[high] & above[low] & weighted & ~own
            if crossed:
                way.first += tuple(islice(_named(crossed, names), SHOWN + 1 - len(way.first)))
                way.last = names[crossed.bit_length() - 1]
                way.count += crossed.bit_count()
    return found


def _below(program: Program, bit: Mapping[str, int]) -> dict[str, int]:
    """Of the layers that have a bit, those from which a way leads up to each layer, and itself."""
    found = dict.fromkeys(program.inputs, 0)
    for node in program.nodes:
        own = bit.get(node.name, 0)
        for name in dict.fromkeys(node.inputs):
            own |= found[name]
        found[node.name] = own
    return found


def _above(program: Program, bit: Mapping[str, int]) -> dict[str, int]:
    """Of the layers that have a bit, those to which a way leads up from each layer, and itself."""
    found: dict[str, int] = {}
    for node in reversed(program.nodes):
        own = bit.get(node.name, 0)
        for reader in program.readers.get(node.name, ()):
            own |= found[reader.name]
        found[node.name] = own
    return found


def _named(layers: int, names: Sequence[str]) -> Iterator[str]:
    """The names of the bits that are set, the lowest first."""
    while layers:
        lowest = layers & -layers
        yield names[lowest.bit_length() - 1]
        layers ^= lowest
