"""Everything that `fac show` says, as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from fac.build.costs import Cost, StepCost, Taken
from fac.build.transport import Transport, transport
from fac.program.declared import auto_rank
from fac.program.lower import kind_of
from fac.program.prealign import above
from fac.program.program import Block, Node, Program, Route, Subspace
from fac.program.tensors import Role
from fac.render.arrivals import Way, layer_of
from fac.render.lineage import Lineage
from fac.render.operators import Owner, learning, symbols
from fac.render.patterns import patterns
from fac.step.cost import Tally


def as_json(program: Program, lineage: Lineage, cost: Cost, taken: Sequence[Taken] = ()) -> dict[str, Any]:
    """Everything that the tables say, as plain data. `taken`: by processes that train, if somebody asks."""
    found = lineage.transport
    return {
        "spec": program.spec.name,
        "parameters": sum(node.parameters for node in program.nodes),
        "layers": [layer(program, lineage, node) for node in program.nodes],
        "blocks": [_block_data(block) for block in program.blocks],
        "subspaces": [_subspace_data(lineage, subspace) for subspace in program.subspaces],
        "routes": [_route_data(lineage, route, found) for route in program.routes],
        "weight_transport": found.layers(program),
        "updates": [
            {"name": u.name, "chain": list(u.chain), "still": u.still or None, "settings": u.settings}
            for u in lineage.updates
        ],
        "errors": [{"name": u.name, "chain": list(u.chain)} for u in lineage.errors],
        "cost": {
            "batch": cost.batch,
            "float_bytes": cost.float_bytes,
            "backward_ratio": cost.backward_ratio,
            "step": _step_data(cost.step),
            "backprop": _step_data(cost.backprop),
            "processes": [asdict(each) for each in taken],
        },
        "anchor": _anchor_data(program, cost),
        "prealign": _prealign_data(program),
        "patterns": [asdict(pattern) for pattern in patterns(program)],
    }


def _prealign_data(program: Program) -> dict[str, Any] | None:
    """Which weights the first batch sets, the last first, and to which norm; None if none is asked for."""
    norm = program.spec.train.prealign
    return (
        None if norm is None else {"norm": norm, "weights": [weight.name for _, _, weight in above(program)]}
    )


def _anchor_data(program: Program, cost: Cost) -> dict[str, Any] | None:
    """Which steps have another routing, and what they cost; None if none have."""
    anchor: Any = program.spec.train.anchor
    other = program.anchored
    if other is None or cost.anchor is None:
        return None
    return {
        "every": anchor.every,
        "rule": kind_of("fac.rules", anchor).name,
        "weight_transport": transport(other).layers(other),
        "backward_ratio": cost.share(cost.anchor),
        "step": _step_data(cost.anchor),
    }


def layer(program: Program, lineage: Lineage, node: Node) -> dict[str, Any]:
    """One layer: shapes, sizes, and the errors that it learns from."""
    assert node.shape is not None
    rules = dict.fromkeys(lineage.rule(tensor) for tensor in node.state if tensor.role is Role.PARAMETER)
    if not node.learns and any(t.role is Role.STATISTIC and t.name in lineage.outputs for t in node.tensors):
        rules["averages follow"] = None
    return {
        "name": node.name,
        "kind": kind_of("fac.layers", node.layer).name,
        "inputs": list(node.inputs),
        "output": list(node.shape),
        "parameters": node.parameters,
        "shares": node.owner if node.shared else None,
        "error": [arrival(lineage, *way) for error in lineage.teaching(node) for way in lineage.ways(error)],
        "update": ", ".join(rules) or "-",
    }


def arrival(lineage: Lineage, way: Way, joins: tuple[str, ...]) -> dict[str, Any]:
    """The operators that an error passed, the nearest first; `via` are the joins before it."""
    exact = {"from": layer_of(way.start), "operator": "exact", "rank": None, "full_rank": None}
    first, *above = [_hop(lineage, owner) for owner in way.operators] or [exact]
    return first | {"via": list(joins), "above": above}


def _hop(lineage: Lineage, owner: Owner) -> dict[str, Any]:
    rank = full = None
    match owner:
        case Node():
            source, operator = owner.name, "W^T"
        case Subspace():
            source, operator = owner.of, "P"
        case Route():
            source = f"{owner.source} ({'through' if owner.through else 'direct'})"
            operator = symbols(owner)
            if owner.tensors:
                operator += ", learned" if _learned(lineage, owner) else ", fixed"
            operator += ", rank auto" if auto_rank(owner) else ""
            assert owner.ends is not None
            rank = kind_of("fac.feedback", owner.matrix).rank(owner.matrix, owner.ends)
            full = owner.ends.most
    return {"from": source, "operator": operator, "rank": rank, "full_rank": full if rank else None}


def _learned(lineage: Lineage, owner: Route | Subspace) -> list[str]:
    return [tensor.name for tensor in owner.tensors if tensor.name in lineage.outputs]


def _block_data(block: Block) -> dict[str, Any]:
    return {
        "name": block.name,
        "kind": kind_of("fac.layers", block.layer).name,
        "inputs": list(block.inputs),
        "output": block.output,
    }


def _subspace_data(lineage: Lineage, subspace: Subspace) -> dict[str, Any]:
    return {
        "name": subspace.name,
        "of": subspace.of,
        "rank": subspace.rank,
        "state": [t.name for t in subspace.tensors],
        "learned": _learned(lineage, subspace),
    }


def _route_data(lineage: Lineage, route: Route, found: Transport) -> dict[str, Any]:
    assert route.ends is not None
    kind = kind_of("fac.feedback", route.matrix)
    return {
        "node": route.node,
        "direction": "through" if route.through else "to",
        "from": route.source,
        "at": route.site,
        "combine": "add" if route.add else "replace",
        "matrix": kind.name,
        "operator": symbols(route),
        "learning": learning(route.matrix),
        "reads": route.ends.reads,
        "writes": route.ends.writes,
        "places": route.ends.places,
        "copies": route.ends.copies,
        "step": route.ends.step,
        "summed": route.ends.summed,
        "rank": kind.rank(route.matrix, route.ends),
        "state": [t.name for t in route.tensors],
        "learned": _learned(lineage, route),
        "used": all(t.name in lineage.state for t in route.tensors),
        "weight_transport": route in found.feedback,
    }


def _step_data(step: StepCost) -> dict[str, Any]:
    def tally(value: Tally) -> dict[str, int]:
        return {"macs": value.macs, "bytes": value.bytes, "feedback_words": value.words}

    return {
        **tally(step.total),
        "backward_macs": step.backward_macs,
        "peak_bytes": step.peak_bytes,
        "layers": [
            {"name": layer.name, **tally(layer.total)}
            | {"phases": {str(phase): tally(value) for phase, value in layer.phases.items()}}
            for layer in step.layers
        ],
    }
