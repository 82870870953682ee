"""FAC322, FAC323: feedback that says nothing beyond what is said already."""

from __future__ import annotations

from collections.abc import Iterator

from fac.checks.places import short_hand, target, wired
from fac.diagnostics import Diagnostic, Path, Rule, Severity
from fac.program.lower import kind_of
from fac.program.program import Program, Route
from fac.spec.feedback import ShortHand

DUPLICATE_ROUTE = Rule("FAC322", "duplicate-route", Severity.WARNING)
RULE_WITHOUT_ROUTES = Rule("FAC323", "rule-without-routes", Severity.WARNING)


def duplicate_route(program: Program) -> Iterator[Diagnostic]:
    """Two routes with `combine: add` bring one error to one place through matrices of one kind.

    Operators are linear, so B1 e + B2 e = (B1 + B2) e: two random matrices are one random matrix whose entries are
    sqrt(2) times as large, at twice the cost. The second route is mostly a copy that should have named another layer or
    another source. (Without `combine: add` on both, FAC309 reports that they meet.)

    Bad:

        feedback:
          routes:
            - {to: fc1, combine: add, matrix: {kind: random}}
            - {to: fc1, combine: add, matrix: {kind: random}}

    Good:

        feedback:
          routes:
            - {to: fc1, combine: add, matrix: {kind: random}}
            - {to: fc1, combine: add, from: fc2, matrix: {kind: random}}
    """
    seen: dict[tuple[str, str], list[Route]] = {}
    reported: set[Path] = set()
    for route in program.routes:
        if route.through or route.site is None or not route.add:
            continue
        others = seen.setdefault((route.site, route.source), [])
        # The routes of one glob meet because of its `at:`, which is no copy: one of them stands for all.
        if others and others[-1].origin == route.origin:
            continue
        copied = any(other.matrix == route.matrix for other in others)
        others.append(route)
        if copied and route.origin not in reported and short_hand(program, route) is None:
            reported.add(route.origin)
            yield DUPLICATE_ROUTE.at(
                target(route),
                f"an equal route already brings the error of `{route.source}` to the output of `{route.site}`",
                help="remove one of the two; `scale` makes its matrix larger",
            )


def rule_without_routes(program: Program) -> Iterator[Diagnostic]:
    """A rule gives no layer a route, so the network learns by backpropagation.

    The layer-wise rules (`fa`, `ldfa`) replace the pass through each weight below which something learns, so not
    that through the first: nobody needs the error below it. The direct ones (`dfa`, `direct_ldfa`) feed each layer
    with parameters that the loss reaches only by crossing a weight, so not the last, which it reaches exactly;
    `shallow` freezes these. With a single layer of weights, nothing is left of any of them, and a comparison between
    them would compare backpropagation with itself.

    Bad:

        layers:
          - {kind: linear, name: logits, out: 10}
        feedback: {rule: dfa}

    Good:

        layers:
          - {kind: linear, name: fc1, out: 32}
          - {kind: relu}
          - {kind: linear, name: logits, out: 10}
        feedback: {rule: dfa}
    """
    if not wired(program) or not program.weighted or any(node.shape is None for node in program.nodes):
        return
    feedback = program.spec.feedback
    sections = feedback if isinstance(feedback, tuple) else (feedback,)
    routed = {route.origin for route in program.routes}
    for index, section in enumerate(sections):
        # With `nodes:` written, FAC209 and FAC314 say what is wrong with them.
        if not isinstance(section, ShortHand) or "nodes" in section.model_fields_set:
            continue
        kind = kind_of("fac.rules", section)
        base: Path = ("feedback", index) if isinstance(feedback, tuple) else ("feedback",)
        if not kind.changes or base in routed:
            continue
        # Where frozen layers are the reason, the rule says what holds once they learn.
        meant = kind.expand(section, program.thawed)
        if meant.routes or meant.frozen:
            continue
        yield RULE_WITHOUT_ROUTES.at(
            (*base, "rule"),
            f"`{kind.name}` changes nothing here: {_why(program, kind.direct)}",
            help="add hidden layers, or use `rule: bp`, which means the same",
        )


def _why(program: Program, direct: bool) -> str:
    if len(program.parametric) == 1:
        return f"`{program.weighted[0].name}` is the only layer with weights"
    if direct:
        return "no layer with parameters lies below one with weights"
    return "no layer with weights lies above one with parameters"
