"""FAC350, FAC351, FAC501: what the `constraints:` section demands."""

from __future__ import annotations

from collections.abc import Iterator

from fac.checks.flow import Flow
from fac.checks.places import by_origin, has_weights, listed, matrix_of, wired
from fac.diagnostics import Diagnostic, Rule
from fac.program.lower import kind_of
from fac.program.program import Program, Route

WEIGHT_TRANSPORT_FORBIDDEN = Rule("FAC350", "weight-transport-forbidden")
RANK_ABOVE_LIMIT = Rule("FAC351", "rank-above-limit")
BACKWARD_COST_ABOVE_LIMIT = Rule("FAC501", "backward-cost-above-limit")


def weight_transport_forbidden(program: Program) -> Iterator[Diagnostic]:
    """`constraints.no_weight_transport` is set, and an error depends on a forward weight.

    An exact backward pass multiplies the error with the transposed forward weight of each layer that it
    crosses. So does a feedback matrix that is made from, or learns from, the forward weight: `transpose`,
    `normative`, an `init` by singular value decomposition.

    Bad: `feedback: {rule: bp}` with `constraints: {no_weight_transport: true}`.
    Good: `feedback: {rule: ldfa, rank: 10}` with `constraints: {no_weight_transport: true}`.
    """
    if not program.spec.constraints.no_weight_transport:
        return
    if wired(program):
        flow = Flow(program)
        crossed = {
            reader.name
            for name in flow.needed
            for reader in flow.passing(name)
            if has_weights(reader) and reader.name not in flow.replaced and reader.name in flow.reached
        }
        if crossed:
            names = [node.name for node in program.nodes if node.name in crossed]
            yield WEIGHT_TRANSPORT_FORBIDDEN.at(
                ("constraints", "no_weight_transport"),
                f"errors pass through the forward weights of {listed(names)}",
                help="route them with `through` or `to` routes, or with a rule such as `ldfa`",
            )
    for routes in by_origin(program.routes).values():
        readers = [r for r in routes if kind_of("fac.feedback", r.matrix).transports(r.matrix)]
        if readers:
            yield WEIGHT_TRANSPORT_FORBIDDEN.at(
                matrix_of(program, readers[0]),
                f"the feedback of {listed(r.node for r in readers)} is made from forward weights, "
                "which `no_weight_transport` forbids",
                help="use a matrix and learning rules that read no weight, such as `low_rank` with `oja`",
            )


def rank_above_limit(program: Program) -> Iterator[Diagnostic]:
    """A feedback matrix or a subspace has a higher rank than `constraints.max_rank` allows.

    A matrix that is not low-rank has the rank of its smaller side.

    Bad: `feedback: {rule: ldfa, rank: 64}` with `constraints: {max_rank: 16}`.
    Good: `feedback: {rule: ldfa, rank: 16}` with `constraints: {max_rank: 16}`.
    """
    limit = program.spec.constraints.max_rank
    if limit is None:
        return
    for subspace in program.subspaces:
        if subspace.rank > limit:
            message = (
                f"the subspace `{subspace.name}` has rank {subspace.rank}, above the `max_rank` of {limit}"
            )
            yield RANK_ABOVE_LIMIT.at(
                (*subspace.origin, "rank"), message, help=f"use a rank of at most {limit}"
            )
    for routes in by_origin(program.routes).values():
        rank, written, index = max((*_rank(route), -i) for i, route in enumerate(routes))
        route = routes[-index]
        if rank <= limit:
            continue
        message = f"the feedback of `{route.node}` has rank {rank}, above the `max_rank` of {limit}"
        help = (
            f"use a rank of at most {limit}"
            if written
            else f"use a `low_rank` matrix of rank {limit} or less"
        )
        yield RANK_ABOVE_LIMIT.at(matrix_of(program, route, "rank" if written else None), message, help=help)


def _rank(route: Route) -> tuple[int, bool]:
    """The rank of the operator, and whether the spec writes it out; 0 if it is unknown."""
    if route.ends is None:
        return 0, False
    rank: int | None = kind_of("fac.feedback", route.matrix).rank(route.matrix, route.ends)
    return (min(route.ends.reads, route.ends.writes), False) if rank is None else (rank, True)


def backward_cost_above_limit(program: Program) -> Iterator[Diagnostic]:
    """The backward pass costs more than `constraints.backward_macs_vs_backprop` allows.

    Multiply-adds of the backward pass, the learning of feedback matrices included, are counted on the
    compiled step and divided by those of backpropagation on the same network. `fac show --cost` prints them
    layer by layer.

    Bad: `feedback: {rule: bp}` with `constraints: {backward_macs_vs_backprop: {at_most: 0.7}}`.
    Good: `feedback: {rule: dfa}` with `constraints: {backward_macs_vs_backprop: {at_most: 0.7}}`.
    """
    bound = program.spec.constraints.backward_macs_vs_backprop
    if bound is None:
        return
    from fac.build.costs import backward_ratio  # compiles the step: only a spec that asks for it pays

    ratio = backward_ratio(program)
    if ratio > bound.at_most:
        yield BACKWARD_COST_ABOVE_LIMIT.at(
            ("constraints", "backward_macs_vs_backprop", "at_most"),
            f"the backward pass costs {ratio:.4g} times backprop's multiply-adds, above {bound.at_most:g}",
            help="lower the ranks, use direct routes, or raise the limit; `fac show --cost` shows each layer",
        )
