"""How far a layer is from the input."""

from __future__ import annotations

from collections.abc import Mapping

from fac.program.program import Program


def depths(program: Program) -> Mapping[str, int]:
    """For each node the most weights on a way from the input to its output, its own among them."""
    found: dict[str, int] = {}
    for node in program.nodes:
        found[node.name] = max((found.get(name, 0) for name in node.inputs), default=0) + node.weighted
    return found
