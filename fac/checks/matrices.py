"""FAC301, FAC308, FAC310: feedback matrices and what they connect."""

from __future__ import annotations

from collections.abc import Iterator

from fac.checks.errors import dead
from fac.checks.places import by_origin, matrix_of, short_hand, wired
from fac.diagnostics import Diagnostic, Path, Rule
from fac.program.flow import Flow
from fac.program.lower import kind_of
from fac.program.program import LOSS, Ends, Program, Route
from fac.program.reading import WEIGHT, lessons, ways
from fac.spec.mending import rewritten

RANK_EXCEEDS_SOURCE = Rule("FAC301", "rank-exceeds-source")
MATRIX_MISFIT = Rule("FAC308", "matrix-misfit")
BASIS_CANNOT_LEARN = Rule("FAC310", "basis-cannot-learn")


def rank_exceeds_source(program: Program) -> Iterator[Diagnostic]:
    """A low-rank matrix, or a subspace, has more directions than one of its ends.

    The extra rows of P only mix directions that are there already: they cost memory and compute and carry no new
    information. The rank of Q P is at most that of the narrower end, so the file would promise a rank that the
    feedback does not have. A short-hand such as `rule: ldfa` clips its rank at each layer.

    Bad, where `logits` has 10 units:

        feedback:
          routes:
            - {through: logits, matrix: {kind: low_rank, rank: 64}}

    Good:

        feedback:
          routes:
            - {through: logits, matrix: {kind: low_rank, rank: 10}}

    See arXiv 2502.20580.
    """
    for subspace in program.subspaces:
        dim = program.width(subspace.of)
        if dim is not None and subspace.rank > dim:
            path = (*subspace.origin, "rank")
            yield RANK_EXCEEDS_SOURCE.at(
                path,
                f"rank {subspace.rank} exceeds the {dim} directions of {_source(program, subspace.of)}",
                help=f"use a rank of at most {dim}",
                fix=rewritten(path, str(dim)),
            )
    flow = Flow(program) if wired(program) else None
    for routes in by_origin(program.routes).values():
        idle = [flow is not None and bool(dead(flow, route)) for route in routes]
        tight = min(
            ((idle[i], r.ends.most, i) for i, r in enumerate(routes) if r.ends and _exceeds(r, r.ends)),
            default=None,
        )
        if tight is None:
            continue
        unneeded, limit, route = tight[0], tight[1], routes[tight[2]]
        ends = route.ends
        assert ends is not None
        path = matrix_of(program, route, "rank")
        # Of the layers of a glob the others may well have room for that rank.
        alike = all(r.ends and r.ends.most == limit for r in routes)
        by_hand = short_hand(program, route) is None
        help = f"use a rank of at most {limit}"
        if unneeded and by_hand:
            # A lower rank would mend what should not be there, at the cost of the other layers of a glob.
            what = "remove the route" if len(routes) == 1 else f"leave out `{route.node}`"
            help = (
                f"{what}: nobody needs the error that is {'passed on' if route.through else 'brought'} there"
            )
        elif by_hand and not alike:
            help += f", or write a route of its own for `{route.node}`"
        yield RANK_EXCEEDS_SOURCE.at(
            path,
            f"rank {_rank(route, ends)} exceeds the {limit} {_narrow(program, route, ends)}",
            help=help,
            fix=rewritten(path, str(limit)) if by_hand and alike and not unneeded else None,
        )


def _rank(route: Route, ends: Ends) -> int | None:
    rank: int | None = kind_of("fac.feedback", route.matrix).rank(route.matrix, ends)
    return rank


def _exceeds(route: Route, ends: Ends) -> bool:
    rank = _rank(route, ends)
    return rank is not None and rank > ends.most


def _narrow(program: Program, route: Route, ends: Ends) -> str:
    if route.through and ends.places > 1:
        each = f"channels of the error at `{route.node}`"
        return (
            each
            if ends.reads <= ends.writes
            else f"numbers that the kernel of `{route.node}` reads at a place"
        )
    if ends.reads <= ends.writes:
        return f"directions of {_source(program, route.source)}"
    return (
        f"directions of what `{route.node}` reads"
        if route.through
        else f"directions of the output of `{route.site}`"
    )


def _source(program: Program, source: str) -> str:
    if source in program.subspace:
        return f"the subspace `{source}`"
    return f"the error at `{program.output if source == LOSS else source}`"


def matrix_misfit(program: Program) -> Iterator[Diagnostic]:
    """A feedback matrix cannot connect these two ends, or cannot learn in the way that is asked for.

    An identity needs two ends of one width. A `transpose`, an `init` from the forward weight and a rule that reads
    the forward weight need a `through` route, which has one: a `to` route jumps over several weights and stands for
    none of them. Each learning rule teaches certain matrices only, because its gradient has a certain shape: `oja`
    teaches a P, `kolen_pollack` a B or a Q. A low rank goes over all channels of a layer, and would mix those of
    `groups`, which do not mix; there a full matrix has the shape of the kernel, and is small.

    Bad:

        feedback:
          routes:
            - {to: fc1, matrix: {kind: transpose}}

    Good:

        feedback:
          routes:
            - {to: fc1, matrix: {kind: random}}
    """
    seen: set[Path] = set()
    for route in program.routes:
        if route.ends is None:
            continue
        fault = kind_of("fac.feedback", route.matrix).misfit(route.matrix, route.ends)
        path = matrix_of(program, route, fault.field if fault else None)
        if fault is None or path in seen:
            continue
        seen.add(path)
        hand = short_hand(program, route)
        where = (
            f"the feedback of `{route.node}`: " if hand is None else f"`{kind_of('fac.rules', hand).name}`: "
        )
        yield MATRIX_MISFIT.at(path, f"{where}{fault}", help=fault.help)


def basis_cannot_learn(program: Program) -> Iterator[Diagnostic]:
    """A subspace has a learning rule that cannot teach it.

    A subspace is a reading matrix P alone. `kolen_pollack` teaches writing matrices, and `local` and `normative`
    teach P from the Q that it is paired with. Oja's rule needs nothing but the error: it turns P towards the
    directions in which errors vary most.

    Bad:

        feedback:
          subspaces:
            - {name: task, rank: 9, basis: {rule: local}}
          routes:
            - {to: fc1, from: task, matrix: {kind: random}}

    Good:

        feedback:
          subspaces:
            - {name: task, rank: 9, basis: {rule: oja}}
          routes:
            - {to: fc1, from: task, matrix: {kind: random}}

    See Oja 1989; arXiv 2502.20580.
    """
    for subspace in program.subspaces:
        rule = ways(subspace.basis)
        lesson = lessons(subspace.basis).get("P")
        if rule.name == "fixed" or (lesson is not None and lesson.reads.isdisjoint(("Q", WEIGHT))):
            continue
        why = "it does not teach P"
        if lesson is not None:
            needs = "together with a Q" if "Q" in lesson.reads else "from a forward weight"
            why = f"it learns P {needs}, and a subspace has none"
        message = f"`{rule.name}` cannot teach the subspace `{subspace.name}`: {why}"
        yield BASIS_CANNOT_LEARN.at((*subspace.origin, "basis", "rule"), message, help="use `oja` or `fixed`")
