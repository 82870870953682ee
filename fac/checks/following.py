"""FAC315: feedback that takes the steps of a weight."""

from __future__ import annotations

from collections.abc import Iterator

from fac.checks.errors import dead
from fac.checks.places import by_origin, fed, learning_of, listed, stated, wired
from fac.diagnostics import Diagnostic, Rule, Severity
from fac.program.flow import Flow
from fac.program.lower import kind_of
from fac.program.program import Program, Route
from fac.program.reading import ways

FEEDBACK_FOLLOWS_FROZEN_WEIGHT = Rule("FAC315", "feedback-follows-frozen-weight", Severity.WARNING)


def feedback_follows_frozen_weight(program: Program) -> Iterator[Diagnostic]:
    """A feedback matrix takes the step of a forward weight that takes none.

    `kolen_pollack` moves B (or Q) by the gradient of the weight that it stands for, and the two align because both
    take the same step. Beside a frozen weight (`trainable: false`, or `shallow`) only B moves: it turns away from
    the weight, and as the gradient never vanishes it grows until its weight decay stops it. This is a warning and
    not an error because the step is still well defined, and freezing a layer for a while, as in fine-tuning, should
    not force another feedback on the file.

    Bad:

        layers:
          - {kind: linear, name: fc1, out: 32}
          - {kind: relu}
          - {kind: linear, name: fc2, out: 16, trainable: false}
          - {kind: relu}
          - {kind: linear, name: logits, out: 10}
        feedback: {rule: ldfa, nodes: fc2, rank: 9}

    Good:

        layers:
          - {kind: linear, name: fc1, out: 32}
          - {kind: relu}
          - {kind: linear, name: fc2, out: 16, trainable: false}
          - {kind: relu}
          - {kind: linear, name: logits, out: 10}
        feedback: {rule: ldfa, nodes: fc2, rank: 9, learn: fixed}

    See arXiv 1904.05391.
    """
    if not wired(program):
        return
    flow = Flow(program)
    for routes in by_origin(r for r in program.routes if r.through).values():
        frozen = [(r, field) for r in routes if (field := _follows(program, r)) and not dead(flow, r)]
        if frozen:
            route, field = frozen[0]
            routes = [r for r, _ in frozen]
            names = listed(fed(program, routes))
            adapted = [layer for r in routes if (layer := stated(program, r.node, r)) != r.node]
            freed = f" (`freeze: false` in the adapter of {listed(adapted)})" if adapted else ""
            yield FEEDBACK_FOLLOWS_FROZEN_WEIGHT.at(
                learning_of(program, route, field),
                f"the feedback of {names} takes the steps of a weight that is frozen",
                help=f"use `fixed` feedback there, or let {names} learn{freed}",
            )


def _follows(program: Program, route: Route) -> str:
    """The field of the matrix with a rule that follows a frozen weight; empty if there is none."""
    node = program.by_name.get(route.node)
    if node is None or node.weight_learns:
        return ""
    learning = kind_of("fac.feedback", route.matrix).learning(route.matrix)
    return next(
        (
            field
            for field in type(route.matrix).model_fields
            for rule in learning.values()
            if getattr(route.matrix, field) is rule and ways(rule).follows
        ),
        "",
    )
