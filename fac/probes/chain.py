"""What stands between two values of a network: where it is a plain chain, the weights on it have a product."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

from fac.program.declared import traits_of
from fac.program.kinds import Sweeps
from fac.program.program import Node, Program
from fac.program.reading import multiplies
from fac.step.builder import Builder
from fac.step.ir import Value


def way(program: Program, start: str, end: str) -> Iterator[Node | None]:
    """The nodes behind a value up to another one; a last None if they are no chain that leads there."""
    name = start
    while name != end:
        readers = program.readers.get(name, ())
        if len(readers) != 1 or len(readers[0].inputs) - len(readers[0].layer.beside) != 1:
            yield None
            return
        yield readers[0]
        name = readers[0].name


class Chains:
    """The ways between values of a program, each node on them looked at once, however many ask."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._found: dict[tuple[str, str], tuple[Node, ...] | None] = {}
        self._products: dict[tuple[str, str], Value] = {}

    def weights(self, start: str, end: str) -> tuple[Node, ...] | None:
        """The layers with weights between two values, the lowest first, where their matrices can be multiplied.

        That is a chain of layers that multiply vectors with one matrix, and of others that change no number of numbers
        and have no parameters. None if it is another one.
        """
        passed: list[tuple[str, Node | None]] = []
        found: tuple[Node, ...] | None = ()
        name = start
        for node in way(self.program, start, end):
            if (name, end) in self._found:
                found = self._found[name, end]
                break
            passed.append((name, node))
            if node is None or not _multiplied(node):
                found = None
                break
            name = node.name
        for name, node in reversed(passed):
            if found is not None and node is not None and node.weighted:
                found = (node, *found)
            self._found[name, end] = found
        return found

    def product(self, b: Builder, sweeps: Sweeps, nodes: Sequence[Node]) -> Value:
        """The product of the weights of nodes that follow each other: [reads of the last, writes of the first].

        It is made from the last one down: so all that end there share it, and no product is wider than the last reads.
        """
        last, known = nodes[-1].name, self._products
        missing = next((i for i, node in enumerate(nodes) if (node.name, last) in known), len(nodes))
        for i in reversed(range(missing)):
            matrix = sweeps.contraction(nodes[i].name).matrix(b)
            above = known[nodes[i + 1].name, last] if i + 1 < len(nodes) else None
            known[nodes[i].name, last] = matrix if above is None else b.matmul(above, matrix)
        return known[nodes[0].name, last]


def _multiplied(node: Node) -> bool:
    """Whether it hands on a vector, by one matrix or by none."""
    if node.shape is None or len(node.reads) != 1:
        return False
    if node.weighted:
        return len(node.shape) == len(node.reads[0]) == 1 and multiplies(node)
    return not (node.parametric or prod(node.shape) != prod(node.reads[0]) or _turned(node))


def _turned(node: Node) -> bool:
    """Whether it puts numbers in another order: what is written out row by row is then another vector."""
    kept = [axis for axis in node.axes or () if axis is not None]
    return kept != sorted(kept)


def linear(program: Program, start: str, end: str) -> tuple[Node, ...] | None:
    """The layers with weights between two values, where what lies between is their product and nothing else."""
    nodes = Chains(program).weights(start, end)
    if not nodes:
        return None
    between = [node for node in way(program, start, end) if node is not None]
    return nodes if all(map(_plain, between)) and all(len(node.state) == 1 for node in nodes) else None


def _plain(node: Node) -> bool:
    """Whether it is a matrix, or hands its numbers on as they are."""
    traits = traits_of(node)
    return traits.affine or (traits.homogeneous and traits.value == traits.error == 1)
