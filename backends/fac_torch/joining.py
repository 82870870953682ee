"""Errors of parts that lie side by side: one copy of each, in place of sums with zeros."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from fac.step.ir import Value
from fac.step.ops.maps import whole
from fac.step.transform import Keeps, Pass
from fac_torch.draft import everywhere
from fac_torch.statements import Statement


@dataclass(frozen=True, slots=True)
class Partial:
    """What is made of parts among zeros along an axis."""

    line: Statement
    axis: int
    filled: int
    """How many numbers along the axis its parts have together."""


def joined(lines: list[Statement], _: set[Value]) -> list[Statement]:
    """The statements, with a sum of parts among zeros that fill the whole, each at its place, as one `concat`.

    Such is the error of what is read in parts, as queries, keys and values of one product are: reverse mode adds up
    what comes from each. A part may be one of several wholes.
    """
    partial: dict[Value, Partial] = {}
    found: list[Statement] = []
    for line in lines:
        made = _padded(line) if line.kind == "pad" else _summed(line, partial)
        if made is not None and line.result is not None:
            partial[line.result] = made
            line = _whole(made, line.result, partial)
        found.append(line)
    return found


def _padded(line: Statement) -> Partial | None:
    """A `pad` along one axis."""
    ends = zip(whole(line.attributes, "before"), whole(line.attributes, "after"), strict=True)
    axes = [axis for axis, (before, after) in enumerate(ends) if before or after]
    if len(axes) != 1:
        return None
    size = line.operands[0].type.shape[axes[0]]
    assert isinstance(size, int)
    return Partial(line, axes[0], size)


def _summed(line: Statement, partial: Mapping[Value, Partial]) -> Partial | None:
    """The sum of two of them of the same shape and along the same axis."""
    if line.kind != "add" or line.result is None:
        return None
    one, two = (partial.get(value) for value in line.operands)
    if one is None or two is None or one.axis != two.axis:
        return None
    if any(value.type != line.result.type for value in line.operands):
        return None
    return Partial(line, one.axis, one.filled + two.filled)


def _whole(made: Partial, result: Value, partial: Mapping[Value, Partial]) -> Statement:
    """The parts side by side, if they fill the axis and do not overlap."""
    if made.line.kind == "pad" or made.filled != result.type.shape[made.axis]:
        return made.line
    parts: list[tuple[int, int, Value]] = []
    waiting = [result]
    while waiting:
        line = (made if waiting[-1] is result else partial[waiting[-1]]).line
        waiting.pop()
        if line.kind == "add":
            waiting += line.operands
        else:
            (value,), start = line.operands, whole(line.attributes, "before")[made.axis]
            size = value.type.shape[made.axis]
            assert isinstance(size, int)
            parts.append((start, start + size, value))
    parts.sort(key=lambda part: part[0])
    if [start for start, _, _ in parts] != [0, *(end for _, end, _ in parts[:-1])]:
        return made.line
    operands = tuple(value for _, _, value in parts)
    return replace(made.line, kind="concat", operands=operands, attributes={"axis": made.axis})


JOIN_PARTS = Pass(
    "join_parts",
    everywhere(joined),
    Keeps.BITS,
    "errors of what is read in parts are copied side by side, in place of sums with zeros",
)
