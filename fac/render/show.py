"""What `fac show` prints: tables as text, and everything as one JSON object."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from fac.build.costs import Cost, LayerCost, StepCost
from fac.build.functions import all_tensors, build_step
from fac.build.transport import Transport, transport
from fac.diagnostics import FacError
from fac.passes import PASSES
from fac.program.lower import kind_of
from fac.program.program import Block, Node, Program, Route, Subspace
from fac.program.tensors import Role
from fac.render.arrivals import Way, layer_of
from fac.render.blocks import Head, Row, Run, Tree, calling, globs, kind
from fac.render.columns import columns
from fac.render.lineage import Lineage, Update
from fac.render.operators import Owner, learning, symbols
from fac.step.cost import Tally
from fac.step.ir import Phase
from fac.step.text import to_text

HEADER = ("layer", "kind", "output", "params", "error from", "operator", "rank", "update")
PHASES = (Phase.FORWARD, Phase.ERROR, Phase.GRADIENT, Phase.LEARN)
"""Those that hold multiply-adds."""
SHOWN = 4
"""Names of tensors that one line lists, and layers on one way."""


def layers(program: Program, lineage: Lineage, cost: Cost, tree: Tree | None = None) -> str:
    """The table of layers with parameters, and one line that sums up.

    Args:
        program: without findings of the severity `error`.
        lineage: of the program.
        cost: of its step.
        tree: of the program, where layers shall stand under their blocks; without it they stand one by one.
    """
    known = {node.name: [_row(program, lineage, node)] for node in program.parametric}
    rows = _listed(tree, known, lambda run: _block_row(lineage, run))
    carrying = transport(program).layers(program)
    transporting = ", ".join(globs(tree.copies, carrying) if tree else carrying) or "none"
    facts = [
        f"backward multiply-adds: {cost.backward_ratio:.2f} of backprop",
        f"peak memory at batch {cost.batch}: {binary(cost.step.peak_bytes)}",
        f"weight transport: {transporting}",
    ]
    lines = (*_settings(program, lineage, tree), "     ".join(facts))
    return "".join((columns(HEADER, rows), *(f"\n {line}" for line in lines), "\n"))


def updates(lineage: Lineage, tree: Tree | None = None) -> str:
    """One line per tensor: the operators that its update comes from, back to an error with its own line.

    `tree`: see `layers`.
    """
    found = [(u.name, _chain(u)) for u in (*lineage.updates, *lineage.errors)]
    if tree is not None:
        owners = {tensor.name: node.name for node in tree.program.nodes for tensor in node.tensors}
        owners |= {tensor.name: route.node for route in tree.program.routes for tensor in route.tensors}
        sums = {layer_of(name): (name, chain) for name, chain in found if layer_of(name) in tree.sums}
        known: dict[str, list[Row]] = {}
        for row in found:
            if row not in sums.values():
                known.setdefault(owners.get(row[0], layer_of(row[0])), []).append(row)

        def head(run: Run) -> Row:
            return sums.get(calling(run), (calling(run), kind(run)))

        found = [(name, chain) for name, chain in _listed(tree, known, head)]
    width = max(len(name) for name, _ in found)
    return "".join(f" {name:<{width}}  {chain}".rstrip() + "\n" for name, chain in found)


def costs(cost: Cost, tree: Tree | None = None) -> str:
    """Multiply-adds by phase, bytes and feedback words per layer, and the totals beside backprop's.

    `tree`: see `layers`. A block and a run of copies have the sums of what stands in them.
    """
    step, backprop = cost.step, cost.backprop
    header = (f"batch {cost.batch}", *map(str, PHASES), "bytes", "feedback words")
    tallied = {layer.name: layer for layer in step.layers}

    def row(name: str, found: Iterable[LayerCost]) -> Row:
        some = list(found)
        total = sum((layer.total for layer in some), Tally())
        macs = (sum(layer.phases.get(phase, Tally()).macs for layer in some) for phase in PHASES)
        return (name, *map(number, (*macs, total.bytes, total.words)))

    def head(run: Run) -> Row:
        name = f"{calling(run)}, {len(run)} x" if len(run) > 1 else calling(run)
        return row(name, (tallied[node.name] for part in run for node in part.nodes if node.name in tallied))

    sums = tree.sums if tree else ()
    known = {
        layer.name: [row(f"{layer.name} (sum)" if layer.name in sums else layer.name, (layer,))]
        for layer in step.layers
        if layer.total != Tally()
    }
    rows = [*_listed(tree, known, head), row("total", step.layers), row("backprop", backprop.layers)]
    facts = [
        f"backward multiply-adds: {number(step.backward_macs)}, backprop {number(backprop.backward_macs)}, "
        f"ratio {cost.backward_ratio:.3f}",
        f"peak memory: {binary(step.peak_bytes)}, backprop {binary(backprop.peak_bytes)}",
    ]
    return "\n".join((columns(header, rows), *(f" {fact}" for fact in facts), ""))


def _listed(tree: Tree | None, known: Mapping[str, Sequence[Row]], head: Head) -> list[Row]:
    """The rows of layers, as the tree has them, and those of what is no layer."""
    if tree is None:
        return [row for rows in known.values() for row in rows]
    others = (row for name, rows in known.items() if name not in tree.program.by_name for row in rows)
    return [*tree.rows(known, head), *others]


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
        "parameters": sum(node.parameters for node in program.nodes),
        "layers": [_layer_data(program, lineage, node) for node in program.nodes],
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


def _row(program: Program, lineage: Lineage, node: Node) -> Row:
    facts = _layer_data(program, lineage, node)
    output = "x".join(map(str, facts["output"]))
    return (
        node.name,
        facts["kind"],
        output,
        str(facts["parameters"]),
        *_arrived(facts["error"]),
        facts["update"],
    )


def _block_row(lineage: Lineage, run: Run) -> Row:
    """Over the layers of a block or of a run of copies: their parameters in all, and the error of a sum."""
    shape = next(reversed(list(run[0].nodes))).shape or ()
    size = sum(node.parameters for part in run for node in part.nodes)
    own = run[0].own
    error = None if own is None else lineage.error(own.name)
    cells = ("", "", "")
    if own is not None and error is not None:
        cells = _arrived([_arrival(lineage, *way) for way in lineage.ways(error, own.name)])
    return (calling(run), kind(run), "x".join(map(str, shape)), str(size), *cells, "")


def _arrived(error: Sequence[dict[str, Any]]) -> tuple[str, str, str]:
    """What errors come from, through which operators, and of what rank."""

    def joined(word: Callable[[dict[str, Any]], str]) -> str:
        return " + ".join(" <- ".join(_short(map(word, (a, *a["above"])))) for a in error) or "-"

    return (
        joined(_from),
        joined(lambda hop: str(hop["operator"])),
        joined(lambda hop: f"{hop['rank']}/{hop['full_rank']}" if hop["rank"] else "-"),
    )


def _short(words: Iterable[str]) -> list[str]:
    """The first few of many frozen layers, say; JSON has them all."""
    known = list(words)
    return [*known[:SHOWN], "..."] if len(known) > SHOWN else known


def _from(hop: dict[str, Any]) -> str:
    return f"{hop['from']} via {', '.join(hop['via'])}" if hop.get("via") else str(hop["from"])


def _settings(program: Program, lineage: Lineage, tree: Tree | None) -> Iterator[str]:
    """What sets some tensors apart from the others: `sgd (weight_decay 0.0): fc1.bias, fc2.bias`."""
    usual = kind_of("fac.updates", program.spec.update).name
    found: dict[str, list[str]] = {}
    for tensor in filter(lineage.moved, all_tensors(program)):
        moves = lineage.moves(tensor)
        if moves != usual:
            found.setdefault(moves, []).append(tensor.name)
    for moves, names in found.items():
        names = globs(tree.copies, names) if tree else names
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        yield f"{moves}: {', '.join(names[:SHOWN])}{more}"


def _layer_data(program: Program, lineage: Lineage, node: Node) -> dict[str, Any]:
    assert node.shape is not None
    found = [lineage.update[t.name] for t in node.tensors if t.role is Role.PARAMETER]
    rules = (str(u.settings["rule"]) if u.settings else u.still for u in found)
    errors = dict.fromkeys(error for tensor in node.tensors for error in lineage.arriving(tensor))
    return {
        "name": node.name,
        "kind": kind_of("fac.layers", node.layer).name,
        "inputs": list(node.inputs),
        "output": list(node.shape),
        "parameters": node.parameters,
        "error": [_arrival(lineage, *way) for error in errors for way in lineage.ways(error)],
        "update": ", ".join(dict.fromkeys(rules)) or "-",
    }


def _arrival(lineage: Lineage, way: Way, joins: tuple[str, ...]) -> dict[str, Any]:
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
            assert owner.ends is not None
            rank = kind_of("fac.feedback", owner.matrix).rank(owner.matrix, owner.ends)
            full = min(owner.ends.reads, owner.ends.writes)
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
