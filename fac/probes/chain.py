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


def weights_between(program: Program, start: str, end: str) -> tuple[Node, ...] | None:
    """The layers with weights between two values, where their matrices can be multiplied.

    That is a chain of layers that multiply vectors with one matrix, and of others that change no number of numbers and
    have no parameters. None if it is another one.
    """
    found: list[Node] = []
    for node in way(program, start, end):
        if node is None or node.shape is None or len(node.reads) != 1:
            return None
        if node.weighted:
            if len(node.shape) != 1 or len(node.reads[0]) != 1 or not multiplies(node):
                return None
            found.append(node)
        elif node.parametric or prod(node.shape) != prod(node.reads[0]) or _turned(node):
            return None
    return tuple(found)


def _turned(node: Node) -> bool:
    """Whether it puts numbers in another order: what is written out row by row is then another vector."""
    kept = [axis for axis in node.axes or () if axis is not None]
    return kept != sorted(kept)


def product(b: Builder, sweeps: Sweeps, nodes: Sequence[Node]) -> Value:
    """The product of the weights of one or more nodes, the lowest first: [reads of the last, writes of the first]."""
    whole, *others = (sweeps.contraction(node.name).matrix(b) for node in nodes)
    for matrix in others:
        whole = b.matmul(matrix, whole)
    return whole


def linear(program: Program, start: str, end: str) -> tuple[Node, ...] | None:
    """The layers with weights between two values, where what lies between is their product and nothing else."""
    nodes = weights_between(program, start, end)
    if not nodes:
        return None
    between = [node for node in way(program, start, end) if node is not None]
    return nodes if all(map(_plain, between)) and all(len(node.state) == 1 for node in nodes) else None


def _plain(node: Node) -> bool:
    """Whether it is a matrix, or hands its numbers on as they are."""
    traits = traits_of(node)
    return traits.affine or (traits.homogeneous and traits.value == traits.error == 1)
