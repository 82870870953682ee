"""The layers of a chain, and the way on which targets go back through them."""

from __future__ import annotations

from fac.program.kinds import Inverse
from fac.program.lower import kind_of
from fac.program.program import Node, Program


def inverse(node: Node) -> Inverse | None:
    """How targets go back through a layer; None if they do not.

    Raises:
        ShapeError: its settings leave no way.
    """
    found = kind_of("fac.layers", node.layer).inverse
    made: Inverse | None = None if found is None else found(node.layer, node.reads)
    return made


def order(program: Program) -> tuple[Node, ...]:
    """The layers that learn, from the first on."""
    return tuple(node for node in program.nodes if node.learns)


def above(program: Program, node: Node) -> tuple[Node, ...]:
    """The layers through which targets go back to the output of one, in the order in which they do."""
    return tuple(reversed(program.nodes[program.nodes.index(node) + 1 :]))


def passed(program: Program) -> tuple[Node, ...]:
    """The layers through which any targets go back."""
    return above(program, first) if (first := next(iter(order(program)), None)) else ()


def ranged(node: Node) -> bool:
    """Whether a layer maps the range of its targets."""
    found = inverse(node)
    return found is not None and found.ranged
