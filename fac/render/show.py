"""What `fac show` prints: tables as text, and everything as one JSON object."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fac.build.costs import Cost, StepCost
from fac.build.functions import build_step
from fac.build.transport import Transport, transport
from fac.diagnostics import FacError
from fac.passes import PASSES
from fac.program.lower import kind_of
from fac.program.program import LOSS, Node, Program, Route, Subspace
from fac.render.columns import columns
from fac.render.lineage import LOSS_ERROR, Lineage, Update, Way, learning, symbols
from fac.step.cost import Tally
from fac.step.ir import Phase
from fac.step.text import to_text

HEADER = ("layer", "kind", "output", "params", "error from", "operator", "rank", "update")
PHASES = (Phase.FORWARD, Phase.ERROR, Phase.GRADIENT, Phase.LEARN)
"""Those that hold multiply-adds."""


def layers(program: Program, lineage: Lineage, cost: Cost) -> str:
    """The table of weighted layers, and one line that sums up."""
    rows = [_row(program, lineage, node) for node in program.weighted]
    transporting = ", ".join(transport(program).layers(program)) or "none"
    facts = [
        f"backward multiply-adds: {cost.backward_ratio:.2f} of backprop",
        f"peak memory at batch {cost.batch}: {binary(cost.step.peak_bytes)}",
        f"weight transport: {transporting}",
    ]
    return f"{columns(HEADER, rows)}\n {'     '.join(facts)}\n"


def updates(lineage: Lineage) -> str:
    """One line per tensor: the operators that its update comes from, back to an error with its own line."""
    found = (*lineage.updates, *lineage.errors)
    width = max(len(update.name) for update in found)
    return "".join(f" {u.name:<{width}}  {_chain(u)}\n" for u in found)


def costs(cost: Cost) -> str:
    """Multiply-adds by phase, bytes and feedback words per layer, and the totals beside backprop's."""
    step, backprop = cost.step, cost.backprop
    header = (f"batch {cost.batch}", *map(str, PHASES), "bytes", "feedback words")
    rows: list[tuple[str, ...]] = []
    for layer in step.layers:
        if layer.total != Tally():
            macs = (layer.phases.get(phase, Tally()).macs for phase in PHASES)
            rows.append((layer.name, *map(number, (*macs, layer.total.bytes, layer.total.words))))
    for name, whole in (("total", step), ("backprop", backprop)):
        macs = (whole.macs(phase) for phase in PHASES)
        rows.append((name, *map(number, (*macs, whole.total.bytes, whole.total.words))))
    facts = [
        f"backward multiply-adds: {number(step.backward_macs)}, backprop {number(backprop.backward_macs)}, "
        f"ratio {cost.backward_ratio:.3f}",
        f"peak memory: {binary(step.peak_bytes)}, backprop {binary(backprop.peak_bytes)}",
    ]
    return "\n".join((columns(header, rows), *(f" {fact}" for fact in facts), ""))


def step_after(program: Program, name: str) -> str:
    """The text form of the step function after the pass of that name; `build` is before any.

    Raises:
        FacError: there is no such pass; the message lists those that there are.
    """
    known = ["build", *(step.__name__ for step in PASSES)]
    if name not in known:
        raise FacError(f"no pass is called `{name}`; there are {', '.join(f'`{k}`' for k in known)}")
    function = build_step(program)[0]
    for step in PASSES[: known.index(name)]:
        function = step(function)
    return to_text(function)


def as_json(program: Program, lineage: Lineage, cost: Cost) -> dict[str, Any]:
    """Everything that the tables say, as plain data."""
    found = transport(program)
    return {
        "spec": program.spec.name,
        "parameters": sum(t.size for node in program.nodes for t in node.tensors),
        "layers": [_layer_data(program, lineage, node) for node in program.nodes],
        "subspaces": [_subspace_data(lineage, subspace) for subspace in program.subspaces],
        "routes": [_route_data(lineage, route, found) for route in program.routes],
        "weight_transport": found.layers(program),
        "updates": [
            {"name": u.name, "chain": list(u.chain), "still": u.still or None} for u in lineage.updates
        ],
        "errors": [{"name": u.name, "chain": list(u.chain)} for u in lineage.errors],
        "cost": {
            "batch": cost.batch,
            "float_bytes": cost.float_bytes,
            "backward_ratio": cost.backward_ratio,
            "step": _step_data(cost.step),
            "backprop": _step_data(cost.backprop),
        },
    }


def number(value: int) -> str:
    """With commas between thousands."""
    return f"{value:,}"


def binary(size: int) -> str:
    """Bytes in the largest unit that leaves at least one."""
    for exponent, unit in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
        if size >= 1 << exponent:
            return f"{size / (1 << exponent):.1f} {unit}"
    return f"{size} B"


def _chain(update: Update) -> str:
    return " <- ".join(("", *update.chain)).lstrip() if update.chain else update.still


def _row(program: Program, lineage: Lineage, node: Node) -> tuple[str, ...]:
    facts = _layer_data(program, lineage, node)
    arrivals = facts["error"]
    return (
        node.name,
        facts["kind"],
        "x".join(map(str, facts["output"])),
        str(facts["parameters"]),
        " + ".join(a["from"] for a in arrivals) or "-",
        " + ".join(a["operator"] for a in arrivals) or "-",
        " + ".join(_fraction(a) for a in arrivals) or "-",
        facts["update"],
    )


def _fraction(arrival: dict[str, Any]) -> str:
    return f"{arrival['rank']}/{arrival['full_rank']}" if arrival["rank"] else "-"


def _layer_data(program: Program, lineage: Lineage, node: Node) -> dict[str, Any]:
    assert node.shape is not None
    found = [lineage.update[tensor.name] for tensor in node.tensors]
    rules = dict.fromkeys(update.chain[0] if update.chain else update.still for update in found)
    return {
        "name": node.name,
        "kind": kind_of("fac.layers", node.layer).name,
        "inputs": list(node.inputs),
        "output": list(node.shape),
        "parameters": sum(t.size for t in node.tensors),
        "error": list(_arrivals(lineage, node)),
        "update": ", ".join(rules) or "-",
    }


def _arrivals(lineage: Lineage, node: Node) -> Iterator[dict[str, Any]]:
    """From where, through which first operator, the error arrives that the layer learns from."""
    errors = dict.fromkeys(error for tensor in node.tensors for error in lineage.arriving(tensor))
    for error in errors:
        arrival = lineage.arrival(error)
        if arrival.common is not None and arrival.common.operators:
            yield _arrival(lineage, node, arrival.common)
        else:
            yield from (_arrival(lineage, node, way) for way in arrival.ways)


def _arrival(lineage: Lineage, node: Node, way: Way) -> dict[str, Any]:
    first = way.operators[0] if way.operators else _identity(lineage, node, way)
    rank = full = None
    match first:
        case None:
            source, operator = way.start.removesuffix(".error" if way.value else " error"), "exact"
        case Node():
            source, operator = first.name, "W^T"
        case Subspace():
            source, operator = first.of, "P"
        case Route():
            source = f"{first.source} ({'through' if first.through else 'direct'})"
            operator = symbols(first)
            if first.tensors:
                operator += ", learned" if _learned(lineage, first) else ", fixed"
            assert first.ends is not None
            rank = kind_of("fac.feedback", first.matrix).rank(first.matrix, first.ends)
            full = min(first.ends.reads, first.ends.writes)
    return {"from": source, "operator": operator, "rank": rank, "full_rank": full if rank else None}


def _identity(lineage: Lineage, node: Node, way: Way) -> Route | None:
    """The route whose operator leaves no op behind, if the error took one."""
    start = way.start.removesuffix(" error").removesuffix(".error")
    for route in lineage.program.routes:
        here = route.through or route.node == node.name
        if (
            here
            and not route.tensors
            and route.source in (start, *([LOSS] if way.start == LOSS_ERROR else []))
        ):
            return route
    return None


def _learned(lineage: Lineage, owner: Route | Subspace) -> list[str]:
    return [tensor.name for tensor in owner.tensors if tensor.name in lineage.outputs]


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
