"""FAC311, FAC313: where the error of a `to` route enters."""

from __future__ import annotations

from collections.abc import Iterator

from fac.checks.places import by_origin, has_weights, listed, short_hand, wired, written
from fac.diagnostics import Diagnostic, Rule, Severity
from fac.program.program import Program, Route
from fac.program.site import between, site_of

AT_NOT_ABOVE_TARGET = Rule("FAC311", "at-not-above-target")
AT_CROSSES_WEIGHTS = Rule("FAC313", "at-crosses-weights", Severity.WARNING)


def at_not_above_target(program: Program) -> Iterator[Diagnostic]:
    """The error of a `to` route enters where it cannot reach the layer that it is for.

    `at:` names the value that receives the error. It has to be the output of the target, or of a layer above it
    that is computed from it, so that the error comes down to the target. Anywhere else, the target goes on to learn
    by what it had before, and other layers get the error instead.

    Bad, where `fc2` reads `r1`: `{to: fc2, at: r1, matrix: {kind: random}}`.
    Good, where `r2` reads `fc2`: `{to: fc2, at: r2, matrix: {kind: random}}`.
    """
    for routes in _moved(program):
        missed = [r.node for r in routes if not between(program, r.node, str(r.site))]
        if missed:
            yield AT_NOT_ABOVE_TARGET.at(
                (*routes[0].origin, "at"),
                f"no error comes from the output of `{routes[0].site}` down to {listed(missed)}",
                help=f"leave `at` out: the error then enters at the output of `{site_of(program, missed[0])}`",
            )


def at_crosses_weights(program: Program) -> Iterator[Diagnostic]:
    """The error of a `to` route enters above another layer with weights, which it feeds as well.

    The layers between the target and `at:` learn from the error, too, and it reaches the target through their
    weights, or through the feedback that replaces these. A route `to` the upper layer says so more clearly.

    Bad, where `r2` reads `fc2` and `fc2` reads `r1`: `{to: fc1, at: r2, matrix: {kind: random}}`.
    Good: `{to: fc1, at: r1, matrix: {kind: random}}`, or `{to: fc2, at: r2, matrix: {kind: random}}`.
    """
    for routes in _moved(program):
        for route in routes:
            way = between(program, route.node, str(route.site)) - {route.node}
            crossed = [node.name for node in program.weighted if node.name in way]
            if crossed:
                yield AT_CROSSES_WEIGHTS.at(
                    (*route.origin, "at"),
                    f"the error enters at the output of `{route.site}`, above {listed(crossed)}, and crosses "
                    f"{'its' if len(crossed) == 1 else 'their'} weights on the way down to `{route.node}`",
                    help=f"leave `at` out, which means `{site_of(program, route.node)}`, or route `to: {crossed[-1]}`",
                )
                break


def _moved(program: Program) -> Iterator[list[Route]]:
    """`to` routes between known layers that say `at:`, by where they are written."""
    if not wired(program):
        return
    explicit = [r for r in program.routes if not r.through and short_hand(program, r) is None]
    for origin, routes in by_origin(explicit).items():
        known = [r for r in routes if r.node in program.by_name and has_weights(program.by_name[r.node])]
        if known and written(program.spec, origin).at in program.by_name:
            yield known
