"""A function on its way from ops to code: what the passes of this backend change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from fac.step.ir import Function, Value
from fac_torch.statements import Statement, drop_dead


@dataclass(frozen=True, slots=True)
class Draft:
    """Statements, each behind those that make its operands, and what they are for."""

    function: Function
    """What they compute."""
    lines: list[Statement]
    keep: set[Value]
    """What has to be made although no statement reads it."""
    moves: bool
    """Whether it is a step: it moves state in place, and its tensors have places in a workspace."""
    maps: frozenset[Value] = frozenset()
    """What lies with its channels last."""
    narrow: frozenset[Value] = frozenset()
    """What lies in a narrower type, where the machine has products of it."""

    def rewritten(self, lines: list[Statement]) -> Draft:
        """The same in other statements, without those whose results nobody reads any more."""
        return self if lines == self.lines else replace(self, lines=drop_dead(lines, self.keep))


Rewriting = Callable[[list[Statement], set[Value]], list[Statement]]
"""From statements, and what of their results has to be made, to statements that compute the same."""


def everywhere(rewriting: Rewriting) -> Callable[[Draft], Draft]:
    """In all functions."""
    return lambda draft: draft.rewritten(rewriting(draft.lines, draft.keep))


def in_steps(rewriting: Rewriting) -> Callable[[Draft], Draft]:
    """In steps alone, which are what takes time."""
    rewritten = everywhere(rewriting)
    return lambda draft: rewritten(draft) if draft.moves else draft
