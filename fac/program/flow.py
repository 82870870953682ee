"""How errors flow through a program, on the level of layer outputs. It mirrors `fac.step.reverse`.

The error at a layer's output is made of what its readers pass down (exactly, or by a `through` route) unless
a `to` route cuts that, and of what `to` routes bring.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Set
from functools import cached_property

from fac.program.program import Node, Program, Route

MAX_WALKED = 500_000
"""Outputs that are looked at to tell which cycles there are. Takes a second."""


class Flow:
    """Who makes whose error. For programs that are `wired`.

    What a loss says of the value that it reads stays where a route cuts, and is what the name of such a layer means as
    a source: it is made of no other error.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.order = {name: i for i, name in enumerate((*program.inputs, *program.by_name))}
        self.brought: dict[str, list[Route]] = defaultdict(list)
        """`to` routes by site. Those with a dangling site are left out."""
        for route in program.routes:
            if not route.through and route.site is not None:
                self.brought[route.site].append(route)
        self.cut = frozenset(s for s, routes in self.brought.items() if not all(r.add for r in routes))
        self.replaced = frozenset(route.node for route in program.routes if route.through)

    def passing(self, name: str) -> tuple[Node, ...]:
        """The readers whose error is passed down to `name`."""
        readers = () if name in self.cut else self.program.readers.get(name, ())
        return tuple(reader for reader in readers if not reader.stops)

    def makers(self, name: str) -> Iterator[str]:
        """The outputs whose errors the error at `name` is made of."""
        yield from (reader.name for reader in self.passing(name))
        for route in self.brought.get(name, ()):
            maker = self.program.maker(route.source)
            if maker is not None:
                yield maker

    @cached_property
    def needed(self) -> frozenset[str]:
        """Outputs whose error somebody asks for, so that a layer can learn."""
        return _closure((n.name for n in self.program.nodes if n.learns), self.makers)

    @cached_property
    def reached(self) -> frozenset[str]:
        """Outputs at which an error arrives. An unknown source counts: its mistake is another one."""
        return self.reached_from(())

    def reached_from(self, more: Iterable[str]) -> frozenset[str]:
        """Outputs at which an error arrives if one is at `more`, too."""
        receivers: dict[str, list[str]] = defaultdict(list)
        for name in self.order:
            for maker in self.makers(name):
                receivers[maker].append(name)
        starts = [
            s
            for s, routes in self.brought.items()
            if any(self.program.maker(r.source) is None for r in routes)
        ]
        starts += (head for head in self.program.heads if head in self.program.by_name)
        return _closure((*starts, *more), lambda name: receivers[name])

    @cached_property
    def cyclic(self) -> frozenset[str]:
        """Outputs whose error depends on itself."""
        return frozenset(self._circles)

    @property
    def cycles(self) -> tuple[tuple[Route, tuple[str, ...]], ...]:
        """Routes that make an error depend on itself, each with the outputs on the shortest way round.

        Each route that is found is taken for cut, so that there is one for each cycle. Of so many cycles that
        this takes more than `MAX_WALKED` steps only the first ones are found, but one at least.
        """
        return self._search[0]

    @property
    def all_cycles(self) -> bool:
        """Whether `cycles` are all of them."""
        return self._search[1]

    @cached_property
    def _search(self) -> tuple[tuple[tuple[Route, tuple[str, ...]], ...], bool]:
        circle, steps, found = dict(self._circles), 0, []
        if not circle:
            return (), True
        import networkx as nx  # type: ignore[import-untyped]

        graph = nx.DiGraph(
            (name, maker)
            for name in self.order
            for maker in self.makers(name)
            if name in circle and circle[name] is circle.get(maker)
        )
        for route, root in self._closing:
            site = str(route.site)
            while steps <= MAX_WALKED and graph.has_edge(site, root) and circle[site] is circle[root]:
                names = circle[root]
                steps += 1 if site == root else len(names)
                try:
                    way = nx.shortest_path(graph, root, site)
                except nx.NetworkXNoPath:
                    # What was cut since leaves less than was together. Afterwards there is a way, or the loop ends.
                    circle.update(_by_member(nx.strongly_connected_components(graph.subgraph(names))))
                else:
                    found.append((route, tuple(way)))
                    graph.remove_edge(site, root)
        return tuple(found), steps <= MAX_WALKED

    @cached_property
    def _closing(self) -> list[tuple[Route, str]]:
        """`to` routes whose source lies at or below their site, with it.

        Readers lie above what they read, so every cycle has such a route.
        """
        return [
            (route, root)
            for routes in self.brought.values()
            for route in routes
            if (root := self.program.maker(route.source)) and self.order[root] <= self.order[str(route.site)]
        ]

    @cached_property
    def _circles(self) -> dict[str, Set[str]]:
        """For each output on a cycle all those that are on one with it."""
        if not self._closing:
            return {}
        # Imported here because few specs have such a route, and the import is slow.
        import networkx as nx

        graph = nx.DiGraph((name, maker) for name in self.order for maker in self.makers(name))
        own = {root for route, root in self._closing if root == route.site}
        together = (c for c in nx.strongly_connected_components(graph) if len(c) > 1 or not own.isdisjoint(c))
        return _by_member(together)


def _by_member(sets: Iterable[Set[str]]) -> dict[str, Set[str]]:
    return {name: members for members in sets for name in members}


def _closure(starts: Iterable[str], following: Callable[[str], Iterable[str]]) -> frozenset[str]:
    """All names that can be reached; an explicit stack, because networks can be deep."""
    stack = list(starts)
    seen = set(stack)
    while stack:
        for name in following(stack.pop()):
            if name not in seen:
                seen.add(name)
                stack.append(name)
    return frozenset(seen)
