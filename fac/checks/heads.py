"""FAC330, FAC331: `loss` and `targets` as error sources: which of several is meant, and what they say of the error."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fac.checks.places import listed, short_hand
from fac.diagnostics import Diagnostic, Path, Rule
from fac.program.lower import kind_of
from fac.program.program import LOSS, TARGETS, Objective, Program

LOSS_OF_SEVERAL = Rule("FAC330", "loss-of-several")
TARGETS_WITHOUT_SIGN = Rule("FAC331", "targets-without-sign")


def loss_of_several(program: Program) -> Iterator[Diagnostic]:
    """A route or a subspace reads the error of `loss`, and losses read several layers.

    Each layer that losses read is a head, with an error of its own: `from: aux` brings the one that they make at `aux`.
    Which head a route means cannot be guessed, and the sum of errors of unlike widths there is not. A layer
    that leads to several heads gets a route from each; their errors add, as in backpropagation. Short-hands such as
    `dfa` write them so. Likewise `targets` are those of one head, and of several `targets.aux`.

    Bad:

        layers:
          - {kind: linear, name: fc1, out: 32}
          - {kind: relu, name: act}
          - {kind: linear, name: aux, out: 10}
          - {kind: linear, name: logits, from: act, out: 10}
        losses:
          - {kind: cross_entropy, of: logits}
          - {kind: cross_entropy, of: aux, scale: 0.3}
        feedback:
          routes:
            - {to: fc1, matrix: {kind: random}}

    Good:

        layers:
          - {kind: linear, name: fc1, out: 32}
          - {kind: relu, name: act}
          - {kind: linear, name: aux, out: 10}
          - {kind: linear, name: logits, from: act, out: 10}
        losses:
          - {kind: cross_entropy, of: logits}
          - {kind: cross_entropy, of: aux, scale: 0.3}
        feedback:
          routes:
            - {to: fc1, from: logits, matrix: {kind: random}}
            - {to: fc1, from: aux, matrix: {kind: random}}
    """
    if len(program.heads) < 2:
        return
    places: list[tuple[str, str, Path]] = [
        (f"the route to `{route.node}`", route.source, (*route.origin, "from"))
        for route in program.routes
        if not route.through and route.source in (LOSS, TARGETS) and short_hand(program, route) is None
    ]
    places += [
        (f"the subspace `{subspace.name}`", subspace.of, (*subspace.origin, "of"))
        for subspace in program.subspaces
        if subspace.of in (LOSS, TARGETS)
    ]
    for what, source, path in places:
        read, example = "the error of `loss`", ""
        if source == TARGETS:
            read, example = "`targets`", f", as in `targets.{program.heads[0]}`"
        yield LOSS_OF_SEVERAL.at(
            path,
            f"{what} reads {read}, and there are losses of {listed(program.heads)}",
            help=f"name one of them with `{path[-1]}:`{example}; a route from each brings all",
        )


def targets_without_sign(program: Program) -> Iterator[Diagnostic]:
    """Targets are to be projected in place of the error, and do not tell its sign.

    The error of `cross_entropy` is at most 0 at the label and at least 0 elsewhere, whatever the network says, so that
    the label alone tells where outputs have to go; so does a yes or a no of `bce`. A real number as target says so
    only beside an output that is larger or smaller. A loss says by its kind what stands for its error.

    Bad:

        loss: {kind: mse}
        feedback: {rule: drtp}

    Good:

        loss: {kind: cross_entropy}
        feedback: {rule: drtp}

    See arXiv 1909.01311.
    """
    silent: dict[str, Objective] = {}
    for objective in program.losses:
        if kind_of("fac.losses", objective.loss).surrogate is None:
            silent.setdefault(objective.of, objective)
    for path, (reader, loss) in _misled(program, silent).items():
        yield TARGETS_WITHOUT_SIGN.at(
            path,
            f"{reader} reads targets in place of the error, and those of `{loss}` do not tell its sign",
            help="read the error, as `dfa` does, or use `cross_entropy` or `bce`",
        )


def _misled(program: Program, silent: Mapping[str, Objective]) -> Mapping[Path, tuple[str, str]]:
    """Where the spec asks for such targets: who reads them, and the kind of their loss."""
    found: dict[Path, tuple[str, str]] = {}

    def told(path: Path, reader: str, source: str) -> None:
        if program.of_targets(source) and (objective := silent.get(program.root(source) or "")):
            found.setdefault(path, (reader, kind_of("fac.losses", objective.loss).name))

    for route in program.routes if silent else ():
        if not route.through and route.source not in program.subspace:
            hand = short_hand(program, route)
            field = "from" if hand is None else "rule"
            who = f"the route to `{route.node}`" if hand is None else f"`{kind_of('fac.rules', hand).name}`"
            told((*route.origin, field), who, route.source)
    for subspace in program.subspaces:
        told((*subspace.origin, "of"), f"the subspace `{subspace.name}`", subspace.of)
    return found
