"""Rows that a kernel wants in one piece of memory: each statement writes its own where all of them lie."""

from __future__ import annotations

from dataclasses import dataclass, replace

from fac.step.ir import Value
from fac_torch.statements import Statement, is_buffered
from fac_torch.templates import TEMPLATES, Memory


@dataclass(frozen=True, slots=True)
class Inside:
    """Where a value lies in another."""

    whole: Value
    before: int
    """How many pieces like it lie before it."""


def placeable(lines: list[Statement]) -> list[Statement]:
    """The statements, with a copy of what is to be `stacked` and cannot be written there at once.

    That is what torch allocates, what lies in another piece already, and what comes from outside.
    """
    told = {line.result for line in lines if _is_told(line)}
    found: list[Statement] = []
    for line in lines:
        if TEMPLATES[line.kind].memory is Memory.ROWS:
            parts: list[Value] = []
            for value in line.operands:
                part = value
                if value not in told:
                    part = Value(f"{value.name}.rows", value.type)
                    found.append(Statement("copied", (value,), {}, part, line.origin))
                told.discard(value)
                parts.append(part)
            line = replace(line, operands=tuple(parts))
        found.append(line)
    return found


def _is_told(line: Statement) -> bool:
    told = TEMPLATES[line.kind].memory.is_told and not line.updates
    return told and line.result is not None and is_buffered(line.result)


def inside(lines: list[Statement]) -> dict[Value, Inside]:
    """By value where it lies, for all that are `stacked`."""
    return {
        value: Inside(line.result, before)
        for line in lines
        if line.result is not None and TEMPLATES[line.kind].memory is Memory.ROWS
        for before, value in enumerate(line.operands)
    }
