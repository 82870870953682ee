"""How large activations are from layer to layer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from fac.probes.feedback_alignment import norm_ratio
from fac.program.kinds import ProbeKind, Sweeps, Unused
from fac.program.program import Node, Program
from fac.program.site import site_of
from fac.spec.train import Probe
from fac.step.builder import Builder
from fac.step.ir import Phase, Value
from fac.step.types import DType


class ActivationScale(Probe):
    """Per layer with a weight: the root mean square of its output, behind activation and normalisation.

    Beside it the ratio to that of what the layer reads, and in total that of the last hidden layer to the first.
    """

    kind: Literal["activation_scale"] = "activation_scale"


def build(b: Builder, probe: Any, sweeps: Sweeps) -> Iterator[tuple[str, Value]]:
    """`NODE.activation.scale` at the site of a layer, `NODE.activation.ratio`, and `activation.ratio`."""
    program = sweeps.program
    for node in program.weighted:
        with b.at(node.name, Phase.PROBE):
            output = _output(sweeps, node)
            yield f"{node.name}.activation.scale", _scale(b, output)
            read = sweeps.values[node.inputs[0]]
            if read.type.dtype == DType.FLOAT:
                yield f"{node.name}.activation.ratio", _ratio(b, output, read)
    hidden = _hidden(program)
    if len(hidden) > 1:
        with b.at("all", Phase.PROBE):
            yield "activation.ratio", _ratio(b, _output(sweeps, hidden[-1]), _output(sweeps, hidden[0]))


def _hidden(program: Program) -> list[Node]:
    return [node for node in program.weighted if node.name in program.crossing]


def _output(sweeps: Sweeps, node: Node) -> Value:
    site = site_of(sweeps.program, node.name)
    assert site is not None
    return sweeps.values[site]


def _scale(b: Builder, x: Value) -> Value:
    """The root of the mean square of all numbers, whatever their squares do."""
    return b.div(b.norm(x), b.sqrt(b.count(x.type.shape)))


def _ratio(b: Builder, x: Value, y: Value) -> Value:
    """That of their scales; NaN if y is zero."""
    counts = b.sqrt(b.div(b.count(y.type.shape), b.count(x.type.shape)))
    return b.mul(norm_ratio(b, x, y), counts)


def unused(probe: Any, program: Program) -> Iterator[Unused]:
    """The whole probe, where no layer has a weight."""
    if program.nodes and all(node.shape is not None for node in program.nodes) and not program.weighted:
        yield Unused("kind", "where no layer has a weight", "remove it")


ACTIVATION_SCALE = ProbeKind(
    "activation_scale",
    ActivationScale,
    build,
    {
        "activation.scale": "root mean square of activations",
        "activation.ratio": "scale of activations over that below",
    },
    standard=False,
    unused=unused,
)
