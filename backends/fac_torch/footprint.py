"""How much memory a process takes that trains by an emitted step, beyond what imports take."""

from __future__ import annotations

from math import prod

import torch

from fac.backend import Compiled
from fac.step.cost import value_bytes
from fac_torch import kernels
from fac_torch.emit import Emitter
from fac_torch.views import roots

RUNTIME = 26 << 20
"""Of a compilation (11 MiB), and of what torch and its libraries take when they are first called: measured."""


def peak_bytes(compiled: Compiled, n: int, float_bytes: int) -> int:
    """State, its largest array twice, a batch, the workspace, a tile, and the most that torch allocates at a time.

    An array is drawn beside the state, and the allocator keeps its memory. What a convolution or an attention of torch
    needs inside of its call is not known from here, and is left out.

    Args:
        compiled: of which the step is emitted.
        n: samples in a batch.
        float_bytes: of a FLOAT element.
    """
    step = Emitter(compiled.step, buffered=True, disabled=compiled.disabled)
    sizes = {slot.name: prod(slot.shape) for slot in compiled.state}
    state = sum(sizes.values()) + max(sizes.values(), default=0)
    slots = sum(numbers * (n if batched else 1) for numbers, batched in step.layout.slots)
    tiled = {line.updates[0].name for line in step.lines if line.kind.endswith("_outer")}
    kind = torch.float64 if float_bytes == 8 else torch.float32
    shown = {
        s.name: torch.empty(s.shape, dtype=kind, device="meta") for s in compiled.state if s.name in tiled
    }
    tile = kernels.tile(shown, tuple(shown)).numel() if shown else 0
    batch = sum(value_bytes(value, n, float_bytes) for value in step.batch)
    return RUNTIME + (state + slots + tile) * float_bytes + batch + _allocated(step, n, float_bytes)


def _allocated(step: Emitter, n: int, float_bytes: int) -> int:
    """The most that is alive at once of what has no place in the workspace."""
    known = {*step.layout.places, *step.layout.over, *roots(step.lines), *step.literals, *step.host}
    alive, most = 0, 0
    for line in step.lines:
        if not line.updates:
            alive += sum(value_bytes(v, n, float_bytes) for v in line.results if v not in known)
        most = max(most, alive)
        dropped = (v for v in step.layout.dropped.get(line, ()) if v not in known)
        alive -= sum(value_bytes(v, n, float_bytes) for v in dropped)
    return most
