"""FAC354: rules, operators and ways to learn that are on no allow-list."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from fac.checks.anchors import without_matrices
from fac.checks.demands import Demand, demands
from fac.checks.places import by_origin, listed, matrix_of, short_hand
from fac.diagnostics import Diagnostic, Path, Rule
from fac.program.lower import kind_of
from fac.program.program import Program, Route
from fac.spec.constraints import WRITTEN_OUT
from fac.spec.feedback import Learning, ShortHand
from fac.spec.train import Anchored

RULE_NOT_ALLOWED = Rule("FAC354", "rule-not-allowed")

Usable = Callable[[Program, Iterable[str]], tuple[str, ...]]

EXACT = "bp"
"""The rule of a spec without any feedback."""


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
    lists = _Lists(program)
    yield from _rules(program, lists)
    for routes in by_origin(program.routes).values():
        yield from _matrix(program, routes[0], lists)
    for subspace in program.subspaces:
        place = (*subspace.origin, "basis", "rule")
        yield from lists.refused("allowed_learning", _way(subspace.basis), place)


def _rules(program: Program, lists: _Lists) -> Iterator[Diagnostic]:
    feedback = program.spec.feedback
    sections = feedback if isinstance(feedback, tuple) else (feedback,)
    exact = True
    for index, section in enumerate(sections):
        base: Path = ("feedback", index) if isinstance(feedback, tuple) else ("feedback",)
        if isinstance(section, ShortHand):
            exact = False
            name = kind_of("fac.rules", section).name
            usable = without_matrices if isinstance(section, Anchored) else None
            yield from lists.refused("allowed_rules", name, (*base, "rule"), usable)
        elif section.routes:
            exact = False
            yield from lists.refused("allowed_rules", WRITTEN_OUT, (*base, "routes"))
    if exact:
        yield from lists.refused("allowed_rules", EXACT, None)


def _matrix(program: Program, route: Route, lists: _Lists) -> Iterator[Diagnostic]:
    section, matrix = short_hand(program, route), route.matrix
    kind = kind_of("fac.feedback", matrix)
    place = matrix_of(program, route, None if section else "kind")
    yield from lists.refused("allowed_matrices", kind.name, place)
    for field in type(matrix).model_fields:
        value = getattr(matrix, field)
        if not isinstance(value, Learning):
            continue
        place = (*matrix_of(program, route, field), "rule")
        if section:
            place = (*route.origin, "learn" if "learn" in section.model_fields_set else "rule")
        yield from lists.refused("allowed_learning", _way(value), place)


def _way(learning: Learning) -> str:
    return str(kind_of("fac.learning", learning).name)


class _Lists:
    """The allow-lists, each looked through once for a name: both may be long."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.found: dict[tuple[str, str], tuple[Demand | None, str]] = {}

    def refused(
        self, key: str, name: str, place: Path | None, usable: Usable | None = None
    ) -> Iterator[Diagnostic]:
        """The finding of a name that one of the lists lacks.

        Args:
            key: of the lists.
            name: it.
            place: where it stands; None if nowhere in the spec.
            usable: which names could stand there; all, by default.
        """
        if (key, name) not in self.found:
            self.found[key, name] = self._asked(key, name, usable)
        asked, help = self.found[key, name]
        if asked is not None:
            without = "" if place else "errors are exact: "
            yield RULE_NOT_ALLOWED.at(
                place or asked.place(self.program),
                f"{without}`{name}` is not among the {asked.named}",
                help=help,
            )

    def _asked(self, key: str, name: str, usable: Usable | None) -> tuple[Demand | None, str]:
        asked = next((d for d in demands(self.program, key) if name not in d.value), None)
        if asked is None:
            return None, ""
        if not asked.value:
            return asked, f"`{key}` allows nothing"
        names = asked.value if usable is None else usable(self.program, asked.value)
        return asked, f"use {_choice(names)}" if names else "remove it: none of these could stand here"


def _choice(names: tuple[str, ...]) -> str:
    """What may be used. `routes` is no rule that a spec could name."""
    rules = listed((name for name in names if name != WRITTEN_OUT), "or")
    return " or ".join(filter(None, (rules, "routes written out" if WRITTEN_OUT in names else "")))
