"""What a layer says of the places that it reads, held against the layer: others change nothing of what it makes.

Who says nothing, and leaves the first axis where it is, goes from each place along it to the same one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fac.backend import Array
from fac.program.counted import Sight
from fac.program.lower import axes_of
from fac.program.program import Shape
from fac.testing.alone import Alone
from fac.testing.case import require

FAR = 100.0
"""By how much numbers are moved that are said not to be read."""


def check_sights(alone: Alone) -> None:
    """Move each place of an input that is not read, and look at what changes.

    Raises:
        AssertionError: it is read.
    """
    name, sights, shapes = alone.kind.name, alone.facts.sights, alone.shapes
    require(
        len(sights) <= len(shapes),
        f"`{name}` says what it sees of {len(sights)} inputs, and reads {len(shapes)}",
    )
    for number, sight in enumerate(sights or (Sight(),) * _places(alone)):
        if sight is None or sight.whole:
            continue
        given = [alone.rng.standard_normal(shape) for shape in shapes]
        axes = len(shapes[-1]) if sight.masked and sight.at is None else 1
        for place in np.ndindex(shapes[number][:axes]):
            if sight.masked:
                given[-1] = _without(shapes[-1], place if sight.at is None else (sight.at,))
            elif place == (sight.at,):
                continue
            moved = [array.copy() for array in given]
            moved[number][place] += FAR
            reached = _touched(alone.made_of(given), alone.made_of(moved), axes)
            may = _may(sight, place)
            require(
                reached <= may,
                f"`{name}` says that it does not read {list(place)} of input {number}, and what stands there changes "
                f"what it makes at {sorted(reached - may)}",
            )


def _places(alone: Alone) -> bool:
    """Whether the first axis of what it reads first is that of what it makes, and holds no channels of a weight."""
    facts, (read, *_) = alone.facts, alone.shapes
    if min(len(read), len(facts.shape)) < 2 or read[0] != facts.shape[0] or alone.kind.classes is not None:
        return False
    own = facts.channels is not None and facts.channels % len(facts.shape) == 0
    return (axes_of(facts, alone.shapes) or (None,))[0] == 0 and not (own and facts.weight is not None)


def _without(shape: Shape, place: Sequence[int]) -> Array:
    """A mask of all places but one."""
    mask = np.ones(shape)
    mask[tuple(place)] = 0
    return mask


def _may(sight: Sight, place: tuple[int, ...]) -> set[tuple[int, ...]]:
    """The places of the output that an input may change where it is not read by others."""
    if sight.masked:
        return {place} if sight.besides else set()
    if sight.place is not None:
        return {(sight.place,)}
    return set() if sight.at is not None else {(place[0] + sight.shift,)}


def _touched(before: Array, after: Array, axes: int) -> set[tuple[int, ...]]:
    changed = before != after
    places = changed.any(axis=tuple(range(axes, changed.ndim)))
    return {tuple(int(i) for i in place) for place in np.argwhere(places)}
