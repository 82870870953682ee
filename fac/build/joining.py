"""What is said of one feedback matrix at several places: at each of the layers that share it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from fac.program.kinds import Learned
from fac.step.builder import Builder
from fac.step.ir import Value


@dataclass(frozen=True, slots=True)
class Said:
    """What a rule makes of the error at one place, [places, reads]."""

    error: Value
    learned: Learned


def joined(b: Builder, matrix: Value, said: Sequence[Said]) -> Learned:
    """What all of it comes to.

    Gradients add up, as those of the weight do. Of next values the mean counts, each weighted with the square of the
    norm of its error: for rules that divide by that square, as Oja's does, it is what the rule makes of all rows
    together.
    """
    first = said[0].learned
    if len(said) == 1:
        return first
    if first.gradient:
        total = first.value
        for one in said[1:]:
            total = b.add(total, one.learned.value)
        return replace(first, value=total)
    whole = b.norm(*(one.error for one in said), nonzero=True)
    value = matrix
    for one in said:
        share = b.div(b.norm(one.error), whole)
        step = b.sub(one.learned.value, matrix)
        value = b.add(value, b.mul(step, b.mul(share, share)))
    return replace(first, value=value)
