"""Errors of parts that lie side by side: one copy of each, in place of sums with zeros."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from fac.step.ir import Value
from fac_torch.statements import Statement


@dataclass(frozen=True, slots=True)
class Part:
    """What stands among zeros along an axis."""

    value: Value
    axis: int
    before: int

    @property
    def end(self) -> int:
        """Behind it."""
        size = self.value.type.shape[self.axis]
        assert isinstance(size, int)
        return self.before + size


def joined(lines: list[Statement], keep: set[Value]) -> list[Statement]:
    """The statements, with a sum of parts among zeros that fill the whole, each at its place, as one `concat`.

    Such is the error of what is read in parts, as queries, keys and values of one product are: reverse mode adds up
    what comes from each.
    """
    uses = Counter(value for line in lines for value in line.operands)
    uses.update(keep)
    parts: dict[Value, tuple[Part, ...]] = {}
    found: list[Statement] = []
    for line in lines:
        made = _padded(line) if line.kind == "pad" else ()
        if line.kind == "add" and all(
            value in parts and uses[value] == 1 and line.result is not None and value.type == line.result.type
            for value in line.operands
        ):
            one, two = (parts.pop(value) for value in line.operands)
            made = tuple(sorted((*one, *two), key=lambda part: part.before))
        if line.result is not None and made:
            parts[line.result] = made
            line = _whole(line, line.result, made)
        found.append(line)
    return found


def _padded(line: Statement) -> tuple[Part, ...]:
    """The one part of a `pad` along one axis."""
    before, after = line.attributes["before"], line.attributes["after"]
    assert isinstance(before, tuple)
    assert isinstance(after, tuple)
    axes = [axis for axis, ends in enumerate(zip(before, after, strict=True)) if any(ends)]
    if len(axes) != 1:
        return ()
    start = before[axes[0]]
    assert isinstance(start, int)
    return (Part(line.operands[0], axes[0], start),)


def _whole(line: Statement, result: Value, parts: tuple[Part, ...]) -> Statement:
    """The parts side by side, if they fill the axis and do not overlap."""
    axis = parts[0].axis
    starts = [part.before for part in parts]
    ends = [0, *(part.end for part in parts if part.axis == axis)]
    if line.kind != "add" or [*starts, result.type.shape[axis]] != ends:
        return line
    return replace(
        line, kind="concat", operands=tuple(part.value for part in parts), attributes={"axis": axis}
    )
