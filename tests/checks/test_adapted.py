"""FAC228: what it says the rank of an adapter can be, beside the rank of what the adapter adds to a weight."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fac.checks import run_checks
from fac.diagnostics import dotted
from fac.importing.adapting import merged
from fac.program.lower import lower
from fac.program.program import Program
from fac.spec.model import ModelSpec
from tests.checks.specs import SGD, Layers, found, linear

RELU = {"kind": "relu"}
CONV = {"kind": "conv2d", "name": "c1", "out": 40, "kernel": 3}


def lora(rank: int, **settings: Any) -> dict[str, Any]:
    return {"kind": "lora", "rank": rank, **settings}


def program(*layers: dict[str, Any]) -> Program:
    """Of a network that reads maps [3, 6, 6]."""
    whole = (*layers, RELU, {"kind": "flatten"}, linear("logits", 4))
    spec = {"fac": 1, "name": "net", "input": {"shape": (3, 6, 6)}, "layers": whole}
    return lower(ModelSpec.model_validate({**spec, "loss": {"kind": "cross_entropy"}, "update": SGD}))


@pytest.mark.parametrize(
    "layers",
    [
        (CONV | {"adapter": lora(60)},),
        (CONV | {"out": 5, "adapter": lora(60)},),
        ({"kind": "flatten"}, linear("fc1", 20, adapter=lora(60))),
        ({"kind": "flatten"}, linear("below", 7), RELU, linear("fc1", 20, adapter=lora(60))),
    ],
    ids=["a window of 27", "5 channels", "20 units", "7 below"],
)
def test_the_rank_that_is_named_is_the_most_that_the_product_has(layers: Layers) -> None:
    net = program(*layers)
    (finding,) = run_checks(net)
    rng = np.random.default_rng(0)
    tensors = (tensor for node in net.nodes for tensor in node.tensors)
    state = {tensor.name: rng.standard_normal(tensor.shape) for tensor in tensors}
    (layer,) = net.adapted
    added = merged(net, state)[f"{layer.name}.weight"] - state[f"{layer.base}.weight"]
    rank = np.linalg.matrix_rank(added.reshape(len(added), -1))
    assert finding.rule.code == "FAC228"
    assert finding.help == f"use a rank of at most {rank}"
    assert dotted(finding.path) == f"layers[{len(layers) - 1}].adapter.rank"


@pytest.mark.parametrize("alpha", [None, 8], ids=["s of 1", "alpha"])
@pytest.mark.parametrize("freeze", [True, False])
def test_of_the_inside_of_an_adapter_nothing_is_said(alpha: float | None, freeze: bool) -> None:
    def layers(rank: int) -> Layers:
        return linear("fc1", 5, adapter=lora(rank, alpha=alpha, freeze=freeze)), RELU, linear("logits", 4)

    assert found(layers(400)) == [("FAC228", "layers[0].adapter.rank")]
    assert found(layers(6)) == [("FAC228", "layers[0].adapter.rank")]
    assert found(layers(5)) == []


def test_a_group_has_one_finding_for_the_narrowest_of_its_layers() -> None:
    layers = (linear("fc1", 8), RELU, linear("fc2", 2), RELU, linear("logits", 3))
    assert found(layers, adapters=(lora(2, match="*"),)) == []
    assert found(layers, adapters=(lora(4, match="*"),)) == [("FAC228", "adapters[0].rank")]
    both = lora(2, match="*"), lora(7, match="fc1")
    assert found(layers, adapters=both) == [("FAC228", "adapters[1].rank")]


def test_copies_in_a_block_have_one_finding() -> None:
    body = (linear("fc", 6, adapter=lora(9)), RELU)
    layers = ({"kind": "repeat", "times": 3, "name": "deep", "body": body}, linear("logits", 4))
    assert found(layers) == [("FAC228", "layers[0].body[0].adapter.rank")]


@pytest.mark.parametrize(
    ("feedback", "code", "message", "help"),
    [
        (
            {"rule": "fa", "init": "zeros"},
            "FAC319",
            "the feedback of `fc1`, `fc2` and `logits` starts at zero",
            "give it another",
        ),
        (
            {"rule": "fa", "init": "zeros"},
            "FAC216",
            "the adapter of `fc1` is zero and stays so: together with `fc2`",
            "an error has to reach it",
        ),
        (
            {"rule": "fa", "learn": {"rule": "kolen_pollack"}},
            "FAC315",
            "the feedback of `fc2` takes the steps of a weight that is frozen",
            "or let `fc2` learn (`freeze: false` in the adapter of `fc2`)",
        ),
        (
            {"routes": ({"through": "fc2.base_layer", "matrix": {"kind": "random", "init": "zeros"}},)},
            "FAC319",
            "the feedback of `fc2.base_layer` starts",
            "",
        ),
    ],
)
def test_findings_call_a_layer_as_the_spec_does(
    feedback: dict[str, Any], code: str, message: str, help: str
) -> None:
    layers = (
        linear("fc1", 20, adapter=lora(3)),
        RELU,
        linear("fc2", 20, adapter=lora(3)),
        RELU,
        linear("logits", 9),
    )
    spec = {"fac": 1, "name": "net", "input": {"shape": (8,)}, "layers": layers, "feedback": feedback}
    net = lower(ModelSpec.model_validate({**spec, "loss": {"kind": "cross_entropy"}, "update": SGD}))
    finding = next(f for f in run_checks(net) if f.rule.code == code)
    assert message in finding.message
    assert help in finding.help


def test_a_group_of_an_array_that_lies_under_an_adapter_is_told_its_name() -> None:
    layers = (linear("fc1", 20, adapter=lora(3)), RELU, linear("logits", 9))
    update = {**SGD, "groups": ({"match": "fc1.weight", "lr_scale": 2.0},)}
    spec = {"fac": 1, "name": "net", "input": {"shape": (8,)}, "layers": layers, "update": update}
    net = lower(ModelSpec.model_validate({**spec, "loss": {"kind": "cross_entropy"}}))
    finding = next(f for f in run_checks(net) if f.rule.code == "FAC208")
    assert finding.help == "beside an adapter it is called `fc1.base_layer.weight`"
