"""The tables that `fac show` prints."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from fac.build.costs import Cost, LayerCost, Taken, backprop
from fac.build.transport import transport
from fac.program.declared import auto_rank, unranked
from fac.program.lower import kind_of
from fac.program.prealign import above
from fac.program.program import Node, Program
from fac.render import facts
from fac.render.arrivals import layer_of
from fac.render.blocks import Head, Row, Run, Tree, calling, globs, kind
from fac.render.columns import columns
from fac.render.lineage import Lineage, Update
from fac.render.patterns import patterns, whole
from fac.step.cost import Tally
from fac.step.ir import Phase

HEADER = ("layer", "kind", "output", "params", "error from", "operator", "rank", "update")
PHASES = (Phase.FORWARD, Phase.ERROR, Phase.GRADIENT, Phase.LEARN)
"""Those that hold multiply-adds; sweeps in forward mode and updates do if some rule asks for them."""
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
    states = tree.states if tree else {}
    rows = _listed(tree, known, lambda run: _block_row(lineage, run, states))
    carrying = lineage.transport.layers(program)
    transporting = ", ".join(globs(tree.copies, carrying) if tree else carrying)
    if not transporting:
        transporting = "none but in anchors" if _anchors_transport(program) else "none"
    kept = any(not node.learns for node in backprop(program).parametric)
    totals = [
        f"backward multiply-adds: {cost.backward_ratio:.2f} of backprop{' with the same layers frozen' * kept}",
        f"peak memory at batch {cost.batch}: {binary(cost.step.peak_bytes)}",
        f"weight transport: {transporting}",
    ]
    lines = (*_settings(program, lineage, tree), "     ".join(totals))
    return "".join((columns(HEADER, rows), *(f"\n {line}" for line in lines), "\n"))


def updates(lineage: Lineage, tree: Tree | None = None) -> str:
    """One line per tensor: the operators that its update comes from, back to an error with its own line.

    `tree`: see `layers`.
    """
    found = [(u.name, _chain(u)) for u in (*lineage.updates, *lineage.errors)]
    if tree is not None:
        nodes = tree.program.by_name
        owners = {tensor.name: tensor.owner for tensor in tree.program.arrays if tensor.owner in nodes}
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


def costs(cost: Cost, tree: Tree | None = None, taken: Sequence[Taken] = ()) -> str:
    """Multiply-adds by phase, bytes and feedback words per layer, and the totals beside backprop's.

    `tree`: see `layers`. A block and a run of copies have the sums of what stands in them. `taken`: of processes.
    """
    step, backprop = cost.step, cost.backprop
    phases = (*PHASES, *(phase for phase in (Phase.TANGENT, Phase.UPDATE) if step.macs(phase)))
    header = (f"batch {cost.batch}", *map(str, phases), "bytes", "feedback words")
    tallied = {layer.name: layer for layer in step.layers}

    def row(name: str, found: Iterable[LayerCost]) -> Row:
        some = list(found)
        total = sum((layer.total for layer in some), Tally())
        macs = (sum(layer.phases.get(phase, Tally()).macs for layer in some) for phase in phases)
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
    totals = [
        f"backward multiply-adds: {number(step.backward_macs)}, backprop {number(backprop.backward_macs)}, "
        f"ratio {cost.backward_ratio:.3f}",
        f"peak memory: {binary(step.peak_bytes)}, backprop {binary(backprop.peak_bytes)}",
    ]
    if (anchor := cost.anchor) is not None:
        totals.append(
            f"in anchors: backward multiply-adds {number(anchor.backward_macs)}, ratio {cost.share(anchor):.3f}; "
            f"peak memory {binary(anchor.peak_bytes)}"
        )
    totals += [
        f"a process that trains on {each.backend} in {each.precision}: {binary(each.bytes)} beyond its imports, "
        "and what kernels keep for themselves"
        for each in taken
    ]
    return "\n".join((columns(header, rows), *(f" {total}" for total in totals), ""))


def _listed(tree: Tree | None, known: Mapping[str, Sequence[Row]], head: Head) -> list[Row]:
    """The rows of layers, as the tree has them, and those of what is no layer."""
    if tree is None:
        return [row for rows in known.values() for row in rows]
    others = (row for name, rows in known.items() if name not in tree.program.by_name for row in rows)
    return [*tree.rows(known, head), *others]


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
    found = facts.layer(program, lineage, node)
    output = "x".join(map(str, found["output"]))
    return (
        node.name,
        found["kind"],
        output,
        _size(found["parameters"], found["shares"]),
        *_arrived(found["error"]),
        found["update"],
    )


def _size(parameters: int, shares: str | None) -> str:
    """How many parameters a layer has, and whose it shares: `= fc1`, or `5 = fc1` for one with some of its own."""
    return f"{parameters or ''} = {shares}".lstrip() if shares else str(parameters)


def _block_row(lineage: Lineage, run: Run, states: Mapping[str, Node]) -> Row:
    """Over the layers of a block or of a run of copies: their parameters in all, and the error of a sum or a state."""
    shape = next(reversed(list(run[0].nodes))).shape or ()
    size = sum(node.parameters for part in run for node in part.nodes)
    own = run[0].own or states.get(run[0].name)
    error = None if own is None else lineage.error(own.name)
    cells = ("", "", "")
    if own is not None and error is not None:
        cells = _arrived([facts.arrival(lineage, *way) for way in lineage.ways(error, own.name)])
    return (calling(run), kind(run), "x".join(map(str, shape)), str(size), *cells, "")


def _arrived(error: Sequence[dict[str, Any]]) -> tuple[str, str, str]:
    """What errors come from, through which operators, and of what rank."""

    def joined(word: Callable[[dict[str, Any]], str]) -> str:
        ways = [" <- ".join(_short(map(word, (a, *a["above"])))) for a in error]
        if len(ways) > SHOWN:
            return ways[0] if len(set(ways)) == 1 else f"{ways[0]} + ... + {ways[-1]} ({len(ways)} ways)"
        return " + ".join(ways) or "-"

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


def anchors(program: Program) -> str | None:
    """Which steps have another routing, if any have."""
    anchor: Any = program.spec.train.anchor
    other = program.anchored
    if other is None:
        return None
    carrying = transport(other).layers(other)
    more = f" and {len(carrying) - SHOWN} more" if len(carrying) > SHOWN else ""
    transporting = ", ".join(carrying[:SHOWN]) + more or "none"
    return (
        f"one of {anchor.every} steps: {kind_of('fac.rules', anchor).name}, weight transport: {transporting}"
    )


def _anchors_transport(program: Program) -> bool:
    other = program.anchored
    return other is not None and bool(transport(other).layers(other))


def _settings(program: Program, lineage: Lineage, tree: Tree | None) -> Iterator[str]:
    """What sets some tensors apart from the others: `sgd (weight_decay 0.0): fc1.bias, fc2.bias`; and some steps."""
    usual = kind_of("fac.updates", program.update).name
    found: dict[str, list[str]] = {}
    for tensor in filter(lineage.moved, program.arrays):
        moves = lineage.moves(tensor)
        if moves != usual:
            found.setdefault(moves, []).append(tensor.name)
    for moves, names in found.items():
        names = globs(tree.copies, names) if tree else names
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        yield f"{moves}: {', '.join(names[:SHOWN])}{more}"
    if program.spec.train.prealign is not None:
        names = [weight.name for _, _, weight in above(program)]
        names = globs(tree.copies, names) if tree else names
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        some = ", ".join(names[:SHOWN]) or "nothing"
        yield f"set on the first batch (prealign: {program.spec.train.prealign}): {some}{more}"
    if (text := anchors(program)) is not None:
        yield text
    if measured := dict.fromkeys(auto_rank(route) for route in unranked(program)):
        costs = " and ".join(dict.fromkeys(f"{auto.cost:g}" for auto in measured if auto is not None))
        yield (
            "ranks that are `auto` stand here, and in costs, at the highest; a training measures them, and all of them "
            f"together cost at most {costs} times full matrices"
        )
    for pattern in patterns(program):
        means = globs(tree.copies, pattern.names) if tree else pattern.names
        more = f" and {len(means) - SHOWN} more" if len(means) > SHOWN else ""
        count = f"{len(pattern.names)} of {pattern.among} {pattern.what}"
        yield (
            f"{pattern.key} `{pattern.glob}` ({pattern.of}): {count}: "
            f"{', '.join(means[:SHOWN]) or 'none that others leave'}{more}"
        )
    if names := whole(program):
        names = globs(tree.copies, names) if tree else names
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        yield f"without adapters, and learn whole: {', '.join(names[:SHOWN])}{more}"
