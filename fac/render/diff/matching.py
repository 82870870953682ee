"""Which items of one sequence are which of another: the shortest edit script of Myers (1986), within a bound."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Hashable, Sequence

MOST_EDITS = 200
"""Beyond that the sequences have little in common, and finding out what would take quadratic time."""

Pairs = list[tuple[int, int]]
"""Places in the first sequence and in the second; both grow."""


def matching(old: Sequence[Hashable], new: Sequence[Hashable]) -> Pairs:
    """The pairs of equal items that the shortest edit script keeps; only common ends beyond MOST_EDITS edits."""
    shorter = min(len(old), len(new))
    head = next((i for i in range(shorter) if old[i] != new[i]), shorter)
    rest = shorter - head
    tail = next((i for i in range(rest) if old[-1 - i] != new[-1 - i]), rest)
    middle = _middle(old[head : len(old) - tail], new[head : len(new) - tail])
    found = [(i, i) for i in range(head)]
    found += [(head + i, head + j) for i, j in middle]
    return found + [(len(old) - i, len(new) - i) for i in range(tail, 0, -1)]


def _middle(old: Sequence[Hashable], new: Sequence[Hashable]) -> Pairs:
    """Myers' greedy algorithm. `furthest[k]` is how far a path on the diagonal i - j = k has come in `old`."""
    n, m = len(old), len(new)
    if not n or not m:
        return []
    furthest = {1: 0}
    history: list[dict[int, int]] = []
    for edits in range(min(n + m, MOST_EDITS) + 1):
        history.append(dict(furthest))
        for k in range(-edits, edits + 1, 2):
            i = furthest[k + 1] if _down(furthest, k, edits) else furthest[k - 1] + 1
            while i < n and i - k < m and old[i] == new[i - k]:
                i += 1
            furthest[k] = i
            if i >= n and i - k >= m:
                return _backwards(history, n, m)
    return []


def _down(furthest: dict[int, int], k: int, edits: int) -> bool:
    """Whether the best path to diagonal k adds an item of the new sequence rather than drops an old one."""
    return k == -edits or (k != edits and furthest[k - 1] < furthest[k + 1])


def _backwards(history: list[dict[int, int]], i: int, j: int) -> Pairs:
    """The diagonal moves of the path that ends at (i, j), from its end to its start."""
    pairs: Pairs = []
    for edits in range(len(history) - 1, -1, -1):
        furthest, k = history[edits], i - j
        before = k + 1 if _down(furthest, k, edits) else k - 1
        start = furthest[before]
        while i > start and j > start - before:
            i, j = i - 1, j - 1
            pairs.append((i, j))
        i, j = start, start - before
    return pairs[::-1]


def rising(values: Sequence[int]) -> list[int]:
    """The places of a longest rising subsequence, in n log n."""
    ends: list[int] = []
    tops: list[int] = []
    before: list[int] = []
    for place, value in enumerate(values):
        length = bisect_left(tops, value)
        before.append(ends[length - 1] if length else -1)
        tops[length : length + 1] = [value]
        ends[length : length + 1] = [place]
    found: list[int] = []
    place = ends[-1] if ends else -1
    while place >= 0:
        found.append(place)
        place = before[place]
    return found[::-1]
