"""The order in which models list their nodes: the same nodes, each behind what it reads, and the same numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper
from onnx.checker import check_model

from fac.pipeline import compile
from fac_onnx.artifact import OnnxArtifact
from fac_onnx.device import session
from fac_onnx.order import ordered

WIDTHS, CLASSES, BATCH = (12, 9, 7), 4, 5
FEEDBACK: dict[str, dict[str, Any]] = {
    "bp": {"rule": "bp"},
    "dfa": {"rule": "dfa"},
    "ldfa": {"rule": "ldfa", "rank": 3},
}


def artifact(rule: str) -> OnnxArtifact:
    """A network with Adam, whose states are what waits in a file."""
    layers: list[dict[str, Any]] = []
    for i, width in enumerate(WIDTHS, 1):
        layers += [{"kind": "linear", "name": f"fc{i}", "out": width}, {"kind": "relu"}]
    made = compile(
        {
            "fac": 1,
            "name": "order",
            "input": {"shape": [6]},
            "layers": [*layers, {"kind": "linear", "name": "logits", "out": CLASSES}],
            "loss": {"kind": "cross_entropy"},
            "feedback": FEEDBACK[rule],
            "update": {"rule": "adam", "lr": 0.01},
        },
        backend="onnx",
    )
    assert isinstance(made, OnnxArtifact)
    return made


@pytest.mark.parametrize("rule", FEEDBACK)
def test_the_same_nodes_and_the_same_bits(rule: str) -> None:
    """A step on random state, by the file as it was emitted and in its order."""
    made = artifact(rule).made(artifact(rule).compiled.step)
    before, nodes = made.SerializeToString(), {n.name: n.SerializeToString() for n in made.graph.node}
    ordered(made.graph)
    assert {n.name: n.SerializeToString() for n in made.graph.node} == nodes
    assert made.SerializeToString() != before
    known = {v.name for v in (*made.graph.input, *made.graph.initializer)}
    for node in made.graph.node:
        assert known.issuperset(filter(None, node.input)), node.name
        known.update(node.output)
    rng = np.random.default_rng(0)
    feeds: dict[str, Any] = {}
    for value in made.graph.input:
        shape = [d.dim_value or BATCH for d in value.type.tensor_type.shape.dim]
        if value.type.tensor_type.elem_type == 1:
            feeds[value.name] = rng.random(shape, dtype=np.float32)
        else:
            feeds[value.name] = rng.integers(0, CLASSES, shape)
    first, second = (
        session(content, "cpu").run(None, feeds) for content in (before, made.SerializeToString())
    )
    assert len(first) > 1
    for one, other in zip(first, second, strict=True):
        assert one.tobytes() == other.tobytes()


def test_what_the_body_of_a_loop_reads_is_made_before() -> None:
    """Six nodes make what the body alone reads: no input of the loop says so."""
    chain = [helper.make_node("Neg", [f"v{i}"], [f"v{i + 1}"]) for i in range(6)]
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Add", ["sum", "v6"], ["next"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, ()),
            helper.make_tensor_value_info("go", TensorProto.BOOL, ()),
            helper.make_tensor_value_info("sum", TensorProto.FLOAT, (2,)),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, ()),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, (2,)),
        ],
    )
    loop = helper.make_node("Loop", ["count", "", "v0"], ["y"], body=body)
    graph = helper.make_graph(
        [*chain, loop],
        "loop",
        [
            helper.make_tensor_value_info("v0", TensorProto.FLOAT, (2,)),
            helper.make_tensor_value_info("count", TensorProto.INT64, ()),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (2,))],
    )
    ordered(graph)
    assert graph.node[-1].op_type == "Loop"
    check_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10))
