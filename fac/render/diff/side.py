"""One of the two programs, and what is read off its compiled step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from fac.build.costs import backprop, backprop_cost, optimised_step
from fac.build.functions import all_tensors
from fac.build.transport import transport
from fac.program.program import LOSS, Node, Program, Route, Subspace
from fac.program.reading import is_weight
from fac.program.tensors import Role, Tensor
from fac.render.arrivals import Way, layer_of
from fac.render.lineage import Lineage
from fac.step.cost import Tally, count, peak_bytes
from fac.step.ir import Function, Phase, Value


@dataclass(frozen=True, slots=True)
class Source:
    """Where an error comes from that a layer learns from."""

    name: str
    """`loss`, a layer, or a subspace."""
    by: str
    """`exact`, or the kind of route that brings it: `through` or `to`."""


class Side:
    """A program without errors, compiled once."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.step: Function = optimised_step(program)
        self.lineage = Lineage(program)

    @cached_property
    def routes(self) -> tuple[Route, ...]:
        """All but those that put the transposed weight in the place of the transposed weight."""
        return tuple(
            route if route.through else replace(route, source=self._called(route.source))
            for route in self.program.routes
            if not (route.through and route.matrix.scale == 1 and is_weight(route))
        )

    @cached_property
    def subspaces(self) -> tuple[Subspace, ...]:
        """All, by their sources."""
        return tuple(replace(s, of=self._called(s.of)) for s in self.program.subspaces)

    def _called(self, source: str) -> str:
        """A source by one of its names: the error of the output is that of the loss."""
        return LOSS if source == self.program.output and source not in self.program.subspace else source

    @cached_property
    def tensors(self) -> tuple[Tensor, ...]:
        """Parameters and feedback matrices."""
        return all_tensors(self.program)

    @cached_property
    def transporting(self) -> tuple[str, ...]:
        """Layers whose forward weight an error depends on."""
        return tuple(transport(self.program).layers(self.program))

    # -- errors ----------------------------------------------------------------------------------------------

    def sources(self, node: Node) -> tuple[Source, ...]:
        """The errors that a layer learns from, by name; none if it does not learn."""
        if not node.trainable:
            return ()
        errors = dict.fromkeys(error for t in node.tensors for error in self.lineage.arriving(t))
        found: dict[Source, None] = {}
        for error in errors:
            found |= dict.fromkeys(map(self._source, self._ways(error)))
        return tuple(sorted(found, key=lambda source: (source.name, source.by)))

    def _ways(self, error: Value) -> Iterator[Way]:
        """The ways on which an error arrives; on through layers that only learn from what they hand down exactly."""
        stack = [error]
        while stack:
            arrival = self.lineage.arrival(stack.pop())
            common = arrival.common
            for way in (common,) if common is not None and common.operators else arrival.ways:
                if way.value is not None and not way.operators and self.lineage.hands_down(way.value):
                    stack.append(way.value)
                else:
                    yield way

    def _source(self, way: Way) -> Source:
        """What the nearest operator on the way reads, or where the way begins if it has none."""
        match way.operators[0] if way.operators else None:
            case Node(name=name):
                return Source(name, "exact")
            case Subspace(name=name):
                return Source(name, "to")
            case Route() as route:
                return (
                    Source(route.source, "through")
                    if route.through
                    else Source(self._called(route.source), "to")
                )
        return Source(layer_of(way.start), "exact")

    # -- costs -----------------------------------------------------------------------------------------------

    def costs(self, batch: int, backprop_macs: int) -> Iterator[tuple[str, float]]:
        """Figures by name."""
        tallies = count(self.step, batch)
        backward = sum(tally.macs for origin, tally in tallies.items() if origin.phase != Phase.FORWARD)
        feedback = (t.size for t in self.tensors if t.role is Role.FEEDBACK)
        yield "parameters", sum(node.parameters for node in self.program.nodes)
        yield "feedback_parameters", sum(feedback)
        yield "backward_macs", backward
        yield "backward_macs_vs_backprop", backward / backprop_macs if backprop_macs else 1.0
        yield "feedback_words", sum(tallies.values(), Tally()).words
        yield "peak_bytes", peak_bytes(self.step, batch)


def backprop_macs(sides: tuple[Side, Side], batches: tuple[int, int]) -> tuple[int, int]:
    """What the backward pass of backpropagation would cost on the network of each. Equal ones are counted once."""
    programs = tuple(backprop(side.program) for side in sides)
    asked = [(p.spec.input, p.nodes, p.spec.loss, b) for p, b in zip(programs, batches, strict=True)]
    old = backprop_cost(programs[0], batches[0]).backward_macs
    return old, old if asked[0] == asked[1] else backprop_cost(programs[1], batches[1]).backward_macs
