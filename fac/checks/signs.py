"""FAC338: feedback of the sign that is opposite to what it stands for."""

from __future__ import annotations

from collections.abc import Iterator

from fac.checks.places import by_origin, listed, matrix_of, stated
from fac.diagnostics import Diagnostic, Rule, Severity
from fac.program.lower import kind_of
from fac.program.program import Program, Route
from fac.program.reading import learned, made_from_weight, ways

FEEDBACK_TURNED_ROUND = Rule("FAC338", "feedback-turned-round", Severity.WARNING)


def feedback_turned_round(program: Program) -> Iterator[Diagnostic]:
    """A negative `scale` turns feedback round that is made of the weight, or comes to the error that is right.

    A matrix that is drawn and stays has no sign that could be wrong: the layers below come to agree with it. One that
    learns comes to the transposed weight, or to where the loss falls, whatever `scale` says, which is a factor behind:
    no way to learn knows of it. The better such a matrix gets, the more do the layers below climb what the loss should
    descend. The same holds of the weight's own signs, and of its singular vectors.

    Bad:

        feedback: {rule: dfa, learn: {rule: forward_gradient}, scale: -1.0}

    Good:

        feedback: {rule: dfa, learn: {rule: forward_gradient}}

    See arXiv 1904.05391.
    """
    for routes in by_origin(r for r in program.routes if r.matrix.scale < 0).values():
        turned = {stated(program, route.node, route): how for route in routes if (how := _right(route))}
        if turned:
            yield FEEDBACK_TURNED_ROUND.at(
                matrix_of(program, routes[0], "scale"),
                f"the feedback of {listed(turned)} {next(iter(turned.values()))}, and a `scale` of "
                f"{routes[0].matrix.scale:g} sends the opposite",
                help="use a `scale` above 0",
            )


def _right(route: Route) -> str:
    """How the matrix of a route gets a sign of which the opposite is wrong; empty if it is as good as the opposite."""
    rules = kind_of("fac.feedback", route.matrix).learning(route.matrix)
    # P reads an error, whichever sign its rows have: what is sent has that of Q.
    taught = [rule for part, rule in rules.items() if part in learned(route) and part != "P"]
    if taught:
        return f"learns by `{ways(taught[0]).name}`"
    return "is made of the weight" if made_from_weight(route) else ""
