"""What is left to be chosen of a session: how many steps onnxruntime makes in one call."""

from __future__ import annotations

from fac.backend import Compiled, Knob
from fac.step.cost import count

BLOCK = "block"
"""The name of it."""
SIZES = (1, 8, 32, 128)
USUAL = 32
"""Steps of a call, where calls cost more than a tenth of what they do."""
SMALL = 1 << 25
"""Multiply-adds of a step up to which they do: about half a millisecond of products."""
LARGE = 1 << 28
"""From here on a call is a hundredth of a step at most: nothing is left to be gained."""


def knobs(compiled: Compiled, device: str) -> tuple[Knob, ...]:
    """The one that short steps have on a CPU.

    Args:
        compiled: of which the step is.
        device: `cpu` or `cuda`, where each call binds a batch anew.
    """
    work = sum(tally.macs for tally in count(compiled.step, compiled.recipe.batch).values())
    if device != "cpu" or work >= LARGE or compiled.solution is not None:
        return ()
    sizes = {str(size): f"calls of onnxruntime with {size} step{'s' * (size > 1)}" for size in SIZES}
    return (Knob(BLOCK, sizes, str(USUAL if work < SMALL else 1), exact=True),)
