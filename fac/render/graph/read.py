"""A program's topology: its layers as stations, and the links that its step function computes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace

from fac.checks.errors import dead
from fac.checks.places import has_parameters, has_weights
from fac.program.declared import auto_rank
from fac.program.flow import Flow
from fac.program.lower import kind_of
from fac.program.program import LOSS, Node, Program, Route
from fac.program.reading import made_from_weight
from fac.render.graph.frames import paths
from fac.render.graph.topology import Flowing, Key, Link, Operator, Reading, Station, Topology
from fac.render.operators import learning, learning_rules, symbols
from fac.spec.feedback import Learning


def topology(program: Program) -> Topology:
    """The picture of a program, finished or not: what cannot be drawn is a note."""
    sound, notes, dropped = _sound(program)
    flow = Flow(sound)
    circles = [route for route, _ in flow.cycles]
    notes += [f"`{_written(route)}` closes a circle of errors" for route in circles]
    # An error in a circle is wrong, and not missing: it is drawn.
    alive = flow.needed & flow.reached_from(str(route.site) for route in circles)
    chains = _chains(sound)
    stations = (
        *(Station((chain,), "input", input=name) for name, chain in zip(sound.inputs, chains, strict=False)),
        *(_station(chain, alive) for chain in chains[len(sound.inputs) :]),
        Station((), "loss"),
    )
    place = {node.name: i for i, chain in enumerate(chains) for node in chain}
    place |= {name: i for i, name in enumerate(sound.inputs)}
    links = [*_values(sound, stations, place), *_errors(sound, flow, alive, stations, place)]
    drawn = {id(route) for link in links for route in link.routes}
    pruned = [route for route in sound.routes if id(route) not in drawn]
    readings = tuple(_readings(sound, place, len(stations) - 1, links))
    links += [
        Link(reading.below, reading.name, Flowing.READING, reading.operator)
        for reading in readings
        if reading.operator is not None
    ]
    return Topology(
        program,
        stations,
        tuple(links),
        readings,
        notes=(*notes, *_undrawn(flow, pruned)),
        pruned=(*dropped, *pruned),
    )


# -- the network -------------------------------------------------------------------------------------------------


def _sound(program: Program) -> tuple[Program, list[str], list[Route]]:
    """The program with unique names that read what stands above them, and what had to be left out for it."""
    nodes: list[Node] = []
    notes: list[str] = []
    seen = set(program.inputs)
    for node in program.nodes:
        if node.name in seen:
            notes.append(f"a second layer is called `{node.name}`")
            continue
        known = tuple(name for name in node.inputs if name in seen)
        notes += [
            f"`{node.name}` reads `{name}`, which is no layer above it"
            for name in node.inputs
            if name not in known
        ]
        nodes.append(replace(node, inputs=known) if known != node.inputs else node)
        seen.add(node.name)
    found = {node.name: node for node in nodes}
    routes: list[Route] = []
    dropped: list[Route] = []
    for route in program.routes:
        fits = has_weights if route.through else has_parameters
        known_node = route.node in found and fits(found[route.node])
        drawn = known_node and (route.through or route.site in found)
        (routes if drawn else dropped).append(route)
    notes += [
        f"`{_written(route)}` names no layer with {'weights' if route.through else 'parameters'}"
        for route in dropped
    ]
    return replace(program, nodes=tuple(nodes), routes=tuple(routes)), notes, dropped


def _chains(program: Program) -> list[tuple[Node, ...]]:
    """The layers of each station.

    A value that a route enters or an error that a source reads ends a chain, and so does the copy of a block.
    """
    named = {route.source for route in program.routes if not route.through}
    named |= {subspace.of for subspace in program.subspaces} | set(program.heads)
    copies = paths(program)
    entered = {route.site for route in program.routes if not route.through}
    chains: list[list[Node]] = [[] for _ in program.inputs]
    ending: dict[str, list[Node]] = dict(zip(program.inputs, chains, strict=True))
    for node in program.nodes:
        below = node.inputs[0] if len(node.inputs) == 1 else ""
        continues = (
            below in ending
            and not has_weights(node)
            and len(program.readers.get(below, ())) == 1
            and below not in entered
            and node.name not in named
            and not (below in program.inputs and node.learns)
            and copies.get(below, ()) == copies.get(node.name, ())
        )
        chain = ending.pop(below) if continues else []
        if not continues:
            chains.append(chain)
        chain.append(node)
        ending[node.name] = chain
    return [tuple(chain) for chain in chains]


def _station(chain: tuple[Node, ...], alive: frozenset[str]) -> Station:
    error = any(node.name in alive for node in chain)
    teachable = any(node.learns for node in chain)
    return Station((chain,), error=error, learns=error and teachable, starved=teachable and not error)


def _values(program: Program, stations: tuple[Station, ...], place: dict[str, int]) -> Iterator[Link]:
    for index, station in enumerate(stations):
        if station.role == "layer":
            for name in dict.fromkeys(station.head.inputs):
                yield Link(place[name], index, Flowing.VALUE)
    for name in program.heads:
        if name in place:
            yield Link(place[name], len(stations) - 1, Flowing.VALUE)


# -- the errors --------------------------------------------------------------------------------------------------


def _errors(
    program: Program, flow: Flow, alive: frozenset[str], stations: tuple[Station, ...], place: dict[str, int]
) -> Iterator[Link]:
    """What arrives at each station whose error is computed."""
    through: dict[str, list[Route]] = defaultdict(list)
    for route in program.routes:
        if route.through:
            through[route.node].append(route)
    for index, station in enumerate(stations):
        if not station.error:
            continue
        top = station.chains[0][-1].name
        if top in program.heads:
            yield Link(len(stations) - 1, index, Flowing.EXACT)
        for reader in flow.passing(top):
            if reader.name not in alive:
                continue
            routes = through.get(reader.name, ())
            if not routes:
                passes = has_weights(reader)
                yield Link(place[reader.name], index, Flowing.EXACT, transposed=passes)
            for route in routes:
                yield Link(place[reader.name], index, Flowing.ROUTE, _operator(route), (route,))
        for route in flow.brought.get(top, ()):
            source = _source(program, route, alive, place, len(stations) - 1)
            if source is not None:
                yield Link(source, index, Flowing.ROUTE, _operator(route), (route,))


def _source(
    program: Program, route: Route, alive: frozenset[str], place: dict[str, int], loss: int
) -> Key | None:
    """Where the error of a `to` route comes from; None if no error is there."""
    root = program.root(route.source)
    if root is not None and root not in alive and root not in program.heads:
        return None
    if route.source in program.subspace or root is None or program.of_targets(route.source):
        return route.source
    return loss if route.source == LOSS or root in program.tapped else place[root]


def _readings(program: Program, place: dict[str, int], loss: int, links: Iterable[Link]) -> Iterator[Reading]:
    for name in dict.fromkeys(link.source for link in links if isinstance(link.source, str)):
        subspace = program.subspace.get(name)
        root = program.root(name)
        targets = program.of_targets(name)
        if subspace is None or root is None:
            yield Reading(name, loss, None, subspace, targets)
            continue
        dim = program.width(subspace.of)
        rank = subspace.rank, subspace.rank
        rule = str(kind_of("fac.learning", subspace.basis).name)
        operator = Operator("subspace", "P", (rule,), rank, None if dim is None else (dim, dim))
        below = loss if subspace.of == LOSS or targets else place[root]
        yield Reading(name, below, operator, subspace, targets)


def _operator(route: Route) -> Operator:
    kind = kind_of("fac.feedback", route.matrix)
    rules = tuple(learning(route.matrix))
    rank = full = None
    if route.ends is not None:
        full = route.ends.most
        # An operator with matrices and without a rank of its own is a full matrix.
        # What a mask leaves of it is only known once it is drawn.
        kept = any(tensor.mask or tensor.below for tensor in route.tensors)
        whole = route.tensors and not kept
        rank = kind.rank(route.matrix, route.ends) or (full if whole else None)
    return Operator(
        str(kind.name),
        "Wᵀ" if kind.name == "transpose" else symbols(route),
        rules,
        None if rank is None else (rank if auto_rank(route) is None else 1, rank),
        None if rank is None or full is None else (full, full),
        route.matrix.scale,
        route.through,
        route.add,
        route.through and (made_from_weight(route) or any(map(_follows, learning_rules(route.matrix)))),
    )


def _follows(rule: Learning) -> bool:
    return bool(kind_of("fac.learning", rule).follows)


# -- what is left out --------------------------------------------------------------------------------------------


def _undrawn(flow: Flow, routes: Iterable[Route]) -> Iterator[str]:
    for route in routes:
        reason = dead(flow, route)
        if reason:
            yield f"`{_written(route)}` is not computed: nobody needs an error {reason}"
        else:
            yield f"`{_written(route)}` is not computed: no error arrives at its source"


def _written(route: Route) -> str:
    return f"through: {route.node}" if route.through else f"to: {route.node}, from: {route.source}"
