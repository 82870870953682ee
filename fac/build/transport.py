"""Where the backward pass of a step depends on forward weights: read off the ops, whoever wrote them.

A value is *of a weight* if it is made of parameters of the network and is not one of each sample: the weight itself, or
what was reshaped or scaled of it, wherever that was done and whatever it was scaled by. An activation is one of each
sample: that errors and learning rules read those is what they are for.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import prod

from fac.build.functions import routed
from fac.build.routing import Routing, constant
from fac.program.program import Node, Program, Route, Subspace
from fac.program.reading import drawn_from_weight, leaves
from fac.program.tensors import Role
from fac.step.builder import Builder
from fac.step.ir import Op, Phase, Value
from fac.step.ops import OPS
from fac.step.types import Batch

PRODUCTS = frozenset(definition.name for definition in OPS.values() if definition.channels is not None)
"""Ops that connect all units of a channel, or all channels, with one another."""


@dataclass(frozen=True, slots=True)
class Transport:
    """What depends on forward weights."""

    exact: tuple[str, ...]
    """Layers whose weights exact errors pass, in the order of the network."""
    feedback: tuple[Route | Subspace, ...]
    """Whose operator, learning, initial values or refresh reads a weight; routes that nobody needs are absent."""

    def layers(self, program: Program) -> list[str]:
        """All layers concerned, in the order of the network."""
        names = {*self.exact, *(r.node for r in self.feedback if isinstance(r, Route))}
        return [node.name for node in program.nodes if node.name in names]


def transport(program: Program) -> Transport:
    """Build the step and look.

    Args:
        program: without findings of the severity `error`.
    """
    routing, outputs, _ = routed(program)
    return transport_of(routing, outputs)


def transport_of(routing: Routing, outputs: Mapping[str, Value]) -> Transport:
    """See `transport`, of a step that is built already (`routed`)."""
    trace, program = routing.trace, routing.program
    parameters = {
        trace.state[t.name] for node in program.nodes for t in node.tensors if t.name in trace.state
    }
    exact: set[str] = set()
    feedback = {id(r) for r in (program.routes[i] for i in routing.used) if drawn_from_weight(r)}
    for op, read in crossed(trace.b, outputs.values(), parameters):
        owner = routing.owner.get(op)
        if owner is not None:
            feedback.add(id(owner))
        else:
            node = program.by_name[op.origin.node]
            own = node.weight is not None and trace.state[node.weight.name] in read
            if own or connects(op, read, units(node)):
                exact.add(node.name)
    owners: tuple[Route | Subspace, ...] = (*program.routes, *program.subspaces)
    return Transport(
        tuple(node.name for node in program.nodes if node.name in exact),
        tuple(owner for owner in owners if id(owner) in feedback),
    )


def unnamed(routing: Routing, outputs: Mapping[str, Value]) -> Mapping[str, tuple[str, ...]]:
    """By layer, in the order of the network, what connects units on the way of exact errors and is not its weight.

    No route can replace that, whatever it names: only `Facts.weight` says which product a layer is made of.

    Args:
        routing: of a step that is built (`routed`).
        outputs: of that step.
    """
    trace, program = routing.trace, routing.program
    weights = {node.weight.name for node in program.weighted if node.weight is not None}
    tensors = {
        trace.state[t.name]: t.name
        for t in program.arrays
        if t.role is not Role.FEEDBACK and t.name in trace.state and t.name not in weights
    }
    found = connecting(trace.b, outputs.values(), tensors, program.by_name.__getitem__, routing.owner)
    return {node.name: found[node.name] for node in program.nodes if node.name in found}


def connecting(
    b: Builder,
    outputs: Iterable[Value],
    tensors: Mapping[Value, str],
    layer: Callable[[str], Node],
    feedback: Container[Op] = (),
) -> dict[str, tuple[str, ...]]:
    """By layer the names of what connects units on the way of exact errors.

    Args:
        b: holds the ops.
        outputs: see `crossed`.
        tensors: inputs of which it is asked, and their names.
        layer: by its name.
        feedback: ops of it, which count for nothing.
    """
    found: dict[str, set[Value]] = {}
    for op, read in crossed(b, outputs, set(tensors)):
        if op not in feedback and connects(op, read, units(layer(op.origin.node))):
            found.setdefault(op.origin.node, set()).update(*(leaves(b, value) for value in read))
    return {
        node: tuple(name for value, name in tensors.items() if value in read) for node, read in found.items()
    }


def crossed(
    b: Builder, outputs: Iterable[Value], parameters: set[Value]
) -> Iterator[tuple[Op, frozenset[Value]]]:
    """The ops of the backward pass and of feedback learning that read what is made of parameters, and what they read.

    Args:
        b: holds the ops.
        outputs: what the function gives; what does not lead there counts for nothing.
        parameters: inputs.
    """
    live = set(outputs)
    for op in reversed(b.ops):
        if op.result in live:
            live.update(op.operands)
    weights = _of_weights(b, parameters)
    for op in b.ops:
        read = weights.intersection(op.operands)
        if read and op.result in live and op.origin.phase in (Phase.ERROR, Phase.LEARN):
            yield op, frozenset(read)


def _of_weights(b: Builder, parameters: set[Value]) -> set[Value]:
    """The parameters and what is made of them, as long as it is the same for all samples."""
    found, without_samples = set(parameters), constant(b.inputs, b.ops)
    for op in b.ops:
        common = op.result in without_samples or not any(isinstance(d, Batch) for d in op.result.type.shape)
        if common and not found.isdisjoint(op.operands):
            found.add(op.result)
    return found


def connects(op: Op, weights: Iterable[Value], units: int) -> bool:
    """Whether an op takes an error from some units of a layer to others by these weights.

    One number for each unit, as the gain of a normalisation, is no weight of synapses, be it kept as [C, H, W]: what
    an error is multiplied with it makes is no larger than the layer.
    """
    if op.kind in PRODUCTS:
        return True
    matrix = any(sum(dim != 1 for dim in value.type.shape) > 1 for value in weights)
    return matrix and prod(d.times if isinstance(d, Batch) else d for d in op.result.type.shape) > units


def units(node: Node) -> int:
    """How many numbers per sample a layer makes, or reads from one other: the larger of the two."""
    return max(prod(shape) for shape in (node.shape or (), *node.reads))
