"""FAC350, FAC351: no error through forward weights, and no feedback of a high rank."""

from __future__ import annotations

from collections.abc import Iterator

from fac.checks.anchors import ANCHOR
from fac.checks.costs import Costs
from fac.checks.demands import demand
from fac.checks.places import by_origin, head, listed, matrix_of, stated
from fac.diagnostics import Diagnostic, Rule
from fac.program.declared import auto_rank
from fac.program.lower import kind_of
from fac.program.program import Program, Route

WEIGHT_TRANSPORT_FORBIDDEN = Rule("FAC350", "weight-transport-forbidden")
RANK_ABOVE_LIMIT = Rule("FAC351", "rank-above-limit")


def weight_transport_forbidden(program: Program, costs: Costs) -> Iterator[Diagnostic]:
    """`constraints.no_weight_transport` is set, and an error depends on a forward weight.

    An exact backward pass multiplies the error with the transposed forward weight of each layer that it
    crosses. So does a feedback matrix that is made from, or learns from, the forward weight: `transpose`,
    `normative`, an `init` by singular value decomposition. The compiled step is asked, not the kinds: what counts is
    whether an op of the backward pass reads a value that is made of weights and not one of each sample. One number for
    each unit, as the gain of a normalisation, is no weight between units.

    Bad:

        feedback: {rule: bp}
        constraints: {no_weight_transport: true}

    Good:

        feedback: {rule: ldfa, rank: 9}
        constraints: {no_weight_transport: true}

    See arXiv 1411.0247.
    """
    forbidden = demand(program, "no_weight_transport")
    if forbidden is None:
        return
    found = costs.transport
    if found.exact:
        first = program.by_name[found.exact[0]]
        names = listed(stated(program, name) for name in found.exact)
        asked = f", which {forbidden.named} forbids" if forbidden.file else ""
        yield WEIGHT_TRANSPORT_FORBIDDEN.at(
            forbidden.place(program, otherwise=head(first)),
            f"errors pass through the forward weights of {names}{asked}",
            help="route them with `through` or `to` routes, or with a rule such as `ldfa`",
        )
    yield from _anchored(program, costs, forbidden.named)
    for owners in by_origin(found.feedback).values():
        owner = owners[0]
        names = listed(stated(program, o.node, o) if isinstance(o, Route) else o.name for o in owners)
        yield WEIGHT_TRANSPORT_FORBIDDEN.at(
            matrix_of(program, owner) if isinstance(owner, Route) else (*owner.origin, "basis"),
            f"the feedback of {names} is made from forward weights, which {forbidden.named} forbids",
            help="use a matrix and learning rules that read no weight, such as `low_rank` with `oja`",
        )


def _anchored(program: Program, costs: Costs, named: str) -> Iterator[Diagnostic]:
    """What the steps of anchors transport: what `bp` is for, and against the constraint all the same."""
    found = None if costs.anchor is None else costs.anchor.transport
    if found is not None and (found.exact or found.feedback):
        names = listed(stated(program, name) for name in found.layers(program))
        yield WEIGHT_TRANSPORT_FORBIDDEN.at(
            (*ANCHOR, "rule"),
            f"in anchors errors pass through the forward weights of {names}, which {named} forbids",
            help="train without anchors",
        )


def rank_above_limit(program: Program) -> Iterator[Diagnostic]:
    """A feedback matrix or a subspace has a higher rank than `constraints.max_rank` allows.

    Every route counts, be it written out or made by a rule, `through` or `to`, with a matrix that learns or is fixed.
    A `low_rank` matrix has the rank that is written, or to which its rule clips it, or of `auto` the highest that it
    may come to; any other, `transpose` and `identity` too, that of the narrower of its two ends. A layer without a
    route, through which the exact error passes, has no feedback matrix: `no_weight_transport` forbids that. The limit
    may stand under `constraints:` of the spec, or of the settings file `fac.toml`, where it is a team's policy and
    holds for every spec; the lower one counts, and the finding names the file that it stands in.

    Bad:

        feedback: {rule: fa}
        constraints: {max_rank: 9}

    Good:

        feedback: {rule: ldfa, rank: 9}
        constraints: {max_rank: 9}
    """
    asked = demand(program, "max_rank")
    if asked is None:
        return
    limit, above = asked.value, f"above the `max_rank` of {asked.value}{asked.where}"
    for subspace in program.subspaces:
        if subspace.rank > limit:
            message = f"the subspace `{subspace.name}` has rank {subspace.rank}, {above}"
            yield RANK_ABOVE_LIMIT.at(
                (*subspace.origin, "rank"), message, help=f"use a rank of at most {limit}"
            )
    for routes in by_origin(program.routes).values():
        rank, written, index = max((*_rank(route), -i) for i, route in enumerate(routes))
        route = routes[-index]
        if rank <= limit:
            continue
        measured = auto_rank(route) is not None
        has = "may have" if measured else "has"
        message = f"the feedback of `{stated(program, route.node, route)}` {has} rank {rank}, {above}"
        help = f"use a rank of at most {limit}"
        if measured:
            help = f"write `rank: {{at_most: {limit}}}`"
        elif not written:
            help = f"use a `low_rank` matrix of rank {limit} or less"
        yield RANK_ABOVE_LIMIT.at(matrix_of(program, route, "rank" if written else None), message, help=help)


def _rank(route: Route) -> tuple[int, bool]:
    """The rank of the operator, and whether the spec writes it out; 0 if it is unknown."""
    if route.ends is None:
        return 0, False
    rank: int | None = kind_of("fac.feedback", route.matrix).rank(route.matrix, route.ends)
    return (route.ends.most, False) if rank is None else (rank, True)
