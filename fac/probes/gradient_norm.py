"""How large gradients are: where errors vanish or explode on their way down."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from fac.probes.learning import learners, unused
from fac.program.kinds import ProbeKind, Sweeps
from fac.spec.train import Probe
from fac.step.builder import Builder
from fac.step.ir import Phase, Value


class GradientNorm(Probe):
    """Per weighted layer and in total: the norms of the weight's gradient under the routing, and of the true one."""

    kind: Literal["gradient_norm"] = "gradient_norm"


def build(b: Builder, probe: Any, sweeps: Sweeps) -> Iterator[tuple[str, Value]]:
    """`NODE.gradient.norm` and `NODE.gradient.true_norm`, and both without `NODE.` of all weights stacked."""
    routed: list[Value] = []
    true: list[Value] = []
    for node in learners(sweeps.program):
        assert node.weight is not None
        with b.at(node.name, Phase.PROBE):
            for found, sweep, name in ((routed, sweeps.routed, "norm"), (true, sweeps.true, "true_norm")):
                value = sweep(sweeps.state[node.weight.name])
                if value is not None:
                    found.append(value)
                    yield f"{node.owner}.gradient.{name}", b.norm(value)
    with b.at("all", Phase.PROBE):
        if routed:
            yield "gradient.norm", b.norm(*routed)
        if true:
            yield "gradient.true_norm", b.norm(*true)


GRADIENT_NORM = ProbeKind(
    "gradient_norm",
    GradientNorm,
    build,
    {"gradient.norm": "norm of gradients", "gradient.true_norm": "norm of true gradients"},
    standard=False,
    unused=unused,
)
