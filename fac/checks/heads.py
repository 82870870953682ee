"""FAC330: `loss` as the name of one error where there are several."""

from __future__ import annotations

from collections.abc import Iterator

from fac.checks.places import listed, short_hand
from fac.diagnostics import Diagnostic, Path, Rule
from fac.program.program import LOSS, Program

LOSS_OF_SEVERAL = Rule("FAC330", "loss-of-several")


def loss_of_several(program: Program) -> Iterator[Diagnostic]:
    """A route or a subspace reads the error of `loss`, and losses read several layers.

    Each layer that losses read is a head, with an error of its own: `from: aux` brings the one that they make at `aux`.
    Which head a route means cannot be guessed, and the sum of errors of unlike widths there is not. A layer
    that leads to several heads gets a route from each; their errors add, as in backpropagation. Short-hands such as
    `dfa` write them so.

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
    places: list[tuple[str, Path]] = [
        (f"the route to `{route.node}`", (*route.origin, "from"))
        for route in program.routes
        if not route.through and route.source == LOSS and short_hand(program, route) is None
    ]
    places += [
        (f"the subspace `{subspace.name}`", (*subspace.origin, "of"))
        for subspace in program.subspaces
        if subspace.of == LOSS
    ]
    for what, path in places:
        yield LOSS_OF_SEVERAL.at(
            path,
            f"{what} reads the error of `loss`, and there are losses of {listed(program.heads)}",
            help=f"name one of them with `{path[-1]}:`; a route from each brings all",
        )
