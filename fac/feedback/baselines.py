"""Short-hands that no error crosses a feedback matrix under: what every rule with fixed feedback must beat."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from fac.feedback.rules import below_weights, unused_direct
from fac.program.depth import depths
from fac.program.kinds import Expansion, RuleKind, Unused
from fac.program.program import Program
from fac.spec.feedback import ShortHand


class Shallow(ShortHand):
    """Only the layers next to the loss learn: the baseline that every fixed-feedback rule must beat."""

    rule: Literal["shallow"] = "shallow"


class Frozen(ShortHand):
    """Only the first and the last layers learn, by exact errors through hidden layers at their initial values.

    A rule that ends no better than this has made nothing of its hidden layers, whatever its cosines say.
    """

    rule: Literal["frozen"] = "frozen"


def expand_shallow(rule: Shallow, program: Program) -> Expansion:
    """No routes; whatever is not next to the loss is frozen."""
    return Expansion(frozen=tuple(node.name for node in below_weights(rule, program)))


def expand_frozen(rule: Frozen, program: Program) -> Expansion:
    """No routes; whatever has a weight above it and two below its output, its own among them, is frozen.

    So what stands with a first layer, such as the norm behind it or the positions added to it, learns with it.
    """
    depth = depths(program)
    hidden = below_weights(rule, program)
    return Expansion(frozen=tuple(node.name for node in hidden if depth[node.name] > 1))


def unused_frozen(rule: Frozen, program: Program) -> Iterator[Unused]:
    """`nodes` that name only first and last layers."""
    yield from unused_direct(rule, program)
    if any(below_weights(rule, program)) and not expand_frozen(rule, program).frozen:
        yield Unused("nodes", "where these are first or last layers, which learn", "name hidden layers")


SHALLOW = RuleKind("shallow", Shallow, expand_shallow, unused=unused_direct, changes=True, direct=True)
FROZEN = RuleKind("frozen", Frozen, expand_frozen, unused=unused_frozen, changes=True, direct=True)
