"""How well the routed backward pass points along the true one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from fac.probes.cosine import TINY, cosine, per_sample_cosine
from fac.program.kinds import ProbeKind, Sweeps
from fac.spec.train import Probe
from fac.step.builder import Builder
from fac.step.ir import Phase, Value


class Alignment(Probe):
    """Per weighted layer: cosines between routed and true error, and routed and true weight gradient; in total too."""

    kind: Literal["alignment"] = "alignment"


def build(b: Builder, probe: Any, sweeps: Sweeps) -> Iterator[tuple[str, Value]]:
    """`NODE.error.cosine` (per sample), `NODE.error.matrix_cosine`, `NODE.gradient.cosine`, `gradient.cosine`."""
    pairs: list[tuple[Value, Value]] = []
    for node in sweeps.program.weighted:
        with b.at(node.name, Phase.PROBE):
            errors = _both(sweeps, sweeps.values[node.name])
            if errors is None or not node.trainable:
                continue
            yield f"{node.name}.error.cosine", per_sample_cosine(b, *errors)
            yield f"{node.name}.error.matrix_cosine", cosine(b, *errors)
            gradients = _both(sweeps, sweeps.state[f"{node.name}.{node.contraction}"])
            if gradients is not None:
                pairs.append(gradients)
                yield f"{node.name}.gradient.cosine", cosine(b, *gradients)
    if pairs:
        with b.at("all", Phase.PROBE):
            yield "gradient.cosine", _total(b, pairs)


def _both(sweeps: Sweeps, value: Value) -> tuple[Value, Value] | None:
    routed, true = sweeps.routed(value), sweeps.true(value)
    return None if routed is None or true is None else (routed, true)


def _total(b: Builder, pairs: list[tuple[Value, Value]]) -> Value:
    """The cosine of all gradients stacked into one vector."""
    sums: list[Value] = []
    for left, right in ((0, 1), (0, 0), (1, 1)):
        total = b.dot(pairs[0][left], pairs[0][right])
        for pair in pairs[1:]:
            total = b.add(total, b.dot(pair[left], pair[right]))
        sums.append(total)
    inner, xx, yy = sums
    return b.div(inner, b.maximum(b.mul(b.sqrt(xx), b.sqrt(yy)), TINY))


ALIGNMENT = ProbeKind("alignment", Alignment, build)
