"""Which level lines can share a height."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Sequence


def tracks(extents: Sequence[tuple[int, int]]) -> list[int]:
    """A number for each line from one column to another, so that no two with one number share a column.

    The short ones come first, which is nearest to the boxes: a line then crosses few others on its way.
    """
    numbers = [0] * len(extents)
    taken: list[list[tuple[int, int]]] = []
    for i in sorted(range(len(extents)), key=lambda i: (extents[i][1] - extents[i][0], extents[i])):
        numbers[i] = next((n for n, lines in enumerate(taken) if _fits(lines, extents[i])), len(taken))
        if numbers[i] == len(taken):
            taken.append([])
        insort(taken[numbers[i]], extents[i])
    return numbers


def _fits(lines: list[tuple[int, int]], line: tuple[int, int]) -> bool:
    """Whether a line overlaps none of those that are sorted and do not overlap."""
    at = bisect_right(lines, line)
    before = at == 0 or lines[at - 1][1] < line[0]
    return before and (at == len(lines) or line[1] < lines[at][0])
