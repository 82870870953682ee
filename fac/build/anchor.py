"""Anchors: steps with another routing, at every so many steps, on the same network and the same state."""

from __future__ import annotations

from dataclasses import replace

from fac.program.lower import lower
from fac.program.program import Program


def anchored(program: Program) -> Program | None:
    """The program of the steps that `train.anchor` puts in the place of others; None if it asks for none.

    It differs from the program in nothing but its routes and what its rule freezes.
    """
    train = program.spec.train
    if train.anchor is None:
        return None
    other = program.spec.model_copy(
        update={"feedback": train.anchor, "train": train.model_copy(update={"anchor": None})}
    )
    return replace(lower(other), policy=program.policy)
