"""Which stations stand in which block: what is folded together, and what has a frame with a name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from fac.render.blocks import Part, Tree
from fac.render.graph.topology import Group, Topology

Path = tuple[tuple[str, int], ...]
"""The copies that a layer is in, the outermost first: blocks and numbers."""


def paths(topology: Topology) -> list[Path]:
    """For each station the copies that it is in."""
    found = dict(_paths(Tree(topology.program).top.values(), ()))
    return [
        found.get(station.head.name, ()) if station.role == "layer" else () for station in topology.stations
    ]


def _paths(parts: Iterable[Part], path: Path) -> Iterator[tuple[str, Path]]:
    for part in parts:
        if part.own is not None:
            yield part.own.name, path
        for number, inner in enumerate(part.parts.values()):
            further = (*path, (part.name, number)) if part.copies else path
            yield from _paths(inner.parts.values() or (inner,), further)


def framed(topology: Topology) -> Topology:
    """The network with a frame around each block that is not in another one, where nothing is folded in it."""
    at = {
        station.head.name: index
        for index, station in enumerate(topology.stations)
        if station.role == "layer" and not station.stacked
    }
    taken = {index for group in topology.groups for index in range(group.first, group.last + 1)}
    groups, stations = list(topology.groups), list(topology.stations)
    queue = list(Tree(topology.program).top.values())
    for part in queue:
        held = sorted(at[node.name] for node in part.nodes if node.name in at)
        apart = part.copies and part.own is None
        if apart or len(held) < 2 or held != list(range(held[0], held[-1] + 1)) or taken & set(held):
            queue += part.parts.values()
            continue
        groups.append(Group(held[0], held[-1], 1, part.name))
        for index in held:
            stations[index] = replace(stations[index], within=(part.name,))
    groups.sort(key=lambda group: group.first)
    return replace(topology, stations=tuple(stations), groups=tuple(groups))
