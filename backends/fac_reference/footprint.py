"""How much memory a process takes that trains by the interpreter, beyond what imports take."""

from __future__ import annotations

from math import prod

from fac.backend import Compiled
from fac.step.cost import SHOWING, peak_bytes, value_bytes

RUNTIME = 12 << 20
"""Of a compilation, most of it."""
KEPT = 1.2
"""What the allocator of C keeps of arrays that were given back, beside those that are alive: measured."""


def process_bytes(compiled: Compiled, n: int, float_bytes: int) -> int:
    """The state, a batch, and the most arrays that are alive at a time, or the next state twice: made, and copied.

    What a kernel of NumPy needs inside of its call is left out.

    Args:
        compiled: of which the step is interpreted.
        n: samples in a batch.
        float_bytes: of a FLOAT element.
    """
    step, sizes = compiled.step, {slot.name: prod(slot.shape) * float_bytes for slot in compiled.state}
    given = sum(value_bytes(value, n, float_bytes) for value in step.inputs)
    alive = peak_bytes(step, n, float_bytes, in_place=False, views=SHOWING) - given
    moved = [sizes[name] for name, _ in step.outputs if name in sizes]
    most = max(alive, sum(moved) + max(moved, default=0))
    return RUNTIME + given + int(KEPT * most)
