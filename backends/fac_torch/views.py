"""Which values share memory: what reads a view reads the tensor behind it."""

from __future__ import annotations

from collections.abc import Iterable

from fac.step.ir import Value
from fac_torch.statements import Statement
from fac_torch.templates import TEMPLATES


def is_view(line: Statement) -> bool:
    """Whether the result may share the memory of the first operand."""
    return TEMPLATES[line.kind].memory.is_shared


def roots(lines: Iterable[Statement]) -> dict[Value, Value]:
    """For each view, of a whole or of a part, the value whose memory it shares, which is no view itself."""
    found: dict[Value, Value] = {}
    for line in lines:
        if is_view(line) and line.result is not None:
            operand = line.operands[0]
            found[line.result] = found.get(operand, operand)
    return found
