"""FAC316: feedback that is too narrow for the task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import ceil

from fac.checks.places import by_origin, listed, matrix_of, stated
from fac.diagnostics import Diagnostic, Rule, Severity
from fac.program.lower import kind_of
from fac.program.program import Ends, Program, Route

RANK_BELOW_CLASSES = Rule("FAC316", "rank-below-classes", Severity.WARNING)


def rank_below_classes(program: Program) -> Iterator[Diagnostic]:
    """A low-rank matrix, or a subspace, has fewer directions than the error of the classes.

    The error of C classes has C - 1 directions, because the probabilities sum to one. A smaller rank drops some of
    them: what distinguishes these classes never reaches the layers below, and the error that does arrive can point
    the wrong way. That the rank has to follow the number of classes, not the width of the layers, is the result of
    arXiv 2502.20580. How much it matters depends on how the matrix learns. On the 10 classes of the digits, where
    backpropagation is right on 98 %, rank 9, 5 and 2 give 97, 95 and 90 % with fixed matrices, 97, 97 and 94 % with
    `normative` ones, and 97, 71 and 50 % with Oja's rule and `kolen_pollack`: P keeps turning to the errors that are
    left, and Q cannot follow. `rank: auto` keeps them all, if its `cost` and `at_most` allow it.

    Bad:

        feedback: {rule: ldfa, rank: 4}

    Good:

        feedback: {rule: ldfa, rank: 9}

    See arXiv 2502.20580.
    """
    classes = _classes(program)
    for subspace in program.subspaces:
        dim, above = program.width(subspace.of), _above(program, subspace.of, True, classes)
        if dim is not None and above and subspace.rank < min(above - 1, dim):
            yield RANK_BELOW_CLASSES.at(
                (*subspace.origin, "rank"),
                _message(subspace.rank, f"the subspace `{subspace.name}`", above),
                help=_help(min(above - 1, dim)),
            )
    for routes in by_origin(program.routes).values():
        low: dict[int, list[str]] = {}
        needed = most_classes = 0
        for route in routes:
            above = _above(program, route.source, not route.through, classes)
            if route.ends is None or not above:
                continue
            rank = kind_of("fac.feedback", route.matrix).rank(route.matrix, route.ends)
            most = _directions(route.ends, above)
            if rank is not None and rank * route.ends.places < most:
                low.setdefault(rank, []).append(stated(program, route.node, route))
                needed, most_classes = max(needed, most), max(most_classes, above)
        if low:
            rank = min(low)
            yield RANK_BELOW_CLASSES.at(
                matrix_of(program, routes[0], "rank"),
                _message(rank, f"the feedback of {listed(low[rank])}", most_classes),
                help=_help(needed),
            )


def least_rank(program: Program, route: Route) -> int:
    """The lowest rank of which this is not said; 1 where the error is not one of classes, or nothing is known."""
    above = _above(program, route.source, not route.through, _classes(program))
    if route.ends is None or not above:
        return 1
    return max(1, ceil(_directions(route.ends, above) / route.ends.places))


def _directions(ends: Ends, classes: int) -> int:
    """Those of the error of so many classes that can arrive there.

    A layer that is narrower than the classes bounds them, and is not the fault of the matrix. Past a kernel every place
    of the map has so many of its own.
    """
    return min(classes - 1, ends.most)


def _classes(program: Program) -> dict[str, int]:
    """How many classes the error of each head is of, where that is known."""
    found: dict[str, int] = {}
    for objective in program.losses:
        node = program.by_name.get(objective.of)
        shape = None if node is None else node.shape
        if shape is not None and len(shape) == 1 and kind_of("fac.losses", objective.loss).classes:
            found[objective.of] = shape[0]
    return found


def _above(program: Program, source: str, direct: bool, classes: Mapping[str, int]) -> int:
    """The classes of the head above a source that has most; 0 if it has none, or errors of another kind arrive too.

    What is read directly at a head is the error of that head alone.
    """
    root = program.root(source) or ""
    heads = frozenset((root,)) if direct and root in program.heads else program.leading.get(root, frozenset())
    return max((classes[head] for head in heads), default=0) if heads <= classes.keys() else 0


def _message(rank: int, what: str, classes: int) -> str:
    return f"{what} has rank {rank}, and the error of {classes} classes has {classes - 1} directions"


def _help(rank: int) -> str:
    return f"use a rank of at least {rank}"
