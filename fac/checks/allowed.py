"""FAC354: rules, operators and ways to learn that are on no allow-list."""

from __future__ import annotations

from collections.abc import Iterator

from fac.checks.demands import demands
from fac.checks.places import by_origin, listed, matrix_of, short_hand
from fac.diagnostics import Diagnostic, Path, Rule
from fac.program.lower import kind_of
from fac.program.program import Program, Route
from fac.spec.feedback import Learning, ShortHand

RULE_NOT_ALLOWED = Rule("FAC354", "rule-not-allowed")

EXACT = "bp"
"""The rule of a spec without any feedback."""
WRITTEN_OUT = "routes"
"""What `allowed_rules` calls routes that are written out."""


def rule_not_allowed(program: Program) -> Iterator[Diagnostic]:
    """A feedback rule, an operator or a learning rule is not on an allow-list of `constraints`.

    `allowed_rules` names the rules of `feedback:` (`bp`, `ldfa`, ...); `routes` in it stands for routes that are
    written out. A spec without feedback learns by `bp`. `allowed_matrices` names the operators and
    `allowed_learning` the ways in which feedback matrices learn, `fixed` among them, whether a spec writes them
    out or a rule brings them.

    Bad:

        feedback: {rule: dfa}
        constraints: {allowed_rules: [bp, ldfa]}

    Good:

        feedback: {rule: ldfa, rank: 9}
        constraints: {allowed_rules: [bp, ldfa]}
    """
    yield from _rules(program)
    for routes in by_origin(program.routes).values():
        yield from _matrix(program, routes[0])
    for subspace in program.subspaces:
        place = (*subspace.origin, "basis", "rule")
        yield from _refused(program, "allowed_learning", _way(subspace.basis), place)


def _rules(program: Program) -> Iterator[Diagnostic]:
    feedback = program.spec.feedback
    sections = feedback if isinstance(feedback, tuple) else (feedback,)
    exact = True
    for index, section in enumerate(sections):
        base: Path = ("feedback", index) if isinstance(feedback, tuple) else ("feedback",)
        if isinstance(section, ShortHand):
            exact = False
            name = kind_of("fac.rules", section).name
            yield from _refused(program, "allowed_rules", name, (*base, "rule"))
        elif section.routes:
            exact = False
            yield from _refused(program, "allowed_rules", WRITTEN_OUT, (*base, "routes"))
    if exact:
        yield from _refused(program, "allowed_rules", EXACT, None)


def _matrix(program: Program, route: Route) -> Iterator[Diagnostic]:
    section, matrix = short_hand(program, route), route.matrix
    kind = kind_of("fac.feedback", matrix)
    place = matrix_of(program, route, None if section else "kind")
    yield from _refused(program, "allowed_matrices", kind.name, place)
    for field in type(matrix).model_fields:
        value = getattr(matrix, field)
        if not isinstance(value, Learning):
            continue
        place = (*matrix_of(program, route, field), "rule")
        if section:
            place = (*route.origin, "learn" if "learn" in section.model_fields_set else "rule")
        yield from _refused(program, "allowed_learning", _way(value), place)


def _way(learning: Learning) -> str:
    return str(kind_of("fac.learning", learning).name)


def _refused(program: Program, key: str, name: str, place: Path | None) -> Iterator[Diagnostic]:
    """The finding of a name that one of the lists lacks. Without a place it stands nowhere in the spec."""
    asked = next((d for d in demands(program, key) if name not in d.value), None)
    if asked is not None:
        without = "" if place else "errors are exact: "
        yield RULE_NOT_ALLOWED.at(
            place or asked.place(program),
            f"{without}`{name}` is not among the {asked.named}",
            help=f"use {listed(asked.value, 'or')}" if asked.value else f"`{key}` allows nothing",
        )
