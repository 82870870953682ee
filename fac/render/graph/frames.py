"""Which stations stand in which block: what is folded together, and what has a frame with a name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from fac.program.program import Program
from fac.render.blocks import Part, Tree
from fac.render.graph.topology import Group, Topology

MOST = 6
"""Stations of a frame, if there are smaller blocks in it: more would not stand in one line."""
Path = tuple[tuple[str, int], ...]
"""The copies that a layer is in, the outermost first: blocks and numbers."""


def paths(program: Program) -> Mapping[str, Path]:
    """For each layer the copies that it is in."""
    return dict(_paths(Tree(program).top.values(), ())) if program.blocks else {}


def _paths(parts: Iterable[Part], path: Path) -> Iterator[tuple[str, Path]]:
    for part in parts:
        if part.own is not None:
            yield part.own.name, path
        numbers = {copy.name: number for number, copy in enumerate(part.copied)}
        for inner in part.parts.values():
            further = (*path, (part.name, numbers[inner.name])) if inner.name in numbers else path
            yield from _paths(inner.parts.values() or (inner,), further)


def framed(topology: Topology) -> Topology:
    """The network with a frame around each block in which nothing is folded: the outermost that a line can hold."""
    at = {
        station.head.name: index
        for index, station in enumerate(topology.stations)
        if station.role == "layer" and not station.stacked
    }
    taken = {index for group in topology.groups for index in range(group.first, group.last + 1)}
    stations = list(topology.stations)
    found = [
        group for part in Tree(topology.program).top.values() for group in _frames(part, at, frozenset(taken))
    ]
    for group in found:
        for index in range(group.first, group.last + 1):
            stations[index] = replace(stations[index], within=(group.name,))
    groups = sorted((*topology.groups, *found), key=lambda group: group.first)
    return replace(topology, stations=tuple(stations), groups=tuple(groups))


def _frames(part: Part, at: Mapping[str, int], taken: frozenset[int]) -> list[Group]:
    held = sorted(at[node.name] for node in part.nodes if node.name in at)
    apart = part.copies and part.own is None
    whole = len(held) > 1 and held == list(range(held[0], held[-1] + 1)) and taken.isdisjoint(held)
    own = [Group(held[0], held[-1], 1, part.name)] if whole and not apart else []
    if own and len(held) <= MOST:
        return own
    return [group for inner in part.parts.values() for group in _frames(inner, at, taken)] or own
