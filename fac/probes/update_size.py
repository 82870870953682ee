"""How far a step goes, and whether downhill."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from fac.probes.cosine import cosine
from fac.probes.feedback_alignment import norm_ratio
from fac.probes.learning import learners, unused
from fac.program.kinds import ProbeKind, Sweeps
from fac.spec.train import Probe
from fac.step.builder import Builder
from fac.step.ir import Phase, Value


class UpdateSize(Probe):
    """Per weighted layer: what a step adds to its weight, in size, beside the weight, and along the true gradient.

    The step is that of the update rule from its state, at the learning rate of the spec without its schedule.
    """

    kind: Literal["update_size"] = "update_size"


def build(b: Builder, probe: Any, sweeps: Sweeps) -> Iterator[tuple[str, Value]]:
    """`NODE.update.norm`, `NODE.update.ratio` to the weight's norm, `NODE.update.cosine` to minus the true gradient."""
    pairs: list[tuple[Value, Value]] = []
    steps: list[Value] = []
    for node in learners(sweeps.program):
        assert node.weight is not None
        with b.at(node.name, Phase.PROBE):
            weight = sweeps.state[node.weight.name]
            moved = sweeps.moved(node.weight.name)
            if moved is None:
                continue
            steps.append(b.sub(moved, weight))
            yield f"{node.owner}.update.norm", b.norm(steps[-1])
            yield f"{node.owner}.update.ratio", norm_ratio(b, steps[-1], weight)
            true = sweeps.true(weight)
            if true is not None:
                pairs.append((steps[-1], b.neg(true)))
                yield f"{node.owner}.update.cosine", cosine(b, pairs[-1:])
    with b.at("all", Phase.PROBE):
        if steps:
            yield "update.norm", b.norm(*steps)
        if pairs:
            yield "update.cosine", cosine(b, pairs)


UPDATE_SIZE = ProbeKind(
    "update_size",
    UpdateSize,
    build,
    {
        "update.norm": "norm of updates",
        "update.ratio": "update over weight",
        "update.cosine": "cosine of update to descent",
    },
    standard=False,
    unused=unused,
)
