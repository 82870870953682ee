"""How well the feedback matrices point along the weights that they stand for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from fac.probes.cosine import cosine
from fac.probes.matrices import used_matrix
from fac.probes.scaled import defined, scaled
from fac.program.kinds import ProbeKind, Sweeps, Unused
from fac.program.program import Program
from fac.spec.train import Probe
from fac.step.builder import Builder
from fac.step.ir import Phase, Value


class FeedbackAlignment(Probe):
    """Per `through` route with a matrix: the cosine between it and W^T, and the ratio of their norms."""

    kind: Literal["feedback_alignment"] = "feedback_alignment"


def build(b: Builder, probe: Any, sweeps: Sweeps) -> Iterator[tuple[str, Value]]:
    """`PREFIX.cosine` and `PREFIX.norm_ratio`, PREFIX as in the names of the route's state."""
    told: set[str] = set()
    for route in sweeps.program.routes:
        if route.ends is None or route.ends.weight is None or not route.tensors or route.ends.prefix in told:
            continue
        with b.at(route.node, Phase.PROBE):
            used = used_matrix(b, sweeps, route)
            if used is None:
                continue
            told.add(route.ends.prefix)
            weight = sweeps.contraction(route.node).matrix(b)
            yield f"{route.ends.prefix}.cosine", cosine(b, [(used, weight)])
            yield f"{route.ends.prefix}.norm_ratio", norm_ratio(b, used, weight)


def norm_ratio(b: Builder, x: Value, y: Value) -> Value:
    """|x| / |y|, whatever their squares do; NaN if y is zero."""
    a, c = scaled(b, [x]), scaled(b, [y])
    over, under = (b.sqrt(b.dot(*side.values, *side.values)) for side in (a, c))
    ratio = b.mul(b.div(a.unit, c.unit), b.div(over, b.maximum(under, 1.0)))
    return defined(b, ratio, c.seen)


def unused(probe: Any, program: Program) -> Iterator[Unused]:
    """The whole probe, where no `through` route has a matrix."""
    known = all(route.ends for route in program.routes)
    if known and not any(route.through and route.tensors for route in program.routes):
        yield Unused("kind", "where no `through` route has a matrix of its own", "remove it")


MEASURES = {"cosine": "cosine of feedback and weight", "norm_ratio": "norm of feedback over weight"}
FEEDBACK_ALIGNMENT = ProbeKind("feedback_alignment", FeedbackAlignment, build, MEASURES, unused=unused)
