"""Two lines beside each other in place of one, without anything between them: the ground may be of any colour."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from fac.render.graph.picture import Point

Line = tuple[Point, ...]


def doubled(lines: Sequence[Line], far: float) -> list[Line]:
    """For all lines, which run level and upright, one `far` to each side; lines that meet are one."""
    return [_beside(line, side) for line in _joined(lines) for side in (far, -far)]


def _joined(lines: Sequence[Line]) -> list[Line]:
    """Lines that meet with their ends as one line."""
    left = list(lines)
    found: list[Line] = []
    while left:
        line = left.pop(0)
        while True:
            for other in left:
                ways = ((a, b) for a in (line, line[::-1]) for b in (other, other[::-1]))
                met = next(((a, b) for a, b in ways if a[-1] == b[0]), None)
                if met is not None:
                    break
            else:
                break
            left.remove(other)
            line = met[0] + met[1][1:]
        found.append(line)
    return found


def _beside(line: Line, far: float) -> Line:
    """The line shifted to its side; at a corner to both sides, so that the corner stays square."""
    points = [line[0], *(b for a, b in pairwise(line) if a != b)]
    sides = [_side(a, b) for a, b in pairwise(points)]
    turns = [sides[:1], *([a] if a == b else [a, b] for a, b in pairwise(sides)), sides[-1:]]
    return tuple(
        (x + far * sum(dx for dx, _ in turn), y + far * sum(dy for _, dy in turn))
        for (x, y), turn in zip(points, turns, strict=True)
    )


def _side(start: Point, end: Point) -> Point:
    """The unit vector at a right angle to a line."""
    (x, y), (u, v) = start, end
    return float((v > y) - (v < y)), float((x > u) - (x < u))
