"""The cosines of the probe `alignment` as angles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import acos, degrees
from typing import TYPE_CHECKING, Any, Literal

from fac.probes import alignment
from fac.program.kinds import Memory, ProbeKind, Sweeps
from fac.spec.train import Probe
from fac.step.builder import Builder
from fac.step.ir import Value

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Angle(Probe):
    """Per weighted layer and in total: angles in degrees between routed and true error, and routed and true gradient.

    `NODE.error.angle` is that of the mean of the cosines of samples.
    """

    kind: Literal["angle"] = "angle"
    floor: alignment.Floor = 0.0


def build(b: Builder, probe: Any, sweeps: Sweeps) -> Iterator[tuple[str, Value]]:
    """The cosines, under the names of the angles."""
    for name, cosine in alignment.build(b, alignment.Alignment(floor=probe.floor), sweeps):
        yield name.replace("cosine", "angle"), cosine


def finish(probe: Any, found: Mapping[str, NDArray[Any]], memory: Memory) -> dict[str, float]:
    """arccos, which is no op; NaN stays."""
    return {name: degrees(acos(float(cosine))) for name, cosine in found.items()}


ANGLE = ProbeKind(
    "angle",
    Angle,
    build,
    {
        "error.angle": "angle to true error, by sample",
        "error.matrix_angle": "angle to true error, whole batch",
        "gradient.angle": "angle to true gradient",
    },
    standard=False,
    finish=finish,
)
