"""Errors of parts that lie side by side: one copy of each, in place of sums with zeros."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace

from fac.step.ir import Value
from fac_torch.statements import Statement


def joined(lines: list[Statement], keep: set[Value]) -> list[Statement]:
    """The statements, with a sum of parts among zeros that fill the whole, each at its place, as one `concat`.

    Such is the error of what is read in parts, as queries, keys and values of one product are: reverse mode adds up
    what comes from each.
    """
    made = {line.result: line for line in lines if line.result is not None}
    uses = Counter(value for line in lines for value in line.operands)
    uses.update(keep)
    return [_whole(line, made, uses) for line in lines]


def _whole(line: Statement, made: Mapping[Value, Statement], uses: Counter[Value]) -> Statement:
    if line.kind != "add" or line.result is None:
        return line
    parts = list(_parts(line, made, uses))
    axes = {axis for part in parts for axis in _axes(part)}
    if len(axes) != 1 or any(part.kind != "pad" for part in parts):
        return line
    (axis,) = axes
    parts.sort(key=lambda part: _ends(part, "before")[axis])
    end = 0
    for part in parts:
        size = part.operands[0].type.shape[axis]
        if _ends(part, "before")[axis] != end or not isinstance(size, int):
            return line
        end += size
    if end != line.result.type.shape[axis]:
        return line
    return replace(
        line, kind="concat", operands=tuple(part.operands[0] for part in parts), attributes={"axis": axis}
    )


def _parts(line: Statement, made: Mapping[Value, Statement], uses: Counter[Value]) -> Iterator[Statement]:
    """What a sum is made of, through sums that nobody else reads."""
    stack = [*reversed(line.operands)]  # as long as a sequence, and no limit
    while stack:
        value = stack.pop()
        part = made.get(value)
        if part is not None and part.kind == "add" and uses[value] == 1:
            stack += reversed(part.operands)
        else:
            yield part or replace(line, kind="given")


def _axes(part: Statement) -> set[int]:
    """Along which a part stands among zeros."""
    if part.kind != "pad":
        return set()
    return {
        axis
        for axis, ends in enumerate(zip(_ends(part, "before"), _ends(part, "after"), strict=True))
        if any(ends)
    }


def _ends(part: Statement, name: str) -> tuple[int, ...]:
    ends = part.attributes[name]
    assert isinstance(ends, tuple)
    return tuple(end for end in ends if isinstance(end, int))
