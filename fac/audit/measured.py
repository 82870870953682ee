"""What the audit measures of a trained network, on one batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import nan
from typing import Any

from fac.audit.reference import FLOOR
from fac.backend import Session
from fac.pipeline import compiled, resolved
from fac.probes.activation_scale import ActivationScale
from fac.probes.alignment import Alignment
from fac.probes.gradient_norm import GradientNorm
from fac.program.depth import depths
from fac.program.program import Program


@dataclass(frozen=True, slots=True)
class Measured:
    """By the names of layers, the lowest first."""

    scale: Mapping[str, float]
    """Root mean square of what a hidden layer puts out over that of what it reads, of layers above the first."""
    routed: Mapping[str, float]
    """Norm of the gradient of a weight that learns, under the routing."""
    true: Mapping[str, float]
    """Norm of its true gradient."""
    cosine: Mapping[str, float]
    """Between the two; NaN where one is zero, or the true one is no larger than the floor of `reference`."""
    stacked: float
    """Cosine of all gradients as one vector; NaN likewise."""


def measured(session: Session, program: Program, batch: Any) -> Measured | None:
    """What the audit looks at; None of a network that is solved, which has no gradients.

    Args:
        session: of the program, trained; it is left as it is.
        program: whose network it is.
        batch: samples by the names of the feeds, as `Session.probe` takes them.
    """
    if program.spec.solve is not None:
        return None
    probes = (ActivationScale(), GradientNorm(), Alignment(floor=FLOOR))
    seen = resolved(program.spec.model_copy(update={"probes": probes}))
    assert session.beside is not None, "an artifact opens it"
    beside = session.beside(compiled(seen))
    beside.load_state(session.state())
    found = beside.probe(batch)
    hidden = [node.name for node in program.weighted if node.name in program.crossing]
    depth = depths(program)
    above = [name for name in hidden if depth[name] > 1]
    learning = [node.owner for node in program.weighted if f"{node.owner}.gradient.true_norm" in found]
    routed, true, cosine = (
        {name: found.get(f"{name}.gradient.{of}", nan) for name in dict.fromkeys(learning)}
        for of in ("norm", "true_norm", "cosine")
    )
    ratios = {name: found.get(f"{name}.activation.ratio", nan) for name in above}
    return Measured(ratios, routed, true, cosine, found.get("gradient.cosine", nan))
