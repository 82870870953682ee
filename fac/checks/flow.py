"""How errors flow through a program, on the level of layer outputs. It mirrors `fac.step.reverse`.

The error at a layer's output is made of what its readers pass down (exactly, or by a `through` route) unless
a `to` route cuts that, and of what `to` routes bring.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property

from fac.checks.places import learns
from fac.program.program import INPUT, Node, Program, Route


class Flow:
    """Who makes whose error. For programs that are `wired`."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.order = {name: i for i, name in enumerate((INPUT, *program.by_name))}
        self.brought: dict[str, list[Route]] = defaultdict(list)
        """`to` routes by site. Those with a dangling site are left out."""
        for route in program.routes:
            if not route.through and route.site is not None:
                self.brought[route.site].append(route)
        self.cut = frozenset(s for s, routes in self.brought.items() if not all(r.add for r in routes))
        self.replaced = frozenset(route.node for route in program.routes if route.through)

    def passing(self, name: str) -> tuple[Node, ...]:
        """The readers whose error is passed down to `name`."""
        return () if name in self.cut else self.program.readers.get(name, ())

    def makers(self, name: str) -> Iterator[str]:
        """The outputs whose errors the error at `name` is made of."""
        yield from (reader.name for reader in self.passing(name))
        for route in self.brought.get(name, ()):
            root = self.program.root(route.source)
            if root is not None:
                yield root

    @cached_property
    def needed(self) -> frozenset[str]:
        """Outputs whose error somebody asks for, so that a layer can learn."""
        return _closure((n.name for n in self.program.nodes if learns(n)), self.makers)

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
            if any(self.program.root(r.source) is None for r in routes)
        ]
        if self.program.output not in self.cut:
            starts.append(self.program.output)
        return _closure((*starts, *more), lambda name: receivers[name])

    @cached_property
    def cycles(self) -> tuple[tuple[Route, tuple[str, ...]], ...]:
        """Routes that make an error depend on itself, each with the outputs on the shortest way round.

        Readers lie above what they read, so every cycle has a `to` route whose source lies at or below its
        site.
        """
        closing = [
            (route, root)
            for routes in self.brought.values()
            for route in routes
            if (root := self.program.root(route.source)) and self.order[root] <= self.order[str(route.site)]
        ]
        if not closing:
            return ()
        # Imported here because few specs have such a route, and the import is slow.
        import networkx as nx  # type: ignore[import-untyped]

        graph = nx.DiGraph((name, maker) for name in self.order for maker in self.makers(name))
        found = []
        for route, root in closing:
            if graph.has_edge(route.site, root) and nx.has_path(graph, root, route.site):
                found.append((route, tuple(nx.shortest_path(graph, root, route.site))))
                # One finding for each cycle: another route on this way round closes it no longer.
                graph.remove_edge(route.site, root)
        return tuple(found)


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
