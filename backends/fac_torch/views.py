"""Which values share memory: what reads a view reads the tensor behind it."""

from __future__ import annotations

from collections.abc import Iterable

from fac.step.ir import Value
from fac_torch.statements import Statement

VIEWS = frozenset({"reshape", "broadcast_to"})
"""Statements whose result may share the memory of their operand: all of it, in its order. No view is a part of a
tensor, so that one with as many numbers has each at the same place."""


def roots(lines: Iterable[Statement]) -> dict[Value, Value]:
    """For each view the value whose memory it shares, which is no view itself."""
    found: dict[Value, Value] = {}
    for line in lines:
        if line.kind in VIEWS and line.result is not None:
            operand = line.operands[0]
            found[line.result] = found.get(operand, operand)
    return found
