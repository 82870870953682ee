"""Which weights pre-alignment sets: see `fac.build.prealign`."""

from __future__ import annotations

from collections.abc import Iterator

from fac.program.program import Node, Program
from fac.program.tensors import Tensor


def above(program: Program) -> Iterator[tuple[str, Node, Tensor]]:
    """Each site of a direct route that one node reads, that node, and the matrix by which it does; the last first."""
    sites = {route.site for route in program.routes if not route.through and route.site is not None}
    order = {name: place for place, name in enumerate(program.by_name)}
    for site in sorted(sites, key=lambda name: order.get(name, -1), reverse=True):
        node = _reader(program, site)
        if node is not None and node.weight is not None:
            yield site, node, node.weight


def _reader(program: Program, site: str) -> Node | None:
    """The node by whose weight alone the site is read, if that is a matrix of its own that learns; None otherwise."""
    readers = program.readers.get(site, ())
    if len(readers) != 1 or site in program.heads:
        return None
    (node,) = readers
    weight = node.weight
    if weight is None or len(weight.shape) != 2 or weight.reads_axis != 0 or len(node.inputs) != 1:
        return None
    shared = node.shared or any(other.tie == node.name for other in program.nodes)
    frozen = not node.trainable or not weight.trainable or weight.name in program.kept
    return None if shared or frozen else node
