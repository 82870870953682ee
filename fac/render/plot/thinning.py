"""Long curves through fewer points, in which no peak is lost."""

from __future__ import annotations

from math import isnan

Point = tuple[float, float, float, float]
"""(step, mean, low, high); a NaN of a mean is a gap."""
MOST = 400
"""Points of a curve that are drawn: more lie closer than a line is wide."""


def thinned(points: tuple[Point, ...], most: int = MOST) -> tuple[Point, ...]:
    """The least and the greatest point of each of `most` / 2 equal parts, where they lie; ends and gaps stay."""
    if len(points) <= most:
        return points
    parts = most // 2
    kept = {0, len(points) - 1}
    for part in range(parts):
        here = range(part * len(points) // parts, (part + 1) * len(points) // parts)
        gaps = [i for i in here if isnan(points[i][1])]
        kept |= {*gaps[:1]}
        if len(gaps) < len(here):
            seen = [i for i in here if not isnan(points[i][1])]
            kept |= {min(seen, key=lambda i: points[i][1]), max(seen, key=lambda i: points[i][1])}
    return tuple(points[i] for i in sorted(kept))
