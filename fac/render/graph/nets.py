"""Which links are straight lines between neighbours, and which share a line above or below the stations.

A source of several targets is drawn once, as a bus from which its targets branch; so is a target of many sources.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from fac.render.graph.topology import Flowing, Key, Link, Topology

COLLECTED = 3
"""So many lines to one target become one."""
BRANCHES = 4
"""Writers without tracks draw a bus for more targets than these."""


@dataclass(frozen=True)
class Net:
    """Links that share a line: one source or one target, or both."""

    links: tuple[Link, ...]

    @cached_property
    def sources(self) -> Mapping[Key, list[Link]]:
        """Where errors or values come from, with the links from there."""
        return _by(self.links, lambda link: link.source)

    @cached_property
    def targets(self) -> Mapping[Key, list[Link]]:
        """Where they go, with the links to there."""
        return _by(self.links, lambda link: link.target)

    @cached_property
    def ends(self) -> tuple[Key, ...]:
        """All places that it links."""
        return (*self.sources, *self.targets)

    @property
    def first_source(self) -> Key:
        """The one source, if there is one."""
        return self.links[0].source

    @property
    def bus(self) -> bool:
        """Whether several links share the line."""
        return len(self.links) > 1

    @property
    def collects(self) -> bool:
        """Whether it is a bus from several sources to one target."""
        return len(self.sources) > 1


@dataclass(frozen=True, slots=True)
class Wiring:
    """All links but those to subspaces."""

    values: tuple[Link, ...]
    """Between neighbours in the forward lane."""
    hops: tuple[Link, ...]
    """Between neighbours in the lane of errors, from right to left."""
    above: tuple[Net, ...]
    below: tuple[Net, ...]


def wiring(topology: Topology) -> Wiring:
    """Sort the links of a picture."""
    marked = errors_at(topology)
    before = {right: left for left, right in pairwise(marked)}
    fans = _counts(link.source for link in topology.links if link.direct)
    values: list[Link] = []
    hops: dict[Key, Link] = {}
    above: list[Link] = []
    below: list[Link] = []
    # What passes down layer by layer takes the straight way before any direct route does.
    for link in sorted(topology.links, key=lambda link: link.direct):
        source, target = link.source, link.target
        if link.flowing is Flowing.READING:
            continue
        if link.flowing is Flowing.VALUE:
            near = isinstance(source, int) and target == source + 1
            (values if near else above).append(link)
        elif isinstance(source, int) and before.get(source) == target and source not in hops:
            if link.direct and fans[source] > 1:
                below.append(link)
            else:
                hops[source] = link
        else:
            below.append(link)
    return Wiring(tuple(values), tuple(hops.values()), _nets(above), _nets(below))


def feeding(topology: Topology) -> tuple[list[list[Link]], list[Link]]:
    """For writers without tracks: the links of sources with many targets, from right to left, and all others."""
    found = [link for link in topology.links if link.carries_error]
    fans = _counts(link.source for link in found if link.direct)
    many: dict[Key, list[Link]] = defaultdict(list)
    single: list[Link] = []
    for link in found:
        if link.direct and fans[link.source] > BRANCHES:
            many[link.source].append(link)
        else:
            single.append(link)
    # Stations are targets: only what is read has a name for a place.
    return [sorted(links, key=lambda link: -int(link.target)) for links in many.values()], single


def errors_at(topology: Topology) -> list[int]:
    """The stations that have an error, from left to right."""
    sends = any(link.source == topology.loss for link in topology.links if link.carries_error)
    found = [i for i, station in enumerate(topology.stations) if station.error]
    return [*found, topology.loss] if sends else found


def _nets(links: list[Link]) -> tuple[Net, ...]:
    sent = _counts(link.source for link in links)
    received = _counts(link.target for link in links if isinstance(link.source, int))
    nets: dict[tuple[str, Key, Key], list[Link]] = defaultdict(list)
    for link in links:
        if sent[link.source] > 1:
            nets["from", link.source, ""].append(link)
        elif received[link.target] >= COLLECTED and isinstance(link.source, int):
            nets["to", link.target, ""].append(link)
        else:
            nets["", link.source, link.target].append(link)
    return tuple(Net(tuple(found)) for found in nets.values())


def _by(links: Iterable[Link], end: Callable[[Link], Key]) -> dict[Key, list[Link]]:
    found: dict[Key, list[Link]] = {}
    for link in links:
        found.setdefault(end(link), []).append(link)
    return found


def _counts(keys: Iterable[Key]) -> dict[Key, int]:
    counts: dict[Key, int] = defaultdict(int)
    for key in keys:
        counts[key] += 1
    return counts
