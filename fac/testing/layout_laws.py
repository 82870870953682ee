"""What a layer says of the axes of its output, held against the layer."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from fac.backend import Array
from fac.program.lower import axes_of
from fac.testing.alone import Alone
from fac.testing.case import require

FAR = 100.0
"""By how much numbers are moved: any of them becomes the largest of all."""


def check_layout(alone: Alone) -> None:
    """Channels lie along the axis that is said, and an axis is the one of the input that is said.

    That of the channels is known by the weight, by vectors of numbers such as gains and averages, and of a layer on
    maps by its windows. Of others, such as an attention, it is believed.

    Raises:
        AssertionError: they do not, or is not.
    """
    name, facts = alone.kind.name, alone.facts
    for axis, source in enumerate(axes_of(facts, alone.shapes) or ()):
        if source is not None:
            require(
                _independent(alone, axis, source),
                f"`{name}` says that axis {axis} of its output is axis {source} of its input, and it is not",
            )
    if len(facts.shape) < 2:
        return
    said = None if facts.channels is None else facts.channels % len(facts.shape)
    require(
        facts.weight is None or said is not None,
        f"`{name}` does not say along which axis its weight makes channels",
    )
    _weight(alone, said)
    along = _along_vectors(alone)
    require(
        not along or said is None or said in along,
        f"`{name}` says that channels lie along axis {facts.channels} of its output, and it has numbers for each place "
        f"along axis {min(along, default=0)}",
    )
    left = _left_by_windows(alone)
    require(
        left in (None, said),
        f"`{name}` moves windows along all axes but axis {left}, and does not say that channels lie along that one",
    )


def _independent(alone: Alone, axis: int, source: int) -> bool:
    """Whether where along an axis of the output something changes depends on one axis of the input alone.

    What stands at some place of another one reaches all that it reaches, or nothing, as by `select`.
    """
    for other, size in enumerate(alone.shapes[0]):
        if other != source:
            reached = [_reached(alone, other, place, axis) for place in {0, size // 2, size - 1}]
            if len({frozenset(places) for places in reached if places}) > 1:
                return False
    return True


def _weight(alone: Alone, said: int | None) -> None:
    """The weight makes its channels along the axis that is said."""
    facts, kept = alone.facts, alone.state.get(alone.weight)
    # Kept in another shape, it may be turned as well.
    if facts.weight is None or said is None or kept is None or kept.shape != facts.weight.shape:
        return
    own = facts.weight.reads_axis
    before = alone.output(alone.x)
    alone.state[alone.weight] = _moved(kept, own, 0)
    made = _touched(before, alone.output(alone.x), said)
    alone.state[alone.weight] = kept
    require(
        made <= set(range(0, facts.shape[said], facts.weight.shape[own])),
        f"`{alone.kind.name}` says that its weight makes the channels along axis {facts.channels} of its output, and "
        "it does not",
    )


def _along_vectors(alone: Alone) -> set[int]:
    """The axes of the output along which some tensor has one number for each place: a gain, a bias, an average."""
    still, found = Alone(alone.kind, alone.layer, alone.shapes, training=False), set[int]()
    before = still.output(still.x)
    for tensor in still.facts.tensors:
        if len(tensor.shape) != 1 or tensor.shape[0] < 2:
            continue
        kept, last = still.state[tensor.name], tensor.shape[0] - 1
        after: dict[int, Array] = {}
        for place in (0, last):
            still.state[tensor.name] = _moved(kept, 0, place)
            after[place] = still.output(still.x)
        still.state[tensor.name] = kept
        for axis, size in enumerate(still.facts.shape):
            own = all(_touched(before, made, axis) == {place} for place, made in after.items())
            found |= {axis} if own and size == last + 1 else set()
    return found


def _left_by_windows(alone: Alone) -> int | None:
    """The one axis of a map along which a layer acts at each place alone, if it moves windows along all others.

    As a pool does. None of a layer with a weight, which tells its channels by that.
    """
    facts, read = alone.facts, alone.shapes
    rank = len(facts.shape)
    if facts.weight is not None or len(read) > 1 or rank < 3 or axes_of(facts, read) != tuple(range(rank)):
        return None
    left = []
    for axis, size in enumerate(read[0]):
        reached = [_reached(alone, axis, place, axis) for place in range(size)]
        if size == facts.shape[axis] and all(to <= {place} for place, to in enumerate(reached)):
            left.append(axis)
        elif not _windowed(reached):
            return None
    return left[0] if len(left) == 1 else None


def _windowed(reached: Sequence[set[int]]) -> bool:
    """Whether places reach some of those that are made, and share them: all, as by a norm, or each its own are none."""
    some = [places for places in reached if places]
    differ = len({frozenset(places) for places in some}) > 1
    shared = any(a & b for a, b in combinations(some, 2)) or any(len(places) > 1 for places in some)
    return differ and shared


def _reached(alone: Alone, source: int, place: int, axis: int) -> set[int]:
    """Where along an axis of the output something changes, if all changes at a place along an axis of the input."""
    x = _moved(alone.x, source + 1, place)
    if alone.kind.classes is not None:
        x = np.where(x == alone.x, x, (alone.x + 1) % getattr(alone.layer, alone.kind.classes))
    return _touched(alone.output(alone.x), alone.output(x), axis)


def _moved(array: Array, axis: int, place: int) -> Array:
    """Other numbers at one place along an axis."""
    found = array.copy()
    np.moveaxis(found, axis, 0)[place] += np.asarray(FAR, found.dtype)
    return found


def _touched(before: Array, after: Array, axis: int) -> set[int]:
    """At which places along an axis of a sample something has changed."""
    changed = np.moveaxis(before != after, axis + 1, 0)
    return {int(place) for place in np.flatnonzero(changed.reshape(len(changed), -1).any(axis=1))}
