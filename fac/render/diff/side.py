"""One of the two programs, and what is read off its compiled step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from fac.build.costs import backprop, backprop_cost
from fac.passes import optimise
from fac.program.program import LOSS, Node, Program, Route, Subspace
from fac.program.reading import is_weight
from fac.program.tensors import Role, Tensor
from fac.render.arrivals import Way, layer_of
from fac.render.lineage import Lineage
from fac.step.cost import Tally, count, peak_bytes
from fac.step.ir import Function, Phase, Value


@dataclass(frozen=True, slots=True)
class Hop:
    """What an error passed last: the error that was read there, and how it was carried."""

    name: str
    """`loss`, a layer, or a subspace."""
    by: str
    """`exact`, or the kind of route that brings it: `through` or `to`."""


Source = tuple[Hop, ...]
"""A way on which an error comes to a layer that learns from it, the nearest hop first. Others are those at layers
that do not learn."""


class Side:
    """A program without errors, compiled once."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.lineage = Lineage(program)
        self.step: Function = optimise(self.lineage.built, program.disabled)

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
        alone = len(self.program.heads) == 1 and source not in self.program.subspace
        return LOSS if alone and source == self.program.output else source

    @cached_property
    def tensors(self) -> tuple[Tensor, ...]:
        """Parameters and feedback matrices."""
        return self.program.arrays

    @cached_property
    def transporting(self) -> tuple[str, ...]:
        """Layers whose forward weight an error depends on."""
        return tuple(self.lineage.transport.layers(self.program))

    # -- errors ----------------------------------------------------------------------------------------------

    def sources(self, node: Node) -> tuple[Source, ...]:
        """The ways of the errors that a layer learns from; none if it does not learn."""
        if not node.trainable:
            return ()
        return self._listed(node.name, self.lineage.teaching(node))

    def passing(self, name: str) -> tuple[Source, ...]:
        """What the error of a layer is made of that `sources` names although it does not learn."""
        error = self.lineage.error(name)
        return self._listed(name, () if error is None else (error,))

    @cached_property
    def unopened(self) -> tuple[str, ...]:
        """Layers that do not learn, and that `sources` names because more ways meet there than a line has room for."""
        found: dict[str, None] = {}
        errors = [
            (node.name, e)
            for node in self.program.parametric
            for t in node.tensors
            for e in self.lineage.arriving(t)
        ]
        for name, error in errors:
            for way, _ in self.lineage.ways(error, name):
                start = layer_of(way.start)
                if way.value is not None and not self.lineage.learns_from(way.value) and start not in found:
                    found[start] = None
                    errors.append((start, way.value))
        return tuple(found)

    def _listed(self, name: str, errors: Iterable[Value]) -> tuple[Source, ...]:
        found = [self._source(way) for error in errors for way, _ in self.lineage.ways(error, name)]
        # By place and not by name, so that equal copies of a block say the same in the same order.
        return tuple(sorted(found, key=lambda source: [(self._place(hop.name), hop.by) for hop in source]))

    def _place(self, name: str) -> tuple[int, str]:
        return self._places.get(name, len(self._places)), name

    @cached_property
    def _places(self) -> dict[str, int]:
        return {node.name: index for index, node in enumerate(self.program.nodes)}

    def _source(self, way: Way) -> Source:
        """The operators on a way, or where it begins if it has none."""
        hops: list[Hop] = []
        for owner in way.operators:
            match owner:
                case Node(name=name):
                    hops.append(Hop(name, "exact"))
                case Subspace(name=name) if Hop(name, "to") not in hops[-1:]:  # else its route has named it
                    hops.append(Hop(name, "to"))
                case Route(source=name, through=True):
                    hops.append(Hop(name, "through"))
                case Route(source=name):
                    hops.append(Hop(self._called(name), "to"))
        return tuple(hops) or (Hop(layer_of(way.start), "exact"),)

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
    asked = [(p.inputs, p.nodes, p.losses, b) for p, b in zip(programs, batches, strict=True)]
    old = backprop_cost(programs[0], batches[0]).backward_macs
    return old, old if asked[0] == asked[1] else backprop_cost(programs[1], batches[1]).backward_macs
