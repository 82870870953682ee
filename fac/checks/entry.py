"""FAC311, FAC313, FAC324: where the error of a `to` route enters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache

from fac.checks.places import by_origin, has_parameters, listed, short_hand, target, wired, written
from fac.checks.ways import Between, Pair, between
from fac.diagnostics import Diagnostic, Rule, Severity
from fac.program.declared import curve_of
from fac.program.program import Program, Route
from fac.program.site import site_of

AT_NOT_ABOVE_TARGET = Rule("FAC311", "at-not-above-target")
AT_CROSSES_WEIGHTS = Rule("FAC313", "at-crosses-weights", Severity.WARNING)
AMBIGUOUS_SITE = Rule("FAC324", "ambiguous-site", Severity.WARNING)


def at_not_above_target(program: Program) -> Iterator[Diagnostic]:
    """The error of a `to` route enters where it cannot reach the layer that it is for.

    `at:` names the value that receives the error. It has to be the output of the target, or of a layer above it
    that is computed from it, so that the error comes down to the target. Anywhere else, the target goes on to learn
    by what it had before, and other layers get the error instead.

    Bad, where `fc2` reads `relu_1`:

        feedback:
          routes:
            - {to: fc2, at: relu_1, matrix: {kind: random}}

    Good, where `relu_2` reads `fc2`:

        feedback:
          routes:
            - {to: fc2, at: relu_2, matrix: {kind: random}}
    """
    moved = _moved(program)
    ways = _ways(program, moved)
    for routes in moved:
        missed = [r.node for r in routes if not ways[_ends(r)].joined]
        if missed:
            yield AT_NOT_ABOVE_TARGET.at(
                (*routes[0].origin, "at"),
                f"no error comes from the output of `{routes[0].site}` down to {listed(missed)}",
                help=f"leave `at` out: the error then enters at the output of `{site_of(program, missed[0])}`",
            )


def at_crosses_weights(program: Program) -> Iterator[Diagnostic]:
    """The error of a `to` route enters above another layer with weights, which it feeds as well.

    The layers between the target and `at:` learn from the error, too, and it reaches the target through their
    weights, or through the feedback that replaces these. A direct route was meant to spare just that pass. A route
    `to` the upper layer says the same more clearly, if that is what is meant.

    Bad, where `fc2` lies between `relu_2` and `fc1`:

        feedback:
          routes:
            - {to: fc1, at: relu_2, matrix: {kind: random}}

    Good:

        feedback:
          routes:
            - {to: fc1, at: relu_1, matrix: {kind: random}}
    """
    moved = _moved(program)
    ways = _ways(program, moved)
    for routes in moved:
        route = next((r for r in routes if ways[_ends(r)].joined and ways[_ends(r)].count), None)
        if route is not None:
            way = ways[_ends(route)]
            yield AT_CROSSES_WEIGHTS.at(
                (*route.origin, "at"),
                f"the error enters at the output of `{route.site}`, above {listed(way.first, count=way.count)}, "
                f"and crosses {'its' if way.count == 1 else 'their'} weights on the way down to `{route.node}`",
                help=f"leave `at` out, which means `{site_of(program, route.node)}`, or route `to: {way.last}`",
            )


def _moved(program: Program) -> list[list[Route]]:
    """`to` routes between known layers that say `at:`, by where they are written."""
    if not wired(program):
        return []
    moved = []
    explicit = [r for r in program.routes if not r.through and short_hand(program, r) is None]
    for origin, routes in by_origin(explicit).items():
        known = [r for r in routes if r.node in program.by_name and has_parameters(program.by_name[r.node])]
        at = written(program.spec, origin).at
        if known and at is not None and program.meant(at) in program.by_name:
            moved.append(known)
    return moved


def _ways(program: Program, moved: list[list[Route]]) -> Mapping[Pair, Between]:
    """What lies between each target and the place where its error enters."""
    return between(program, (_ends(route) for routes in moved for route in routes))


def _ends(route: Route) -> Pair:
    return route.node, str(route.site)


def ambiguous_site(program: Program) -> Iterator[Diagnostic]:
    """A `to` route leaves open on which side of an activation, or of a normalisation, its error enters.

    A `to` route brings an error from elsewhere to a layer, its target. Normally it enters behind the activation that
    follows the target, and passes down through it, so that the weights learn by the error times the derivative of
    the activation, as in backpropagation. That place is the site of the target. Where several layers read the
    output of the target itself, there is no one way to follow: the error enters before the activation, at the
    target, and all that these readers would have sent is cut. That is seldom what is meant where one of them is an
    activation, or a normalisation, which learns nothing then. `at:` says it.

    Bad, where both `relu` and `add` read `fc1`:

        layers:
          - {kind: linear, name: fc1, out: 32}
          - {kind: relu, name: act}
          - {kind: linear, name: fc2, out: 32}
          - {kind: add, name: join, from: [fc1, fc2]}
          - {kind: linear, name: logits, out: 10}
        feedback:
          routes:
            - {to: fc1, matrix: {kind: random}}

    Good:

        layers:
          - {kind: linear, name: fc1, out: 32}
          - {kind: relu, name: act}
          - {kind: linear, name: fc2, out: 32}
          - {kind: add, name: join, from: [fc1, fc2]}
          - {kind: linear, name: logits, out: 10}
        feedback:
          routes:
            - {to: fc1, at: act, matrix: {kind: random}}

    See arXiv 1609.01596.
    """
    if not wired(program):
        return

    @cache
    def readers(name: str) -> tuple[str, str | None]:
        """Several readers, and the first among them that belongs to the layer. Of both there may be thousands."""
        found = program.readers.get(name, ())
        behind = (r.name for r in found if curve_of(r.layer) or (r.parametric and not r.weighted))
        return listed(reader.name for reader in found), next(behind, None) if len(found) > 1 else None

    explicit = [r for r in program.routes if not r.through and short_hand(program, r) is None]
    for origin, routes in by_origin(explicit).items():
        if written(program.spec, origin).at is not None:
            continue
        for route in routes:
            several, behind = readers(route.node) if route.site == route.node else ("", None)
            if behind is not None:
                yield AMBIGUOUS_SITE.at(
                    target(route),
                    f"{several} read `{route.node}`, so the error enters there, before `{behind}`",
                    help=f"write `at: {behind}`, or `at: {route.node}` if that is meant",
                )
                break
