"""FAC352, FAC353: one error for each layer, and none from far away."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from fac.checks.demands import Demand, demand
from fac.checks.places import by_origin, has_weights, listed, short_hand, target, wired
from fac.diagnostics import Diagnostic, Path, Rule
from fac.program.flow import Flow
from fac.program.program import LOSS, Program, Route

SEVERAL_ERROR_SOURCES = Rule("FAC352", "several-error-sources")
ROUTE_SKIPS_TOO_FAR = Rule("FAC353", "route-skips-too-far")

MAX_COUNTED = 1_000_000
"""Layers that are passed to count how far routes skip that do not follow the longest way. Takes a second."""


@dataclass(frozen=True, slots=True)
class _Term:
    """One error of a sum: that of a layer with weights, of the loss, or what a `to` route brings."""

    source: str
    route: Route | None
    """The route that makes it; None where it is exact."""


def several_error_sources(program: Program) -> Iterator[Diagnostic]:
    """`constraints.single_error_source` is set, and a layer learns from a sum that a routed error takes part in.

    Backpropagation adds up the exact errors of all readers of a value. Once one of the terms comes through a
    feedback matrix the sum is no gradient, and its terms can have any size against each other. A `to` route with
    `combine: add`, several `to` routes at one value, and a `through` route beside a skip connection make such sums.

    Bad:

        feedback:
          routes:
            - {to: fc1, combine: add, matrix: {kind: random}}
        constraints: {single_error_source: true}

    Good:

        feedback:
          routes:
            - {to: fc1, matrix: {kind: random}}
        constraints: {single_error_source: true}
    """
    asked = demand(program, "single_error_source")
    if asked is None or not wired(program):
        return
    sums = _sums(program)
    found: dict[Path, list[tuple[str, tuple[_Term, ...]]]] = {}
    for node in program.nodes:
        terms = sums[node.name]
        if node.learns and len(terms) > 1 and terms[0].route is not None:
            found.setdefault(terms[0].route.origin, []).append((node.name, terms))
    for layers in found.values():
        terms = layers[0][1]
        route = terms[0].route
        assert route is not None
        names, of = listed(name for name, _ in layers), listed(term.source for term in terms)
        several = "" if terms[0].source != terms[1].source else "several "
        if len(layers) == 1:
            learns_from = f"learns from a sum of {several or 'the '}errors of {of}"
        else:
            learns_from = f"learn from sums of errors, such as {several or 'those '}of {of}"
        yield SEVERAL_ERROR_SOURCES.at(
            _place(program, route),
            f"{names} {learns_from}, which {asked.named} forbids",
            help=_remedy(terms),
        )


def _remedy(terms: tuple[_Term, ...]) -> str:
    routes = [term.route for term in terms if term.route is not None]
    if any(route.add for route in routes):
        return "remove `combine: add`: the route then replaces what the layers above send"
    if all(route.through for route in routes):
        return "feed the layer with one `to` route, which replaces the sum"
    return "keep one of the routes"


def _sums(program: Program) -> Mapping[str, tuple[_Term, ...]]:
    """Of what terms the error at each output is made: two of them at most, a routed one first."""
    flow = Flow(program)
    through = {route.node: route for route in program.routes if route.through}
    found: dict[str, tuple[_Term, ...]] = {}
    for node in reversed(program.nodes):
        many: dict[object, _Term] = {}
        for route in flow.brought.get(node.name, ()):
            many[id(route)] = _Term(route.source, route)
        if node.name in program.heads and (node.name not in flow.cut or node.name in program.tapped):
            source = LOSS if len(program.heads) == 1 else node.name
            many[LOSS, node.name] = _Term(source, None)
        for reader in flow.passing(node.name):
            if has_weights(reader):
                if reader.name in flow.reached:
                    many[reader.name] = _Term(reader.name, through.get(reader.name))
            else:
                many |= {_key(term): term for term in found[reader.name]}
        # Two are enough for a finding, and keep the work linear in a network with many skips.
        found[node.name] = tuple(sorted(many.values(), key=lambda term: term.route is None))[:2]
    return found


def _key(term: _Term) -> object:
    """The same term may come on two ways, which is no sum of sources."""
    return term.source if term.route is None or term.route.through else id(term.route)


def route_skips_too_far(program: Program) -> Iterator[Diagnostic]:
    """A `to` route passes over more layers with weights than `constraints.max_skip` allows.

    Counted on the way from the source down to the layer that is fed; where several ways lead there, on the one
    with most weights. From the next layer with weights it is 0. In a chain of four layers direct feedback from the
    loss to the first passes over two. Where thousands of routes start in side branches of a network of thousands of
    layers, those that take too long to count are judged by the longest way on which they may lie.

    Bad:

        feedback: {rule: dfa}
        constraints: {max_skip: 0}

    Good:

        feedback:
          routes:
            - {to: fc1, from: fc2, matrix: {kind: random}}
            - {to: fc2, from: logits, matrix: {kind: random}}
        constraints: {max_skip: 0}
    """
    asked = demand(program, "max_skip")
    if asked is None or not wired(program):
        return
    skips = _skips(program, asked.value)
    for routes in by_origin(route for route in program.routes if id(route) in skips).values():
        route = max(routes, key=lambda route: skips[id(route)].over)
        yield _too_far(program, route, skips[id(route)], asked)


def _too_far(program: Program, route: Route, skip: _Skip, asked: Demand) -> Diagnostic:
    over = f"passes over {skip.over}" if skip.counted else f"may pass over {skip.over}"
    return ROUTE_SKIPS_TOO_FAR.at(
        _place(program, route),
        f"the route from `{route.source}` to `{route.node}` {over} layer{'s' * (skip.over > 1)} with weights, "
        f"above the `max_skip` of {asked.value}{asked.where}",
        help="take the error of a nearer layer, or use `through` routes",
    )


class _Skip(NamedTuple):
    """How far a route skips."""

    over: int
    counted: bool
    """Or that is what it may be at most."""


def _skips(program: Program, limit: int) -> dict[int, _Skip]:
    """How many layers with weights a `to` route passes over, by its id, for those that are above the limit."""
    above: dict[str, int] = {}
    longest: dict[str, str] = {}
    for node in reversed(program.nodes):
        readers = program.readers.get(node.name, ())
        most, reader = max(((above[r.name] + has_weights(r), r.name) for r in readers), default=(0, ""))
        above[node.name], longest[node.name] = most, reader
    lies_on = _ways(longest)
    crossed: dict[int, _Skip] = {}
    others: dict[str, list[Route]] = {}
    for route in program.routes:
        root, site = program.root(route.source), str(route.site)
        # How deep the two lie bounds the way between them. It is that way if the longest one to the end of the
        # network leads past the source, as it does in a chain; only else the ways have to be counted.
        if root is not None and site in above and (most := above[site] - above[root]) - 1 > limit:
            if lies_on(site, root):
                crossed[id(route)] = _Skip(most - 1, True)
            else:
                others.setdefault(root, []).append(route)
    for number, (root, routes) in enumerate(others.items()):
        # A limit that could be got round by writing more would be none.
        counted = _crossed(program, root) if number * len(program.nodes) < MAX_COUNTED else None
        for route in routes:
            site = str(route.site)
            most = above[site] - above[root] if counted is None else counted.get(site, 0)
            crossed[id(route)] = _Skip(most - 1, counted is not None)
    return {key: skip for key, skip in crossed.items() if skip.over > limit}


def _ways(longest: Mapping[str, str]) -> Callable[[str, str], bool]:
    """`lies_on(site, root)`: whether the longest way from a site leads past a root.

    Args:
        longest: the next output on that way, for each; empty at its end.
    """
    below: dict[str, list[str]] = {}
    for name, reader in longest.items():
        below.setdefault(reader, []).append(name)
    # The ways make a tree: each root owns the span of numbers that is given out while it is open.
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    stack = [(name, False) for name in below.get("", ())]
    while stack:
        name, done = stack.pop()
        if done:
            last[name] = len(first)
        else:
            first[name] = len(first)
            stack.append((name, True))
            stack += [(lower, False) for lower in below.get(name, ())]
    return lambda site, root: first[root] <= first[site] < last[root]


def _crossed(program: Program, root: str) -> dict[str, int]:
    """The most layers with weights on a way from an output up to `root`, that one included."""
    found = {root: 0}
    for node in reversed(program.nodes):
        ways = [found[r.name] + has_weights(r) for r in program.readers.get(node.name, ()) if r.name in found]
        if ways:
            found[node.name] = max(ways)
    return found


def _place(program: Program, route: Route) -> Path:
    """Where the spec asks for a route: its target, or the rule that brings it."""
    return (*route.origin, "rule") if short_hand(program, route) else target(route)
