"""Inference files: the right numbers, the right parameters, and parameters beside the model where they are too many."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from safetensors.numpy import load_file

import fac_onnx
import fac_reference
import fac_torch
from fac.backend import Array, Artifact, Exporting, Precision
from fac.backend.identity import fingerprint
from fac.diagnostics import FacError
from fac.pipeline import compile
from fac.testing.nets import DROPOUT, NET, SKIP, Data, batch, batches, mlp, spec
from fac_onnx import parameters
from fac_onnx.artifact import OnnxArtifact
from fac_onnx.device import session
from fac_onnx.runtime import ort

TANH = mlp(8, 6, 3, activation={"kind": "tanh"})
SPECS: dict[str, Data] = {
    "mlp": spec(NET, {"rule": "ldfa", "rank": 2}, {"rule": "sgd", "lr": 0.05, "momentum": 0.9}),
    "skips": spec(SKIP, {"rule": "fa"}),
    "dropout": spec(DROPOUT, {"rule": "dfa"}, {"rule": "adam", "lr": 0.01}),
    "regression": spec(TANH, loss="mse"),
}
WIDE = spec(mlp(300, 7, 3))
"""Arrays of 6000, 1200, 8400, 28, 84 and 12 bytes: three go beside the model, none of which fills whole pages."""
X, Y = batch()


def made(data: Data, precision: Precision = "float32") -> OnnxArtifact:
    artifact = compile(data, "onnx", precision)
    assert isinstance(artifact, OnnxArtifact)
    return artifact


def trained(data: Data) -> dict[str, Array]:
    """A state that is not the initial one, float64."""
    run = compile(data, "reference").open()
    classes = None if data["loss"] == {"kind": "mse"} else 3
    for x, y in batches(7, 7, 5, classes=classes):
        run.step(x, y)
    return run.state()


def initializers(path: Path) -> dict[str, Any]:
    model = onnx.load(path, load_external_data=False)
    return {tensor.name: tensor for tensor in model.graph.initializer}


def entries(tensor: Any) -> dict[str, str]:
    return {entry.key: entry.value for entry in tensor.external_data}


@pytest.mark.parametrize(("precision", "tolerance"), [("float64", 1e-13), ("float32", 1e-5)])
@pytest.mark.parametrize("name", SPECS)
def test_the_file_computes_the_network(
    name: str, precision: Precision, tolerance: float, tmp_path: Path
) -> None:
    """Against the interpreter in float64: absolute, on outputs of size 1."""
    data = SPECS[name]
    state = trained(data)
    exported = made(data, precision).export(state, tmp_path / "model.onnx", "cpu")
    oracle = compile(data, "reference").open(state)
    for n in (1, 7):
        x, _ = batch(n)
        found = exported.run(x)
        assert found.dtype == precision
        np.testing.assert_allclose(found, oracle.forward(x), rtol=0, atol=tolerance)
    assert exported.runtime == f"onnxruntime {ort.__version__} (CPUExecutionProvider)"


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_what_the_file_says(precision: Precision, tmp_path: Path) -> None:
    data, path = SPECS["mlp"], tmp_path / "model.onnx"
    artifact = made(data, precision)
    artifact.export(trained(data), path, "cpu")
    assert [file.name for file in tmp_path.iterdir()] == ["model.onnx"]
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    declared = [
        (
            v.name,
            v.type.tensor_type.elem_type,
            [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim],
        )
        for v in (*model.graph.input, *model.graph.output)
    ]
    kind = onnx.TensorProto.DOUBLE if precision == "float64" else onnx.TensorProto.FLOAT
    assert declared == [("x", kind, ["N", 5]), ("output", kind, ["N", 3])]
    about = {entry.key: entry.value for entry in model.metadata_props}
    assert about == {
        "fac.name": "demo",
        "fac.fingerprint": fingerprint(artifact, "onnx"),
        "fac.spec_hash": artifact.compiled.spec_hash,
        "fac.version": artifact.compiled.version,
        "fac.function": "forward",
        "fac.precision": precision,
        "fac.state_map": "{}",
        "fac.step": "3",
    }


def test_constants_are_the_parameters_alone(tmp_path: Path) -> None:
    """Neither the feedback matrices nor what the update rule keeps."""
    data = SPECS["mlp"]
    state = trained(data)
    made(data).export(state, tmp_path / "model.onnx", "cpu")
    found = {
        name: onnx.numpy_helper.to_array(tensor)
        for name, tensor in initializers(tmp_path / "model.onnx").items()
        if name in state
    }
    assert set(found) == {f"{layer}.{part}" for layer in ("fc1", "fc2", "out") for part in ("weight", "bias")}
    for name, array in found.items():
        np.testing.assert_array_equal(array, state[name].astype(np.float32))


def test_a_state_of_another_spec_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    state = trained(SPECS["mlp"])
    state["fc1.weight"] = np.zeros((9, 5))
    with pytest.raises(FacError, match=r"another spec than `demo`: `fc1\.weight` is \[9, 5\], not \[8, 5\]"):
        made(SPECS["mlp"]).export(state, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_who_exports() -> None:
    assert isinstance(fac_onnx.BACKEND, Exporting)
    assert fac_onnx.BACKEND.exports == ".onnx"
    assert not isinstance(fac_reference.BACKEND, Exporting)
    assert not isinstance(fac_torch.BACKEND, Exporting)


@pytest.mark.parametrize("backend", ["reference", "torch"])
def test_other_backends_say_that_they_do_not(backend: str, tmp_path: Path) -> None:
    artifact: Artifact = compile(SPECS["mlp"], backend)
    with pytest.raises(
        FacError, match=r"^`\w+Artifact` makes no files for inference: compile the spec for `onnx`"
    ):
        artifact.export(trained(SPECS["mlp"]), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


# -- parameters beside the model -----------------------------------------------------------------------------


def test_large_parameters_go_beside_the_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """At the start of a page each, in one file; small ones stay; and the numbers are those of one file."""
    state = trained(WIDE)
    whole = made(WIDE).export(state, tmp_path / "whole.onnx", "cpu").run(X)
    sizes = {name: state[name].size * 4 for name in ("fc1.weight", "fc1.bias", "fc2.weight")}
    assert all(size > parameters.SMALL and size % parameters.PAGE for size in sizes.values())
    monkeypatch.setattr(parameters, "LIMIT", 10_000)
    path = tmp_path / "apart" / "model.onnx"
    np.testing.assert_array_equal(made(WIDE).export(state, path, "cpu").run(X), whole)
    assert sorted(file.name for file in path.parent.iterdir()) == ["model.onnx", "model.onnx.data"]
    onnx.checker.check_model(path, full_check=True)
    stored, end = path.with_name("model.onnx.data").read_bytes(), 0
    for name, tensor in initializers(path).items():
        assert entries(tensor).get("location", "model.onnx.data") == "model.onnx.data"
        assert bool(tensor.external_data) == (name in sizes)
        if name in sizes:
            start, length = int(entries(tensor)["offset"]), int(entries(tensor)["length"])
            assert start % parameters.PAGE == 0
            assert (length, start - end < parameters.PAGE) == (sizes[name], True)
            end = start + length
            assert stored[start:end] == state[name].astype("<f4").tobytes()
    assert len(stored) == end


def test_the_limit_is_of_the_parameters_together(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert 1.9e9 < parameters.LIMIT < 2**31
    state = trained(WIDE)
    size = sum(4 * state[slot.name].size for slot in made(WIDE).compiled.state if slot.parameter)
    for limit, files in ((size, 1), (size - 1, 2)):
        monkeypatch.setattr(parameters, "LIMIT", limit)
        made(WIDE).export(state, tmp_path / str(limit) / "model.onnx", "cpu")
        assert len(list((tmp_path / str(limit)).iterdir())) == files


def test_a_model_whose_companion_is_missing_or_cut_short(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(parameters, "LIMIT", 0)
    path = tmp_path / "model.onnx"
    made(WIDE).export(trained(WIDE), path, "cpu")
    companion = tmp_path / "model.onnx.data"
    companion.write_bytes(companion.read_bytes()[:5000])
    with pytest.raises(FacError, match=f"^onnxruntime cannot load the model `{path}`, which may be "):
        session(str(path), "cpu")
    companion.unlink()
    with pytest.raises(FacError, match=f"^onnxruntime cannot load the model `{path}`, which may be "):
        session(str(path), "cpu")


# -- `forward.onnx` of a compiled folder ---------------------------------------------------------------------


def forward(folder: Path, state: dict[str, Array]) -> Array:
    """What the written forward pass makes of X, given the parameters that it asks for."""
    runner = session(str(folder / "forward.onnx"), "cpu")
    asked = {value.name: state[value.name] for value in runner.get_inputs() if value.name != "x"}
    (output,) = runner.run(["output"], {"x": X.astype(np.float32), **asked})
    return np.asarray(output)


def test_parameters_as_constants_or_inputs(tmp_path: Path) -> None:
    for choice in ("constants", "inputs"):
        artifact = made(SPECS["mlp"])
        assert artifact.parameters == "constants"
        if choice == "inputs":
            artifact.parameters = "inputs"
        artifact.write(tmp_path / choice)
    inputs = {
        choice: [v.name for v in onnx.load(tmp_path / choice / "forward.onnx").graph.input]
        for choice in ("constants", "inputs")
    }
    assert inputs["constants"] == ["x"]
    assert set(inputs["inputs"]) == {
        "x",
        *(f"{n}.{p}" for n in ("fc1", "fc2", "out") for p in ("weight", "bias")),
    }
    state = load_file(tmp_path / "constants" / "state.safetensors")
    given = forward(tmp_path / "inputs", state)
    np.testing.assert_array_equal(forward(tmp_path / "constants", {}), given)
    oracle = compile(SPECS["mlp"], "reference").open()
    np.testing.assert_allclose(given, oracle.forward(X), rtol=0, atol=1e-5)


def test_a_large_network_is_written_in_two_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(parameters, "LIMIT", 10_000)
    made(WIDE).write(tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert sorted(manifest["files"]) == sorted(file.name for file in tmp_path.iterdir())
    assert "forward.onnx.data" in manifest["files"]
    assert (tmp_path / "forward.onnx").stat().st_size < 2000
    state = load_file(tmp_path / "state.safetensors")
    expected = X @ state["fc1.weight"].T + state["fc1.bias"]
    for name in ("fc2", "out"):
        expected = np.maximum(expected, 0) @ state[f"{name}.weight"].T + state[f"{name}.bias"]
    np.testing.assert_allclose(forward(tmp_path, {}), expected, rtol=0, atol=1e-5)
    artifact = made(WIDE)
    artifact.parameters = "inputs"
    artifact.write(tmp_path / "inputs")
    assert not (tmp_path / "inputs" / "forward.onnx.data").exists()


def test_the_same_bytes_every_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(parameters, "LIMIT", 10_000)
    state = trained(WIDE)
    for name in ("a", "b"):
        made(WIDE).export(state, tmp_path / name / "model.onnx", "cpu")
    for file in ("model.onnx", "model.onnx.data"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
