"""FAC503, FAC504: feedback that costs more than what it replaces. Multiply-adds per sample, counted from the shapes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import ceil

from fac.checks.places import by_origin, has_weights, matrix_of, short_hand, target
from fac.diagnostics import Diagnostic, Rule, Severity
from fac.program.balance import weight_of
from fac.program.declared import auto_rank, traits_of
from fac.program.ends import ends_of
from fac.program.flow import Flow
from fac.program.lower import kind_of
from fac.program.program import Program, Route
from fac.program.reading import factors
from fac.spec.ranks import AutoRank

DIRECT_ROUTE_COSTS_MORE = Rule("FAC503", "direct-route-costs-more", Severity.WARNING)
LOW_RANK_COSTS_MORE = Rule("FAC504", "low-rank-costs-more", Severity.WARNING)


def direct_route_costs_more(program: Program) -> Iterator[Diagnostic]:
    """A direct route costs more than the backward pass that it makes superfluous.

    A `to` route spares the products by which the layers above would have passed their errors down to the site, and
    costs one product of its own: (units of the source) x (units that are fed). The saving is large where a narrow
    error, such as that of 10 classes, feeds a layer below a wide one. It is less than none where the layer above is
    narrower than the source, or where the site lies below a join, through which the exact error comes for nothing. A
    route that costs just what it spares is not reported: that from the loss to the last hidden layer always does. Only
    routes that are written out are judged, and only if nothing else above them becomes superfluous: as a choice of
    learning rule the route may still be right.

    Bad, where the 20 outputs feed 32 units that are read by 10:

        layers:
          - {kind: linear, name: fc1, out: 32}
          - {kind: relu}
          - {kind: linear, name: fc2, out: 10}
          - {kind: relu}
          - {kind: linear, name: logits, out: 20}
        feedback:
          routes:
            - {to: fc1, matrix: {kind: random}}

    Good:

        feedback:
          routes:
            - {to: fc1, matrix: {kind: random}}

    See arXiv 1609.01596.
    """
    flow = Flow(program)
    direct = [r for r in program.routes if not r.through and not r.add and short_hand(program, r) is None]
    for routes in by_origin(direct).values():
        cost = spared = 0
        for route in routes:
            saved = _spared(flow, route)
            own = _cost(route)
            if saved is None or own is None:
                break
            cost, spared = cost + own, spared + saved
        else:
            if cost > spared:
                yield DIRECT_ROUTE_COSTS_MORE.at(
                    target(routes[0]),
                    f"this route costs {cost} multiply-adds per sample and spares "
                    f"{spared if spared else 'none'}",
                    help=_remedy(program, routes[0], cost, spared),
                )


def _remedy(program: Program, route: Route, cost: int, spared: int) -> str:
    """What makes the route cost no more than it spares: its cost is proportional to its rank, or to its source."""
    remove = "remove it if cost is what matters"
    rank, ends = _rank(route), route.ends
    assert ends is not None
    if ends_of(program, replace(route, share=True), ends.prefix) != ends:
        return f"remove `share: false`, so that tokens share a matrix, or {remove}"
    fits = spared * (rank or ends.reads) // cost
    if not fits:
        return remove
    if rank:
        return f"use a rank of at most {fits}, or {remove}"
    loss = "`loss` or " * ((program.width("loss") or 0) <= fits)
    return f"read a narrower source, such as {loss}a subspace of rank at most {fits}, or {remove}"


def _spared(flow: Flow, route: Route) -> int | None:
    """The products that nobody needs any more; None if these are not all that becomes superfluous."""
    if route.site not in flow.needed or len(flow.brought[route.site]) > 1:
        return None
    readers = flow.program.readers.get(route.site, ())
    weighted = [reader for reader in readers if has_weights(reader)]
    if not flow.needed.issuperset(reader.name for reader in readers):
        return None
    if not all(traits_of(reader).affine and reader.name not in flow.replaced for reader in weighted):
        return None
    return sum(reader.places * weight_of(reader).size for reader in weighted)


def _cost(route: Route) -> int | None:
    """Multiply-adds of one operator; None where it does more than to multiply with matrices."""
    found = factors(route)
    if found is None or route.ends is None:
        return None
    return route.ends.places * sum(factor.tensor.size for factor in found)


def low_rank_costs_more(program: Program) -> Iterator[Diagnostic]:
    """A low-rank matrix has so high a rank that a full one would be cheaper.

    Q (P d) costs rank x (reads + writes) multiply-adds per sample, B d costs reads x writes. The two meet at
    rank = reads x writes / (reads + writes), half the width of a square layer; above it the low rank spares nothing,
    and learning P and Q comes on top. Ranks up to the number of outputs are left alone: that many directions are
    needed whatever they cost. A short-hand, or a glob, is judged by the sum over its layers. A rank that is `auto`
    keeps to its `cost`, and what is told is a cost in which not even rank 1 has room.

    Bad, where `fc2` has 32 inputs and 32 units:

        layers:
          - {kind: linear, name: fc1, out: 32}
          - {kind: relu}
          - {kind: linear, name: fc2, out: 32}
          - {kind: relu}
          - {kind: linear, name: logits, out: 10}
        feedback:
          routes:
            - {through: fc2, matrix: {kind: low_rank, rank: 24}}

    Good:

        layers:
          - {kind: linear, name: fc1, out: 32}
          - {kind: relu}
          - {kind: linear, name: fc2, out: 32}
          - {kind: relu}
          - {kind: linear, name: logits, out: 10}
        feedback:
          routes:
            - {through: fc2, matrix: {kind: low_rank, rank: 10}}

    See arXiv 2502.20580.
    """
    outputs = program.width("loss") or 0
    for routes in by_origin(program.routes).values():
        # Of a rank that a sparse matrix has by its choices of columns each entry is multiplied, and no more.
        dense = [route for route in routes if not any(tensor.below for tensor in route.tensors)]
        dense = [route for route in dense if auto_rank(route) is None]
        ranked = [(rank, route.ends) for route in dense if route.ends and (rank := _rank(route))]
        if any(ends.weight is not None and ends.weight.reads_axis for _, ends in ranked):
            continue  # a kernel that makes a map larger: P acts on that map, Q on the smaller one
        highest = max((rank for rank, _ in ranked), default=0)
        low = sum(ends.places * rank * (ends.reads + ends.writes) for rank, ends in ranked)
        full = sum(ends.places * ends.reads * ends.writes for _, ends in ranked)
        if highest <= outputs or low < full:
            continue
        where = "" if len(ranked) == 1 else f" at {len(ranked)} layers"
        even = (full - 1) // sum(ends.places * (ends.reads + ends.writes) for _, ends in ranked)
        yield LOW_RANK_COSTS_MORE.at(
            matrix_of(program, routes[0], "rank"),
            f"rank {highest} costs {low} multiply-adds per sample{where}, and full matrices cost {full}",
            help=f"use a rank of at most {max(even, outputs)}, or a `random` matrix",
        )
    yield from _without_room(program)


def _without_room(program: Program) -> Iterator[Diagnostic]:
    """Ranks that are `auto`, of which even the least cost more than they may: see `fac.training.ranking`."""
    groups: dict[AutoRank, list[Route]] = {}
    for route in program.routes:
        if (auto := auto_rank(route)) is not None:
            groups.setdefault(auto, []).append(route)
    for auto, routes in groups.items():
        ends = [route.ends for route in routes if route.ends is not None]
        least = sum(of.places * (of.reads + of.writes) for of in ends)
        full = sum(of.places * of.reads * of.writes for of in ends)
        if len(ends) == len(routes) and least > auto.cost * full:
            where = "" if len(ends) == 1 else f" at {len(ends)} layers"
            yield LOW_RANK_COSTS_MORE.at(
                matrix_of(program, routes[0], "rank"),
                f"rank 1 costs {least} multiply-adds per sample{where}, above the `cost` of {auto.cost:g} times {full}",
                help=f"use a `cost` of at least {ceil(100 * least / full) / 100:g}, or a `random` matrix",
            )


def _rank(route: Route) -> int | None:
    rank: int | None = kind_of("fac.feedback", route.matrix).rank(route.matrix, route.ends)
    return rank
