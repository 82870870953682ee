"""FAC316: feedback that is too narrow for the task."""

from __future__ import annotations

from collections.abc import Iterator

from fac.checks.places import by_origin, listed, matrix_of
from fac.diagnostics import Diagnostic, Rule, Severity
from fac.program.lower import kind_of
from fac.program.program import Program

RANK_BELOW_CLASSES = Rule("FAC316", "rank-below-classes", Severity.WARNING)


def rank_below_classes(program: Program) -> Iterator[Diagnostic]:
    """A low-rank matrix, or a subspace, has fewer directions than the error of the classes.

    The error of C classes has C - 1 directions, because the probabilities sum to one. A smaller rank drops some of
    them: what distinguishes these classes never reaches the layers below, and the error that does arrive can point
    the wrong way. That the rank has to follow the number of classes, not the width of the layers, is the result of
    arXiv 2502.20580. How much it matters depends on how the matrix learns. On the 10 classes of the digits, where
    backpropagation is right on 98 %, rank 9, 5 and 2 give 97, 95 and 90 % with fixed matrices, 97, 97 and 94 % with
    `normative` ones, and 97, 71 and 50 % with Oja's rule and `kolen_pollack`: P keeps turning to the errors that are
    left, and Q cannot follow.

    Bad:

        feedback: {rule: ldfa, rank: 4}

    Good:

        feedback: {rule: ldfa, rank: 9}

    See arXiv 2502.20580.
    """
    shape = program.nodes[-1].shape if program.nodes else None
    if not kind_of("fac.losses", program.spec.loss).classes or shape is None or len(shape) != 1:
        return
    classes = shape[0]
    wanted = classes - 1
    for subspace in program.subspaces:
        dim = program.width(subspace.of)
        if dim is not None and subspace.rank < min(wanted, dim):
            yield RANK_BELOW_CLASSES.at(
                (*subspace.origin, "rank"),
                _message(subspace.rank, f"the subspace `{subspace.name}`", classes),
                help=_help(min(wanted, dim)),
            )
    for routes in by_origin(program.routes).values():
        low: dict[int, list[str]] = {}
        needed = 0
        for route in routes:
            if route.ends is None:
                continue
            rank = kind_of("fac.feedback", route.matrix).rank(route.matrix, route.ends)
            # A layer that is narrower than the classes bounds the rank, and is not the fault of the matrix. Past a
            # kernel every place of the map has so many directions of its own.
            most = min(wanted, route.ends.most)
            if rank is not None and rank * route.ends.places < most:
                low.setdefault(rank, []).append(route.node)
                needed = max(needed, most)
        if low:
            rank = min(low)
            yield RANK_BELOW_CLASSES.at(
                matrix_of(program, routes[0], "rank"),
                _message(rank, f"the feedback of {listed(low[rank])}", classes),
                help=_help(needed),
            )


def _message(rank: int, what: str, classes: int) -> str:
    return f"{what} has rank {rank}, and the error of {classes} classes has {classes - 1} directions"


def _help(rank: int) -> str:
    return f"use a rank of at least {rank}"
