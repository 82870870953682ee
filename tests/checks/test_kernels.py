"""FAC401 without a look at the probe, where none of its ops can be the first that a backend lacks."""

from __future__ import annotations

from typing import Any

import pytest

from fac import pipeline
from fac.build.fit import fit
from fac.checks.kernels import OF_LAYERS
from fac.probes import KINDS
from fac.step.ops import OPS
from fac.testing.layers import LAYERS, MEASURED, network
from fac.testing.nets import NET, spec
from fac.testing.rules import RULES, UPDATES

PROBES = tuple({"kind": kind.name} for kind in KINDS)
LACKED = OPS.keys() - OF_LAYERS
"""What the poorest backend has for which no probe is built: it lacks all of them."""


def lacked(data: Any) -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
    """By layer, the ops that such a backend lacks: for the probe, and for all else."""
    program = pipeline.lowered({**data, "probes": PROBES})
    made = fit(pipeline.compiled(program), LACKED)
    functions = ((made.probe,), (made.forward, made.evaluate, made.step))
    probe, rest = (
        {(op.origin.node, op.kind) for function in some for op in function.ops if op.kind in OF_LAYERS}
        for some in functions
    )
    return probe, rest


@pytest.mark.parametrize("name", LAYERS)
def test_what_a_probe_lacks_its_layers_lack(name: str) -> None:
    probe, rest = lacked(network(name, RULES[MEASURED], UPDATES["adam"]))
    assert probe <= rest


@pytest.mark.parametrize("rule", RULES)
def test_a_probe_of_layers_that_lack_nothing_lacks_nothing(rule: str) -> None:
    assert lacked(spec(NET, RULES[rule], UPDATES["adam"])) == (set(), set())


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_a_probe_that_nobody_asks_for_is_not_built(precision: Any) -> None:
    """Which would take longer than all else of a compilation."""
    made = pipeline.compile(spec(NET, {"rule": "ldfa", "rank": 2}), "onnx", precision).compiled
    assert "made" not in vars(made.probing)
    assert made.probe.ops
