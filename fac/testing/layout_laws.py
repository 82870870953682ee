"""What a layer says of the axes of its output, held against the layer."""

from __future__ import annotations

import numpy as np

from fac.backend import Array
from fac.testing.alone import Alone
from fac.testing.case import require


def check_layout(alone: Alone) -> None:
    """The weight makes its channels along the axis that is said, and an axis is the one of the input that is said.

    Raises:
        AssertionError: it does not, or is not.
    """
    name, facts, before = alone.kind.name, alone.facts, alone.output(alone.x)
    kept = alone.state.get(alone.weight)
    # Kept in another shape, it may be turned as well.
    if (
        facts.weight is not None
        and facts.channels is not None
        and kept is not None
        and kept.shape == facts.weight.shape
    ):
        own = facts.weight.reads_axis
        alone.state[alone.weight] = _moved(kept, own)
        made = _touched(before, alone.output(alone.x), facts.channels % len(facts.shape))
        alone.state[alone.weight] = kept
        expected = range(0, facts.shape[facts.channels], facts.weight.shape[own])
        require(
            made <= set(expected),
            f"`{name}` says that its weight makes the channels along axis {facts.channels} of its output, and it does "
            "not",
        )
    for axis, source in enumerate(facts.axes or ()):
        if source is not None and facts.shape[axis] == alone.shapes[0][source]:
            x = _moved(alone.x, source + 1)
            require(
                _touched(before, alone.output(x), axis) <= {0},
                f"`{name}` says that axis {axis} of its output is axis {source} of its input, and it is not",
            )


def _moved(array: Array, axis: int) -> Array:
    """Other numbers at the first place along an axis."""
    found = array.copy()
    np.moveaxis(found, axis, 0)[0] += 1
    return found


def _touched(before: Array, after: Array, axis: int) -> set[int]:
    """At which places along an axis of a sample something has changed."""
    changed = np.moveaxis(before != after, axis + 1, 0)
    return {int(place) for place in np.flatnonzero(changed.reshape(len(changed), -1).any(axis=1))}
