"""What happens between steps, and behind a probe, on the host."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from fac.backend import Array, HostTask, Reading
from fac.build.functions import inner
from fac.build.initial import matrix_of, svd_pair
from fac.program.declared import probes_of
from fac.program.kinds import Memory
from fac.program.program import Program
from fac.program.reading import refresh_of
from fac.program.tensors import Tensor
from fac.step.ir import Function


def tasks(program: Program) -> tuple[HostTask, ...]:
    """One task for each pair of factors that is set anew from the SVD of its weight."""
    found: list[HostTask] = []
    once = {route.ends.prefix: route for route in reversed(program.routes) if route.ends is not None}
    for route in reversed(once.values()):
        every = refresh_of(route)
        if every is not None and route.ends is not None and route.ends.weight is not None:
            p, q = (f"{route.ends.prefix}.{side}" for side in "PQ")
            weight, rank = route.ends.weight, route.tensors[0].shape[0]
            run = partial(refreshed, weight, p, q, rank)
            found.append(HostTask("svd", every, (weight.name,), (p, q), run, weight.reads_axis))
    return tuple(found)


def readings(program: Program, probe: Function) -> tuple[Reading, ...]:
    """One for each probe that is finished on the host, of its outputs."""
    found: list[Reading] = []
    for number, (kind, spec) in enumerate(probes_of(program)):
        if kind.finish is not None:
            start = inner(number, "")
            reads = {name: name.removeprefix(start) for name, _ in probe.outputs if name.startswith(start)}
            found.append(Reading(reads, partial(_finished, kind.finish, spec, program.spec.train.epochs)))
    return tuple(found)


def _finished(
    finish: Callable[..., Mapping[str, float]],
    spec: object,
    epochs: int,
    found: Mapping[str, Array],
    step: int,
    kept: dict[Any, Any],
) -> Mapping[str, float]:
    return finish(spec, found, Memory(step, kept, epochs))


def refreshed(weight: Tensor, p: str, q: str, rank: int, state: Mapping[str, Array]) -> dict[str, Array]:
    """P and Q from the truncated SVD of the weight as it is now, [reads, writes]."""
    new_p, new_q = svd_pair(matrix_of(state[weight.name], weight), rank)
    return {p: new_p, q: new_q}
