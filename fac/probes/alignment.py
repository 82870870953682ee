"""How well the routed backward pass points along the true one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field

from fac.probes.cosine import Pair, cosine, per_sample_cosine
from fac.program.kinds import ProbeKind, Sweeps
from fac.spec.train import Probe
from fac.step.builder import Builder
from fac.step.ir import Phase, Value

Floor = Annotated[
    float,
    Field(ge=0, description="Norm of a true error, or gradient, up to which nothing is measured of it."),
]


class Alignment(Probe):
    """Per weighted layer and in total: cosines between routed and true error, and routed and true gradient."""

    kind: Literal["alignment"] = "alignment"
    floor: Floor = 0.0
    spread: bool = Field(
        False, description="Also the standard deviation over samples, `NODE.error.cosine_sd`."
    )


def build(b: Builder, probe: Any, sweeps: Sweeps) -> Iterator[tuple[str, Value]]:
    """Named scalars, each also without `NODE.` for all layers stacked. A gradient that several share is told once.

    `NODE.error.cosine`: mean over samples; `NODE.error.matrix_cosine`: over the whole batch as one matrix;
    `NODE.gradient.cosine`: of the weight's gradient.
    """
    errors: list[Pair] = []
    gradients: list[Pair] = []
    told: set[str] = set()
    for node in sweeps.program.weighted:
        error = _both(sweeps, sweeps.values[node.name]) if node.trainable else None
        if error is None:
            continue
        errors.append(error)
        with b.at(node.name, Phase.PROBE):
            yield from _errors(b, probe, f"{node.name}.", [error])
            if node.weight is None or node.weight.name in told:
                continue
            told.add(node.weight.name)
            gradient = _both(sweeps, sweeps.state[node.weight.name])
            if gradient is not None:
                gradients.append(gradient)
                yield f"{node.owner}.gradient.cosine", cosine(b, [gradient], probe.floor)
    with b.at("all", Phase.PROBE):
        if errors:
            yield from _errors(b, probe, "", errors)
        if gradients:
            yield "gradient.cosine", cosine(b, gradients, probe.floor)


def _errors(b: Builder, probe: Alignment, prefix: str, pairs: list[Pair]) -> Iterator[tuple[str, Value]]:
    mean, deviation = per_sample_cosine(b, pairs, probe.floor)
    yield f"{prefix}error.cosine", mean
    if probe.spread:
        yield f"{prefix}error.cosine_sd", deviation
    yield f"{prefix}error.matrix_cosine", cosine(b, pairs, probe.floor)


def _both(sweeps: Sweeps, value: Value) -> Pair | None:
    routed, true = sweeps.routed(value), sweeps.true(value)
    return None if routed is None or true is None else (routed, true)


ALIGNMENT = ProbeKind(
    "alignment",
    Alignment,
    build,
    {
        "error.cosine": "cosine to true error, by sample",
        "error.cosine_sd": "deviation of cosines over samples",
        "error.matrix_cosine": "cosine to true error, whole batch",
        "gradient.cosine": "cosine to true gradient",
    },
)
