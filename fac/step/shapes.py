"""When an array of samples may be read in another shape."""

from __future__ import annotations

from math import prod


def fits(stored: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    """Whether samples of one shape can be given another without moving a value to other coordinates.

    They can if one of the two is flat, so that it says nothing of coordinates, or if they differ in axes of length 1
    alone, as grey images of (28, 28) and (1, 28, 28) do. Channels last do not become channels first that way.
    """
    if len(stored) <= 1 or len(wanted) <= 1:
        return prod(stored) == prod(wanted)
    return [d for d in stored if d != 1] == [d for d in wanted if d != 1]
