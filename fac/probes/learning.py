"""Which layers there are to measure, for probes of what layers learn from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fac.program.kinds import Sweeps, Unused
from fac.program.program import Node, Program
from fac.step.builder import Builder
from fac.step.ir import Value


def learners(program: Program) -> Iterator[Node]:
    """Weighted nodes that learn; of those that share a weight the first alone."""
    told: set[str] = set()
    for node in program.weighted:
        if (
            node.trainable
            and node.weight is not None
            and node.weight.trainable
            and node.weight.name not in told
        ):
            told.add(node.weight.name)
            yield node


def gradient(b: Builder, sweeps: Sweeps, node: Node) -> Value | None:
    """That of its weight under the routing, as the matrix [reads, writes]; None if no error arrives."""
    assert node.weight is not None
    found = sweeps.routed(sweeps.state[node.weight.name])
    return None if found is None else sweeps.contraction(node.name).flat(b, found)


def update(b: Builder, sweeps: Sweeps, node: Node) -> Value | None:
    """What a step adds to its weight, as the matrix [reads, writes]; None if nothing moves it."""
    assert node.weight is not None
    moved = sweeps.moved(node.weight.name)
    if moved is None:
        return None
    return sweeps.contraction(node.name).flat(b, b.sub(moved, sweeps.state[node.weight.name]))


def unused(probe: Any, program: Program) -> Iterator[Unused]:
    """The whole probe, where no weight learns."""
    known = program.nodes and all(node.shape is not None for node in program.nodes)
    if known and next(learners(program), None) is None:
        yield Unused("kind", "where no weight learns", "remove it")
