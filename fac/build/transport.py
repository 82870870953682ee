"""Where the backward pass of a step depends on forward weights: read off the ops, whoever wrote them.

A value is *of a weight* if it is made of parameters of the network and is not one of each sample: the weight itself, or
what was reshaped or scaled of it, wherever that was done and whatever it was scaled by. An activation is one of each
sample: that errors and learning rules read those is what they are for.
"""

from __future__ import annotations

from dataclasses import dataclass

from fac.build.functions import routed
from fac.build.routing import constant
from fac.program.program import Program, Route, Subspace
from fac.program.reading import drawn_from_weight
from fac.step.builder import Builder
from fac.step.ir import Phase, Value
from fac.step.ops.contractions import CONTRACTIONS
from fac.step.types import Batch

PRODUCTS = frozenset(definition.name for definition in CONTRACTIONS)


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
    trace = routing.trace
    parameters = {
        trace.state[t.name] for node in program.nodes for t in node.tensors if t.name in trace.state
    }
    ops, live = trace.b.ops, set(outputs.values())
    for op in reversed(ops):
        if op.result in live:
            live.update(op.operands)
    weights = _of_weights(trace.b, parameters)
    exact: set[str] = set()
    feedback = {id(r) for r in (program.routes[i] for i in routing.used) if drawn_from_weight(r)}
    for op in ops:
        read = weights.intersection(op.operands)
        if not read or op.result not in live or op.origin.phase not in (Phase.ERROR, Phase.LEARN):
            continue
        owner = routing.owner.get(op)
        if owner is not None:
            feedback.add(id(owner))
        elif program.by_name[op.origin.node].weighted or op.kind in PRODUCTS or any(map(_is_matrix, read)):
            exact.add(op.origin.node)
    owners: tuple[Route | Subspace, ...] = (*program.routes, *program.subspaces)
    return Transport(
        tuple(node.name for node in program.nodes if node.name in exact),
        tuple(owner for owner in owners if id(owner) in feedback),
    )


def _of_weights(b: Builder, parameters: set[Value]) -> set[Value]:
    """The parameters and what is made of them, as long as it is the same for all samples."""
    found, without_samples = set(parameters), constant(b.inputs, b.ops)
    for op in b.ops:
        common = op.result in without_samples or not any(isinstance(d, Batch) for d in op.result.type.shape)
        if common and not found.isdisjoint(op.operands):
            found.add(op.result)
    return found


def _is_matrix(value: Value) -> bool:
    """Whether it connects units. One number for each unit, as the gain of a normalisation, is no weight of synapses."""
    return sum(dim != 1 for dim in value.type.shape) > 1
