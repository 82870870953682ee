"""Where a long network is broken into rows: few, about equally long, and best between blocks."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise

from fac.render.graph.topology import Flowing, Topology

ROOM = 1400.0
"""Length of a row; what is not longer is not broken."""
LENGTHS = [ROOM * share / 20 for share in range(12, 23)]
"""Lengths that are tried, each for all rows."""
ROW, LINE, FRAME = 0.1, 0.3, 0.35
"""What a row costs, a break through more values than one, and through a group; a row left empty would cost 1."""


def rows(topology: Topology, stations: Sequence[int | None], lengths: Sequence[float]) -> list[range]:
    """Which columns stand in which row.

    Args:
        topology: says what the breaks would part.
        stations: of each column, None for the subspaces of the station behind it.
        lengths: of each column, with the gap behind it.
    """
    if sum(lengths) <= ROOM:
        return [range(len(lengths))]
    starts = [i for i in range(len(stations)) if i == 0 or stations[i - 1] is not None]
    ends = [*starts[1:], len(stations)]
    parted = _parted(topology)
    units = [sum(lengths[a:b]) for a, b in zip(starts, ends, strict=True)]
    costs = [parted[stations[end - 1] or 0] for end in ends]
    longest = max(units)
    cuts = min(_cuts(units, costs, max(limit, longest)) for limit in LENGTHS)[1]
    return [range(starts[a], ends[b - 1]) for a, b in pairwise(cuts)]


def _parted(topology: Topology) -> list[float]:
    """What a break before each station costs: between two blocks only one value goes on."""
    farthest: dict[int, int] = {}
    for link in topology.links:
        if link.flowing is Flowing.VALUE and isinstance(link.source, int) and isinstance(link.target, int):
            farthest[link.source] = max(farthest.get(link.source, 0), link.target)
    change = [0] * (len(topology.stations) + 1)
    for source, target in farthest.items():
        change[source + 1] += 1
        change[target + 1 if target < len(change) - 1 else -1] -= 1
    costs = [LINE * min(2, max(0, values - 1)) for values in accumulate(change)]
    for group in topology.groups:
        for station in range(group.first + 1, group.last + 1):
            costs[station] += FRAME
    return costs


def _cuts(units: Sequence[float], costs: Sequence[float], limit: float) -> tuple[float, list[int]]:
    """The cheapest rows of at most that length: what they cost, and where each begins, the end included."""
    best = [(0.0, 0)]
    for end in range(1, len(units) + 1):
        found: list[tuple[float, int]] = []
        used = 0.0
        for start in range(end - 1, -1, -1):
            used += units[start]
            if used > limit and found:
                break
            slack = max(0.0, 1 - used / limit)
            found.append((best[start][0] + ROW + slack * slack + (costs[start] if start else 0.0), start))
        best.append(min(found))
    cuts = [len(units)]
    while cuts[-1]:
        cuts.append(best[cuts[-1]][1])
    return best[-1][0], cuts[::-1]
