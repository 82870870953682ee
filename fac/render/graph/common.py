"""What all copies of a block are linked with in one way: a sequence of which each reads an element, or a sum of all.

What they have in common is the station outside of them, not the distance to it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence

from fac.render.graph.frames import Path
from fac.render.graph.topology import Link


def common(links: Iterable[Link], paths: Sequence[Path]) -> Iterator[Link]:
    """The links between a station outside of a block and the same one in each of its copies.

    Args:
        links: between stations, and others.
        paths: for each station the copies that it is in.
    """
    numbers: dict[tuple[Path, str], set[int]] = defaultdict(set)
    first: dict[tuple[Path, str, int], int] = {}
    for index, path in enumerate(paths):
        for level, (block, number) in enumerate(path):
            numbers[path[:level], block].add(number)
            first.setdefault((path[:level], block, number), index)
    found: dict[tuple[Path, str, Hashable], list[tuple[int, Link]]] = defaultdict(list)
    for link in links:
        for inner, outer in ((link.source, link.target), (link.target, link.source)):
            if not isinstance(inner, int) or not isinstance(outer, int):
                continue
            for level, (block, number) in enumerate(paths[inner]):
                around = paths[inner][:level]
                if all(other != block for other, _ in paths[outer]):
                    key = inner - first[around, block, number], outer, inner == link.source, link.flowing
                    found[around, block, key].append((number, link))
    for (around, block, _), known in found.items():
        if len(known) > 1 and {number for number, _ in known} == numbers[around, block]:
            yield from (link for _, link in known)
