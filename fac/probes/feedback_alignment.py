"""How well the feedback matrices point along the weights that they stand for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from fac.probes.chain import Chains
from fac.probes.cosine import cosine
from fac.probes.matrices import used_matrix
from fac.probes.scaled import defined, scaled
from fac.program.kinds import ProbeKind, Sweeps, Unused
from fac.program.program import Node, Program, Route
from fac.spec.train import Probe
from fac.step.builder import Builder
from fac.step.ir import Phase, Value


class FeedbackAlignment(Probe):
    """Per route with a matrix: the cosine between it and the W^T in the place of which it stands; the ratio of norms.

    On a direct route that is the transposed product of the weights that it leaps over, where they have one: on a chain
    of layers of vectors, whatever activations lie between them.
    """

    kind: Literal["feedback_alignment"] = "feedback_alignment"


def build(b: Builder, probe: Any, sweeps: Sweeps) -> Iterator[tuple[str, Value]]:
    """`PREFIX.cosine` and `PREFIX.norm_ratio`, PREFIX as in the names of the route's state."""
    told, chains = set[str](), Chains(sweeps.program)
    for route in sweeps.program.routes:
        leapt = () if route.through else _leapt(chains, route)
        if not route.tensors or route.ends is None or route.ends.prefix in told or leapt is None:
            continue
        with b.at(route.node, Phase.PROBE):
            used = used_matrix(b, sweeps, route)
            if used is None:
                continue
            told.add(route.ends.prefix)
            if route.through:
                weight = sweeps.contraction(route.node).matrix(b)
            else:
                used, weight = b.transpose(used, (1, 0)), chains.product(b, sweeps, leapt)
            yield f"{route.ends.prefix}.cosine", cosine(b, [(used, weight)])
            yield f"{route.ends.prefix}.norm_ratio", norm_ratio(b, used, weight)


def _leapt(chains: Chains, route: Route) -> tuple[Node, ...] | None:
    """The layers whose weights a direct route leaps over, the lowest first; None where these have no product."""
    program = chains.program
    root = None if route.source in program.subspace else program.root(route.source)
    if root is None or route.site is None or route.ends is None:
        return None
    nodes = chains.weights(route.site, root)
    if not nodes or nodes[-1].name != root or nodes[0].weight is None or nodes[-1].weight is None:
        return None
    fits = (route.ends.reads, route.ends.writes) == (nodes[-1].weight.reads, nodes[0].weight.writes)
    return nodes if fits else None


def norm_ratio(b: Builder, x: Value, y: Value) -> Value:
    """|x| / |y|, whatever their squares do; NaN if y is zero."""
    a, c = scaled(b, [x]), scaled(b, [y])
    over, under = (b.sqrt(b.dot(*side.values, *side.values)) for side in (a, c))
    ratio = b.mul(b.div(a.unit, c.unit), b.div(over, b.maximum(under, 1.0)))
    found = defined(b, ratio, c.seen)
    b.mark("norm_ratio", {"x": x, "y": y}, {"ratio": found}, {})
    return found


def unused(probe: Any, program: Program) -> Iterator[Unused]:
    """The whole probe, where no route has a matrix, or none that stands for a product of weights."""
    known, chains = all(route.ends for route in program.routes), Chains(program)
    if known and not any(r.tensors and (r.through or _leapt(chains, r)) for r in program.routes):
        yield Unused("kind", "where no route has a matrix of its own that stands for weights", "remove it")


MEASURES = {"cosine": "cosine of feedback and weight", "norm_ratio": "norm of feedback over weight"}
FEEDBACK_ALIGNMENT = ProbeKind("feedback_alignment", FeedbackAlignment, build, MEASURES, unused=unused)
