"""The models as ONNX files: what they declare, what they are called, and that ONNX's own checks can fail."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, shape_inference
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

import fac_onnx
from fac.backend import fingerprint
from fac.build.fit import fit
from fac.diagnostics import SpecError
from fac.pipeline import compile, compiled, lowered
from fac.step.builder import Builder
from fac.step.ir import Function
from fac.step.types import N, Type
from fac.testing.nets import RELU, Data, batch, linear, mlp, spec
from fac_onnx.artifact import OnnxArtifact
from fac_onnx.emit import IR, OPSET, model

NET = mlp(8, 6, 3)
LDFA: Data = {"rule": "ldfa", "rank": 2}
MOMENTUM: Data = {"rule": "sgd", "lr": 0.05, "momentum": 0.9}
DROPOUT = (linear("fc1", 8), RELU, {"kind": "dropout", "rate": 0.5}, linear("out", 3))
GOLDEN = Path(__file__).with_name("step.onnx.txt")


def artifact(data: Data, precision: Any = "float32") -> OnnxArtifact:
    made = compile(data, "onnx", precision)
    assert isinstance(made, OnnxArtifact)
    return made


def models(data: Data, precision: Any = "float32") -> list[ModelProto]:
    """All four."""
    made = artifact(data, precision)
    c = made.compiled
    return [made.made(f) for f in (c.forward, c.evaluate, c.step, c.probe)]


SPECS = {
    "mlp": spec(NET, LDFA, MOMENTUM),
    "adamw": spec(NET, {"rule": "dfa"}, {"rule": "adamw", "lr": 0.01}),
    "dropout": spec(DROPOUT, {"rule": "fa"}, MOMENTUM),
    "regression": spec(
        NET, {"rule": "bp"}, {"rule": "sgd", "lr": 0.1, "clip": {"by": "norm", "at": 1.0}}, loss="mse"
    ),
}
EACH = pytest.mark.parametrize("data", SPECS.values(), ids=SPECS)


def test_text_of_a_step() -> None:
    """Every node, with its name and what it is for."""
    text = onnx.printer.to_text(
        artifact(spec(mlp(4, 3), LDFA, MOMENTUM)).made(_step(spec(mlp(4, 3), LDFA, MOMENTUM)))
    )
    if os.environ.get("FAC_UPDATE_GOLDEN"):
        GOLDEN.write_text(text, "utf-8")
    assert text == GOLDEN.read_text("utf-8")


def _step(data: Data) -> Function:
    return artifact(data).compiled.step


@EACH
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_standard_ops_of_one_opset(data: Data, precision: str) -> None:
    for made in models(data, precision):
        assert [(entry.domain, entry.version) for entry in made.opset_import] == [("", OPSET)]
        assert made.ir_version == IR
        assert {node.domain for node in made.graph.node} == {""}
        assert not made.functions


@EACH
def test_every_value_is_declared_with_our_type(data: Data) -> None:
    """And ONNX's inference, started without our declarations, comes to the same wherever it comes to anything."""
    for made in models(data):
        graph = made.graph
        declared = {v.name: v.type for v in (*graph.input, *graph.output, *graph.value_info)}
        names = [output for node in graph.node for output in node.output]
        assert set(names) <= declared.keys()
        assert len(set(names)) == len(names)
        assert len({node.name for node in graph.node}) == len(graph.node)
        bare = ModelProto()
        bare.CopyFrom(made)
        del bare.graph.value_info[:]
        found = {v.name: v.type for v in shape_inference.infer_shapes(bare, data_prop=True).graph.value_info}
        assert len(found) > len(names) / 2
        for name, type in found.items():
            ours, theirs = declared[name].tensor_type, type.tensor_type
            assert ours.elem_type == theirs.elem_type, name
            if not theirs.HasField("shape"):  # what a loop carries, without our declarations
                continue
            for mine, other in zip(ours.shape.dim, theirs.shape.dim, strict=True):
                if other.HasField("dim_value"):
                    assert mine.dim_value == other.dim_value, name


@pytest.mark.parametrize("wrong", [Type((N, 7)), Type((N, 1, 8))])
def test_a_wrong_type_of_ours_is_found(wrong: Type) -> None:
    b = Builder()
    x, w = b.input("x", Type((N, 5))), b.input("w", Type((8, 5)))
    y = b.matmul(x, w, tb=True)
    z = b.mul(y, y)
    object.__setattr__(y, "type", wrong)
    with pytest.raises((shape_inference.InferenceError, onnx.checker.ValidationError)):
        model(b.finish("forward", {"z": z}), "float32", {})


def test_inputs_and_outputs_in_the_order_of_the_state() -> None:
    made = artifact(spec(NET, LDFA, MOMENTUM))
    step = made.made(made.compiled.step)
    state = [slot.name for slot in made.compiled.state]
    assert [v.name for v in step.graph.input] == ["x", "y", "lr", "step", *state]
    moved = [name for name in state if not name.startswith("fc1.feedback")]
    assert [v.name for v in step.graph.output] == ["loss", *(f"{name}.next" for name in moved)]
    about = {entry.key: entry.value for entry in step.metadata_props}
    assert json.loads(about.pop("fac.state_map")) == {name: f"{name}.next" for name in moved}
    assert about == {
        "fac.name": "demo",
        "fac.spec_hash": made.compiled.spec_hash,
        "fac.fingerprint": fingerprint(made, "onnx"),
        "fac.version": made.compiled.version,
        "fac.function": "step",
        "fac.precision": "float32",
    }
    assert [d.dim_param or d.dim_value for d in step.graph.input[0].type.tensor_type.shape.dim] == ["N", 5]


def test_a_layer_may_be_called_like_anything(tmp_path: Path) -> None:
    """Names of layers meet those of the batch, of constants and of parts of other nodes."""
    layers = (
        linear("N", 6),
        {"kind": "relu", "name": "samples"},
        linear("fc1.weight.next", 6),
        {"kind": "relu", "name": "N.error.live"},
        linear("out", 3),
    )
    data = spec(layers, LDFA, MOMENTUM)
    x, y = batch()
    reference, other = compile(data, "reference", "float64").open(), compile(data, "onnx", "float64").open()
    for session in (reference, other):
        session.step(x, y)
    for name, value in reference.state().items():
        np.testing.assert_allclose(other.state()[name], value, rtol=1e-12, atol=1e-14)


WRITE = """
import sys
from fac.pipeline import compile
from tests.backends.test_onnx_emit import SPECS
for name, data in SPECS.items():
    compile(data, "onnx").write(sys.argv[1] + "/" + name)
"""


def test_same_bytes_in_every_process(tmp_path: Path) -> None:
    """Three values of the seed of Python's hashes."""
    root = Path(__file__).parents[2]
    for seed in ("0", "1", "4711"):
        environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(root)}
        command = [sys.executable, "-c", WRITE, str(tmp_path / seed)]
        subprocess.run(command, env=environment, check=True, cwd=root)
    first = {p.relative_to(tmp_path / "0"): p.read_bytes() for p in (tmp_path / "0").rglob("*.onnx")}
    assert len(first) == 4 * len(SPECS)
    for seed in ("1", "4711"):
        for path, content in first.items():
            assert (tmp_path / seed / path).read_bytes() == content, path


# -- what onnxruntime lacks ---------------------------------------------------------------------------------------


class Erf(OpRun):
    """The evaluator's own rounds to float32."""

    op_domain = ""

    def _run(self, x: Any) -> tuple[Any]:
        return (np.vectorize(math.erf)(x),)


@pytest.mark.parametrize("rule", ["bp", "dfa"])
def test_the_gap_in_float64_is_one_of_the_runtime_only(rule: str) -> None:
    """The model of a `gelu` network in float64, run by onnx's own evaluator: 20 steps against ours to 1e-12."""
    data = spec(mlp(8, 6, 3, activation={"kind": "gelu"}), {"rule": rule}, MOMENTUM)
    with pytest.raises(SpecError, match="no `erf` in float64"):
        compile(data, "onnx", "float64")
    kinds = fac_onnx.BACKEND.ops("float64") | {"erf"}
    made = OnnxArtifact(fit(compiled(lowered(data)), kinds), "float64")
    reference = compile(data, "reference", "float64").open()
    state = {name: value for name, value in reference.state().items() if name != "step"}
    evaluator = ReferenceEvaluator(made.made(made.compiled.step), new_ops=[Erf])
    outputs = evaluator.output_names
    for number in range(20):
        x, y = batch(seed=number)
        given = {"x": x, "y": y, "lr": np.array(0.05), "step": np.array(number), **state}
        feeds = {name: given[name] for name in evaluator.input_names}
        found = dict(zip(outputs, evaluator.run(None, feeds), strict=True))
        assert float(found["loss"]) == pytest.approx(reference.step(x, y)["loss"], rel=1e-12)
        state |= {name.removesuffix(".next"): value for name, value in found.items() if name != "loss"}
    for name, value in state.items():
        np.testing.assert_allclose(value, reference.state()[name], rtol=1e-12, atol=1e-13)


def one_op(kind: str, *operands: Type, **attributes: Any) -> Function:
    b = Builder()
    x, *state = (b.input(f"s{k}" if k else "x", type) for k, type in enumerate(operands))
    return b.finish("forward", {"output": b.emit(kind, x, *state, **attributes)})


WINDOW = {"stride": (1, 1), "padding": (0, 0, 0, 0), "dilation": (1, 1), "groups": 1}
MISSING = {
    "erf": one_op("erf", Type((N, 3))),
    **{kind: one_op(kind, Type((N, 3))) for kind in ("softplus", "hardsigmoid", "hardswish")},
    "leaky_relu": one_op("leaky_relu", Type((N, 3)), slope=0.1),
    "elu": one_op("elu", Type((N, 3)), alpha=0.5),
    "conv2d": one_op("conv2d", Type((N, 1, 3, 3)), Type((1, 1, 2, 2)), **WINDOW),
    "conv2d_input": one_op("conv2d_input", Type((N, 1, 2, 2)), Type((1, 1, 2, 2)), size=(3, 3), **WINDOW),
}


@pytest.mark.parametrize("kind", MISSING)
def test_the_stated_gaps_are_real(kind: str) -> None:
    """If a later onnxruntime has the kernel, this fails, and the line in NO_KERNEL goes."""
    from fac.diagnostics import FacError
    from fac_onnx.device import session
    from fac_onnx.templates import NO_KERNEL

    assert MISSING.keys() == NO_KERNEL["float64"]
    content = model(MISSING[kind], "float64", {})
    with pytest.raises(FacError, match="Could not find an implementation"):
        session(content.SerializeToString(), "cpu")
