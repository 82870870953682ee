"""What happens between steps, on the host."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from fac.backend import Array, HostTask
from fac.build.initial import svd_pair
from fac.program.program import Program
from fac.program.reading import refresh_of


def tasks(program: Program) -> tuple[HostTask, ...]:
    """One task per route whose factors are set anew from the SVD of its weight."""
    found: list[HostTask] = []
    for route in program.routes:
        every = refresh_of(route)
        if every is not None and route.ends is not None and route.ends.weight is not None:
            p, q = (f"{route.ends.prefix}.{side}" for side in "PQ")
            weight = route.ends.weight.name
            rank, reads = route.tensors[0].shape[0], route.ends.reads
            run = partial(refreshed, weight, p, q, rank, reads)
            found.append(HostTask("svd", every, (weight,), (p, q), run))
    return tuple(found)


def refreshed(
    weight: str, p: str, q: str, rank: int, reads: int, state: Mapping[str, Array]
) -> dict[str, Array]:
    """P and Q from the truncated SVD of the weight as it is now, [reads, writes]."""
    new_p, new_q = svd_pair(state[weight].reshape(reads, -1), rank)
    return {p: new_p, q: new_q}
