"""Equal stations that follow one another, as one station or one group of stations with a number.

Stations are equal if their layers, shapes, links and operators are, where a link is told by how far it goes.
A run of them is folded only if nothing but its ends is linked to the outside, sources of many layers aside: then
the picture of one repetition is the picture of all. Copies of a block are such runs, and no other run begins or ends
in a copy.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count, takewhile

from fac.program.program import Node
from fac.render.graph import words
from fac.render.graph.common import common
from fac.render.graph.frames import framed, paths
from fac.render.graph.topology import Flowing, Group, Key, Link, Operator, Span, Station, Topology

LONGEST = 12
"""Stations of a repetition: as many as stand in a line of a picture, or two."""
FEWEST = 3
"""Repetitions that are worth a fold: of two, both are drawn, if they are no copies of a block."""
FEW = 9
"""A network of so many stations is drawn as it is."""
MANY = 48
"""Stations of a picture that is read like a page: in rows, from left to right."""


def folded(topology: Topology, many: int = MANY) -> Topology:
    """The same network with fewer stations, if it is a long one.

    Args:
        topology: the network, station by station.
        many: if more are left, stations are folded that differ in sizes, ranks and activations only.
    """
    if len(topology.stations) - 2 <= FEW and not topology.program.blocks:
        return words.told_apart(topology)
    found = _Folding(topology, loose=False).result()
    if len(found.stations) > many:
        found = _Folding(topology, loose=True).result()
    return words.told_apart(framed(found) if topology.program.blocks else found)


@dataclass(frozen=True, slots=True)
class _Run:
    """`times` repetitions of `period` stations."""

    start: int
    period: int
    times: int
    copies: tuple[str, ...] = ()
    """What the repetitions are called, if they are copies of a block."""
    name: str = ""
    """What they are called together."""

    @property
    def end(self) -> int:
        """The first station behind the run."""
        return self.start + self.period * self.times

    @property
    def saved(self) -> int:
        """How many stations a fold removes."""
        return self.period * (self.times - 1)

    def repetition(self, station: int) -> int:
        """The number of the repetition that a station belongs to."""
        return (station - self.start) // self.period

    def offset(self, station: int) -> int:
        """The place of a station in its repetition."""
        return (station - self.start) % self.period


class _Folding:
    def __init__(self, topology: Topology, loose: bool) -> None:
        self.topology, self.loose = topology, loose
        self.linked: dict[Key, list[Link]] = defaultdict(list)
        fed: dict[Key, set[Key]] = defaultdict(set)
        for link in topology.links:
            self.linked[link.source].append(link)
            self.linked[link.target].append(link)
            if link.direct:
                fed[link.source].add(link.target)
        self.fans = {source for source, targets in fed.items() if len(targets) > 1}
        """Sources of several layers. What those have in common is the source, not the distance to it."""
        self.read = {reading.below for reading in topology.readings}
        inside = paths(topology.program)
        self.written = {block.origin for block in topology.program.blocks}
        self.paths = [
            inside.get(station.head.name, ()) if station.role == "layer" else ()
            for station in topology.stations
        ]
        self.held = Counter(path[: i + 1] for path in self.paths for i in range(len(path)))
        """How many stations each copy has."""
        self.common = frozenset(common(topology.links, self.paths))

    def result(self) -> Topology:
        """The folded network."""
        place: dict[Key, Key] = {reading.name: reading.name for reading in self.topology.readings}
        run_at: dict[Key, _Run] = {}
        stations: list[Station] = []
        groups: list[Group] = []
        runs = {run.start: run for run in self._runs()}
        at = 0
        while at < len(self.topology.stations):
            run = runs.get(at)
            if run is None:
                place[at] = len(stations)
                stations.append(self.topology.stations[at])
                at += 1
                continue
            base = len(stations)
            for i in range(run.start, run.end):
                place[i], run_at[i] = base + run.offset(i), run
            stations += (self._merged(run, offset) for offset in range(run.period))
            if run.period > 1:
                groups.append(Group(base, len(stations) - 1, run.times, run.name))
            at = run.end
        return replace(
            self.topology,
            stations=tuple(stations),
            links=tuple(self._links(place, run_at)),
            readings=tuple(replace(r, below=place[r.below]) for r in self.topology.readings),
            groups=tuple(groups),
            mixed=self.loose,
        )

    # -- runs ------------------------------------------------------------------------------------------------

    def _runs(self) -> Iterator[_Run]:
        codes: dict[Hashable, int] = {}
        unique = count(-1, -1)
        signs = [
            next(unique) if (sign := self._sign(i)) is None else codes.setdefault(sign, len(codes))
            for i in range(len(self.topology.stations))
        ]
        apart = [codes.setdefault(pair, len(codes)) for pair in zip(signs, self.paths, strict=True)]
        few = len(signs) - 2 <= FEW
        equal = {} if few else {period: _equal(apart, period) for period in range(1, LONGEST + 1)}
        at = 0
        while at < len(signs):
            best = self._copies(at, signs)
            if best.times == 1:
                for period, lengths in equal.items():
                    run = _Run(at, period, lengths[at] // period + 1)
                    if run.saved > best.saved and (run := self._closed(run)).times >= FEWEST:
                        best = max(best, run, key=lambda run: run.saved)
            if best.times > 1:
                yield best
            at = best.end

    def _copies(self, at: int, signs: Sequence[int]) -> _Run:
        """The copies of a block that begin at a station, as far as they are equal; of several blocks the outermost."""
        path = self.paths[at]
        for level, (block, first) in enumerate(path):
            if self.paths[at - 1][: level + 1] == path[: level + 1]:
                continue  # the copy has begun already
            period, *others = takewhile(bool, (self.held[*path[:level], (block, n)] for n in count(first)))
            times = 1
            for length in others:
                start = at + times * period
                if length != period or signs[start : start + period] != signs[at : at + period]:
                    break
                times += 1
            run = self._closed(_Run(at, period, times), fewest=2)
            if run.times > 1:
                names = tuple(f"{block}.{first + n}" for n in range(run.times))
                whole = first == 0 and run.times == 1 + len(others)
                return replace(run, copies=names, name=block if whole else f"{names[0]} … {names[-1]}")
        return _Run(at, 1, 1)

    def _sign(self, index: int) -> Hashable:
        """What makes stations equal; None if nothing equals this one."""
        station = self.topology.stations[index]
        if station.role != "layer" or index in self.fans or index in self.read:
            return None
        chain = station.chains[0][:1] if self.loose else station.chains[0]
        layers = tuple((self._kind(node), node.trainable) for node in chain)
        links = frozenset(sign for link in self.linked[index] if (sign := self._link_sign(index, link)))
        return layers, station.error, station.learns, station.starved, links

    def _kind(self, node: Node) -> Hashable:
        if self.loose:
            return type(node.layer)
        if (
            node.origin in self.written
        ):  # by a block in each of its copies, in which the number of the copy differs
            return type(node.layer), node.shape, tuple(tensor.shape for tensor in node.state)
        unnamed = node.layer.model_copy(update={"name": None, "from_": None})
        return unnamed, node.shape, tuple(tensor.shape for tensor in node.state)

    def _link_sign(self, index: int, link: Link) -> Hashable:
        """None for a link that its other end answers for: an error is passed by the station above."""
        answers = link.source if _passed(link) else link.target
        if answers != index:
            return None
        other = link.target if _passed(link) else link.source
        fanned = self._fanned(link) or link in self.common
        far = other - index if isinstance(other, int) and not fanned else other
        matrices = () if self.loose else tuple(route.matrix for route in link.routes)
        return link.flowing, far, self._fanned(link), self._likeness(link.operator), matrices

    def _likeness(self, operator: Operator | None) -> Operator | None:
        return replace(operator, rank=None, full=None) if operator and self.loose else operator

    def _fanned(self, link: Link) -> bool:
        return link.direct and link.source in self.fans

    def _closed(self, run: _Run, fewest: int = FEWEST) -> _Run:
        """As many of the repetitions as are linked in one way to the one before, and not to the outside."""
        while run.times >= fewest:
            stations = range(run.start, run.end)
            stray = next(
                (i for i in stations if not all(self._fits(run, link) for link in self.linked[i])), None
            )
            if stray is None:
                break
            run = replace(run, times=run.repetition(stray))
        return run

    def _fits(self, run: _Run, link: Link) -> bool:
        source, target = link.source, link.target
        if (
            self._fanned(link)
            or link in self.common
            or not isinstance(source, int)
            or not isinstance(target, int)
        ):
            return True
        low, high = sorted((source, target))
        if link.direct and source == low:
            return run.start <= low and high < run.end and run.repetition(low) == run.repetition(high)
        if low < run.start:
            return (
                self._handed_down(run, link)
                if link.direct
                else low == run.start - 1 and run.repetition(high) == 0
            )
        if high >= run.end:
            joined = high == run.end if link.direct else run.offset(low) == run.period - 1
            return run.repetition(low) == run.times - 1 and joined
        apart = run.repetition(high) - run.repetition(low)
        joined = run.offset(high) == 0 if link.direct else run.offset(low) == run.period - 1
        return apart == 0 or (apart == 1 and joined)

    def _handed_down(self, run: _Run, link: Link) -> bool:
        """Whether the first error of the run goes below it just as that of each repetition goes to the one before."""
        second = run.start + run.period
        return link.source == run.start and any(
            other.direct and other.source == second and other.operator == link.operator
            for other in self.linked[second]
        )

    # -- what is left ----------------------------------------------------------------------------------------

    def _merged(self, run: _Run, offset: int) -> Station:
        parts = self.topology.stations[run.start + offset : run.end : run.period]
        stacked = run.period == 1
        chains = tuple(part.chains[0] for part in parts)
        return replace(parts[0], chains=chains, stacked=stacked, within=() if stacked else run.copies)

    def _links(self, place: dict[Key, Key], run_at: dict[Key, _Run]) -> Iterator[Link]:
        merged: dict[Hashable, list[Link]] = {}
        for link in self.topology.links:
            source, target = _outer(link, run_at)
            moved = replace(link, source=place[source], target=place[target])
            key = (
                moved.source,
                moved.target,
                moved.flowing,
                moved.transposed,
                self._likeness(moved.operator),
            )
            merged.setdefault(key, []).append(moved)
        for links in merged.values():
            yield replace(
                links[0],
                operator=_spanning([link.operator for link in links if link.operator is not None]),
                routes=tuple(route for link in links for route in link.routes),
                count=len(links),
            )


def _outer(link: Link, run_at: dict[Key, _Run]) -> tuple[Key, Key]:
    """The ends of a link; for one between two repetitions, those of its likeness at an end of the run."""
    source, target = link.source, link.target
    run = run_at.get(source)
    if run is None or run_at.get(target) is not run:
        return source, target
    assert isinstance(source, int)
    assert isinstance(target, int)
    if run.repetition(source) == run.repetition(target):
        return source, target
    if link.direct:
        return run.end, target
    return (run.start - 1, target) if source < target else (source, run.start - 1)


def _passed(link: Link) -> bool:
    """Whether it is an error that a station passes down, exactly or by a `through` route."""
    return link.flowing in (Flowing.EXACT, Flowing.ROUTE) and not link.direct


def _equal(signs: Sequence[int], period: int) -> list[int]:
    """From each place on, how many signs equal the one that stands `period` places further."""
    lengths = [0] * len(signs)
    for i in range(len(signs) - period - 1, -1, -1):
        lengths[i] = lengths[i + 1] + 1 if signs[i] == signs[i + period] else 0
    return lengths


def _spanning(operators: Sequence[Operator]) -> Operator | None:
    """The first operator with the ranks of all."""
    if not operators:
        return None
    ranks, fulls = [o.rank for o in operators], [o.full for o in operators]
    return replace(operators[0], rank=_span(ranks), full=_span(fulls))


def _span(spans: Sequence[Span | None]) -> Span | None:
    known = [span for span in spans if span is not None]
    return (min(low for low, _ in known), max(high for _, high in known)) if known else None
