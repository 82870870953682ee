"""Where a direct route enters, and what lies above and below a node."""

from __future__ import annotations

from collections.abc import Mapping

from fac.program.program import INPUT, Node, Program


def site_of(program: Program, name: str) -> str | None:
    """The last value reached from a node while each has one reader without weights and without other inputs.

    It stops before a join, so a direct route never leaks into a skip. None if no node has that name.
    """
    return program.sites.get(name)


def between(program: Program, name: str, above: str) -> frozenset[str]:
    """The nodes on the ways from `name` up to `above`, both included; empty if no way leads there."""
    order = [node.name for node in program.nodes]
    low, high = order.index(name), order.index(above)
    up, down = {name}, {above}
    span = program.nodes[low : high + 1]
    for node in span:
        if up.intersection(node.inputs):
            up.add(node.name)
    for node in reversed(span):
        if node.name in down:
            down.update(node.inputs)
    return frozenset(up & down) if above in up else frozenset()


def first_weighted(program: Program) -> frozenset[str]:
    """Weighted nodes below which no weighted node lies: nobody needs the error that they would pass on."""
    return _extremes({node.name: node.inputs for node in program.nodes}, program.nodes)


def last_weighted(program: Program) -> frozenset[str]:
    """Weighted nodes between which and the loss no weighted node lies: the loss reaches them exactly."""
    above = {node.name: tuple(r.name for r in program.readers.get(node.name, ())) for node in program.nodes}
    return _extremes(above, program.nodes[::-1])


def _extremes(before: Mapping[str, tuple[str, ...]], order: tuple[Node, ...]) -> frozenset[str]:
    beyond: dict[str, bool] = {INPUT: False}
    found: set[str] = set()
    for node in order:
        past = any(beyond.get(name, False) for name in before[node.name])
        if node.weighted and not past:
            found.add(node.name)
        beyond[node.name] = past or node.weighted
    return frozenset(found)
