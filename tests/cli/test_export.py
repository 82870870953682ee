"""`fac export`: the file is the trained network, and is there only if it was seen to be."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from safetensors.numpy import load_file

from fac import pipeline
from fac.backend import Array, Arrays, Artifact, Compiled, Exported, Feed, Precision, Term
from fac.cli.export import BOUND, compared, rounding
from fac.training import checkpoint
from fac.training.dataset import Split
from fac_onnx import parameters
from fac_onnx.artifact import OnnxArtifact
from fac_onnx.runtime import ort
from fac_reference import ReferenceBackend
from fac_reference.session import ReferenceArtifact

Run = Callable[..., tuple[int, str, str]]
RUNTIME = f"onnxruntime {ort.__version__} (CPUExecutionProvider)"
DIGITS = "data: {source: digits}"
READ = "x of shape [64] is read as [8, 8], row by row\n"
"""Of `TEACHER`, by the small network of the tests."""
UNTRAINED = r"adapters stand beside frozen weights that nobody has trained, .*\n"
TEACHER = "data: {source: teacher, task: classification, n: 128, test: 50, inputs: 64, outputs: 10}"


def trained(run: Run, spec: Path, *arguments: object, data: str = TEACHER, out: str = "run") -> Path:
    """The folder of a short run."""
    spec.write_text(spec.read_text().replace(DIGITS, data))
    status, _, err = run("train", spec, "--out", out, "--set", "train.epochs=1", *arguments)
    assert (status, re.sub(UNTRAINED, "", err.replace(READ, ""))) == (0, "")
    Path(out, "outcome.json").unlink()  # that so short a training comes to nothing is not what is exported
    return Path(out)


def outputs(path: Path, x: Any) -> Array:
    """What the file makes of x, by onnxruntime alone."""
    runner = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    kinds = {"tensor(double)": np.float64, "tensor(float)": np.float32}
    (output,) = runner.run(["output"], {"x": np.asarray(x, kinds[runner.get_inputs()[0].type])})
    return np.asarray(output)


def by_hand(state: dict[str, Array], x: Array) -> Array:
    """The small network in float64."""
    hidden = np.maximum(x.reshape(len(x), -1) @ state["fc1.weight"].T + state["fc1.bias"], 0)
    return np.asarray(hidden @ state["logits.weight"].T + state["logits.bias"])


# -- what is written -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["reference", "torch", "onnx"])
def test_the_file_is_the_trained_network(run: Run, spec: Path, backend: str) -> None:
    """In the precision of the training; onnxruntime and NumPy agree far within the bound that is accepted."""
    folder = trained(run, spec, "--backend", backend)
    status, out, err = run("export", folder, "-o", "model.onnx", "--device", "cpu", "--json")
    assert (status, err) == (0, "")
    found = json.loads(out)
    precision = "float64" if backend == "reference" else "float32"
    state = {
        name: array.astype(np.float64) for name, array in load_file(folder / "state.safetensors").items()
    }
    about = checkpoint.load(folder / "state.safetensors").about
    assert (
        found
        | {
            "spec": "digits-small",
            "spec_hash": about["spec_hash"],
            "step": 2,
            "backend": "onnx",
            "precision": precision,
            "runtime": RUNTIME,
            "file": "model.onnx",
            "files": ["model.onnx"],
            "samples": 50,
            "classes_agree": 50,
        }
        == found
    )
    assert found["accuracy"] == found["expected_accuracy"]
    assert found["max_deviation"] <= found["bound"] == BOUND[found["precision"]] * found["largest_output"]
    x = np.random.default_rng(0).standard_normal((9, 8, 8))
    tolerance = 1e-12 if precision == "float64" else 1e-5
    np.testing.assert_allclose(outputs(Path("model.onnx"), x), by_hand(state, x), rtol=0, atol=tolerance)
    props = {entry.key: entry.value for entry in onnx.load("model.onnx").metadata_props}
    assert (props["fac.step"], props["fac.spec_hash"]) == ("2", about["spec_hash"])
    assert sorted(os.listdir()) == ["model.onnx", "run", "small.fac.yaml"]


def test_adapters_are_merged_into_the_weights_beside_them(run: Run, spec: Path) -> None:
    """As a file of the same network without any, from the weights that `--to state_dict` writes."""
    adapters = (
        "--set",
        "adapters=[{match: fc1, kind: lora, rank: 2, alpha: 4}]",
        "--set",
        "feedback={rule: bp}",
    )
    folder = trained(run, spec, "--backend", "torch", *adapters)
    status, out, err = run("export", folder, "-o", "model.onnx", "--device", "cpu", "--json")
    assert (status, err) == (0, "")
    found = json.loads(out)
    assert found["merged_adapters"] == 1
    assert 0 < found["max_deviation"] <= found["bound"]
    assert run("export", folder, "--to", "state_dict", "-o", "merged.safetensors")[0] == 0
    state = load_file("merged.safetensors")
    x = np.random.default_rng(0).standard_normal((9, 8, 8))
    np.testing.assert_allclose(outputs(Path("model.onnx"), x), by_hand(state, x), rtol=0, atol=1e-5)
    model = onnx.load("model.onnx")
    held = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    np.testing.assert_array_equal(held["fc1.weight"], state["fc1.weight"])
    assert not any("lora" in name or "base_layer" in name for name in held)
    props = {entry.key: entry.value for entry in model.metadata_props}
    assert props["fac.spec_hash"] == checkpoint.load(folder / "state.safetensors").about["spec_hash"]
    assert run("export", folder, "-o", "again.onnx", "--device", "cpu")[1].startswith(
        "`digits-small` after step 2 (float32), with 1 merged adapter:\n"
    )


def test_adapters_stay_where_a_layer_shares_the_weight_without_one(run: Run, spec: Path) -> None:
    layers = (
        "layers=[{kind: flatten}, {kind: linear, name: fc1, out: 64}, {kind: linear, name: fc2, out: 64, tie: fc1}, "
        "{kind: linear, name: logits, out: 10}]"
    )
    adapters = "adapters=[{match: fc1, kind: lora, rank: 2}]"
    folder = trained(
        run,
        spec,
        "--backend",
        "reference",
        "--set",
        layers,
        "--set",
        adapters,
        "--set",
        "feedback={rule: bp}",
    )
    status, out, err = run("export", folder, "-o", "model.onnx", "--device", "cpu", "--json")
    assert status == 0
    assert err == "adapters are not merged: `fc2` and `fc1` share a weight and not its adapter\n"
    assert json.loads(out)["merged_adapters"] == 0
    status, _, err = run("export", folder, "--to", "state_dict", "-o", "merged.safetensors")
    assert status == 2
    assert "`fc2` and `fc1` share a weight and not its adapter: give both one and train anew, or write" in err
    status, _, err = run("export", folder, "--to", "peft", "-o", "apart")
    assert status == 2
    assert (
        "`fc1.bias`, `fc1.weight` moved: write the network with them, `fac export RUN -o model.onnx`" in err
    )
    assert not Path("apart").exists()


def test_an_adapter_of_one_layer_beside_a_frozen_weight_of_two_is_kept_apart(run: Run, spec: Path) -> None:
    fc = "kind: linear, out: 64"
    layers = (
        f"layers=[{{kind: flatten}}, {{{fc}, name: fc1, adapter: {{kind: lora, rank: 2}}}}, "
        f"{{{fc}, name: fc2, tie: fc1, trainable: false}}, {{kind: linear, name: logits, out: 10}}]"
    )
    folder = trained(run, spec, "--backend", "reference", "--set", layers, "--set", "feedback={rule: bp}")
    status, out, err = run("export", folder, "--to", "peft", "-o", "apart")
    assert status == 0
    assert out == "apart: 1 adapter and, whole, `logits` after step 2, for `PeftModel.from_pretrained`\n"
    assert (
        "`fc2` and `fc1` share a weight and not its adapter: these files are right for a module that" in err
    )
    found = json.loads(run("export", folder, "--to", "peft", "-o", "again", "--json")[1])
    assert found["modules_to_save"] == ["logits"]
    assert found["arrays"].keys() == load_file("again/adapter_model.safetensors").keys()


def test_what_it_prints(run: Run, spec: Path) -> None:
    folder = trained(run, spec, "--backend", "reference")
    status, out, err = run("export", folder / "state.safetensors", "-o", "model.onnx", "--device", "cpu")
    assert (status, err) == (0, "")
    first, file, third, deviation, classes = out.splitlines()
    assert first == "`digits-small` after step 2 (float64):"
    assert file.split() == [f"{os.stat('model.onnx').st_size:,}", "bytes", "model.onnx"]
    assert third == f"on 50 test samples, {RUNTIME} against NumPy in float64:"
    assert deviation.startswith("  maximum deviation ")
    assert classes.startswith("  50 of 50 predicted classes agree; accuracy ")


def test_the_figures_are_those_of_the_test_split(run: Run, spec: Path) -> None:
    """The accuracy is the one that the training reports, and the deviation the largest on those samples."""
    folder = trained(run, spec, "--backend", "torch", data=DIGITS)
    found = json.loads(run("export", folder, "-o", "model.onnx", "--device", "cpu", "--json")[1])
    last = json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])
    assert found["samples"] == 397
    assert found["accuracy"] == pytest.approx(last["test_accuracy"], abs=1e-12)
    from fac.training import data
    from fac.training.data.digits import Digits

    test = data.load(Digits(), precision="float32").test
    state = {
        name: array.astype(np.float64) for name, array in load_file(folder / "state.safetensors").items()
    }
    z, wanted = outputs(Path("model.onnx"), test.x), by_hand(state, test.x.astype(np.float64))
    assert found["max_deviation"] == pytest.approx(np.abs(z - wanted).max(), rel=1e-6)
    assert found["largest_output"] == pytest.approx(np.abs(wanted).max(), rel=1e-12)


def test_another_precision(run: Run, spec: Path) -> None:
    folder = trained(run, spec, "--backend", "reference")
    for precision, kind in (("float32", onnx.TensorProto.FLOAT), ("float64", onnx.TensorProto.DOUBLE)):
        status, out, _ = run(
            "export", folder, "-o", "m.onnx", "--precision", precision, "--device", "cpu", "--json"
        )
        assert (status, json.loads(out)["precision"]) == (0, precision)
        assert onnx.load("m.onnx").graph.input[0].type.tensor_type.elem_type == kind


def test_a_regression_has_no_classes(run: Run, spec: Path) -> None:
    spec.write_text(spec.read_text().replace("cross_entropy", "mse"))
    data = TEACHER.replace("classification", "regression")
    folder = trained(run, spec, "--backend", "reference", data=data)
    status, out, _ = run("export", folder, "-o", "model.onnx", "--device", "cpu")
    assert status == 0
    assert "classes" not in out
    found = json.loads(run("export", folder, "-o", "model.onnx", "--device", "cpu", "--json")[1])
    assert (found["classes_agree"], found["accuracy"]) == (None, None)


def test_parameters_beside_the_model(run: Run, spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parameters, "LIMIT", 1000)
    folder = trained(run, spec, "--backend", "reference")
    status, out, _ = run("export", folder, "-o", "model.onnx", "--device", "cpu")
    assert status == 0
    assert [line.split()[-1] for line in out.splitlines()[1:3]] == ["model.onnx", "model.onnx.data"]
    x = np.random.default_rng(0).standard_normal((9, 8, 8))
    state = load_file(folder / "state.safetensors")
    np.testing.assert_allclose(outputs(Path("model.onnx"), x), by_hand(state, x), rtol=0, atol=1e-12)
    os.unlink("model.onnx.data")
    status, _, err = run("export", folder, "-o", "model.onnx", "--device", "cpu")
    assert (status, err) == (0, ""), "an earlier export is replaced"
    assert sorted(os.listdir()) == ["model.onnx", "model.onnx.data", "run", "small.fac.yaml"]


def test_arrays_are_found_from_the_folder_of_the_training(
    run: Run, spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    for name in ("train", "test"):
        x = rng.standard_normal((64, 64)).astype(np.float32)
        np.savez(tmp_path / f"{name}.npz", x=x, y=rng.integers(0, 10, 64))
    folder = trained(
        run, spec, "--backend", "reference", data="data: {source: arrays, train: train.npz, test: test.npz}"
    )
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert run("export", tmp_path / folder, "-o", "model.onnx", "--device", "cpu")[0] == 0
    os.unlink("model.onnx")
    (tmp_path / "moved").mkdir()
    for name in ("train.npz", "test.npz"):
        (tmp_path / name).rename(tmp_path / "moved" / name)
    missing = "`train.npz` (`data.train`) is not a file: paths in a spec start from its own folder, here "
    status, out, err = run(
        "export", tmp_path / folder, "-o", "model.onnx", "--device", "cpu", "--base", "../nowhere"
    )
    assert (status, out, err) == (2, "", f"fac: {missing}`../nowhere`\n")
    assert os.listdir() == []
    status, out, err = run("export", tmp_path / folder, "-o", "model.onnx", "--device", "cpu")
    assert (status, err) == (0, "")
    assert (
        f"checked on random inputs, because the data of the training cannot be had: {missing}`{tmp_path}`\n"
        "on 256 random inputs, onnxruntime"
    ) in out
    assert "  256 of 256 predicted classes agree\n" in out
    os.unlink("model.onnx")
    status, _, _ = run(
        "export", tmp_path / folder, "-o", "model.onnx", "--device", "cpu", "--base", "../moved"
    )
    assert (status, os.listdir()) == (0, ["model.onnx"])


class PlainArtifact(ReferenceArtifact):
    """Exports the parameters as they are."""

    def write_inference(
        self, state: Mapping[str, Array], step: int, path: Path, device: str | None
    ) -> Exported:
        np.savez(path, **state)  # type: ignore[arg-type]
        with np.load(path) as stored:
            session = self.open({name: stored[name] for name in stored})
        return Exported(session.forward, f"numpy on {device} at step {step}")


class Plain(ReferenceBackend):
    name = "plain"
    exports = ".npz"

    def emit(self, compiled: Compiled, precision: Precision) -> Artifact:
        return PlainArtifact(compiled, precision)


def test_a_backend_of_ones_own(run: Run, spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is found by how its files are called."""
    folder = trained(run, spec, "--backend", "reference")
    known = pipeline.backends()
    monkeypatch.setattr(pipeline, "backends", lambda: (*known, Plain()))
    status, out, err = run("export", folder, "-o", "model.npz", "--device", "here", "--json")
    assert (status, err) == (0, "")
    found = json.loads(out)
    assert (found["backend"], found["runtime"]) == ("plain", "numpy on here at step 2")
    assert (found["files"], found["max_deviation"]) == (["model.npz"], 0.0)
    assert "ends in `.onnx` or `.npz`" in run("export", folder, "-o", "model.pb")[2]
    assert run("export", folder, "-o", "model.onnx", "--device", "cpu")[0] == 0


# -- the check can fail --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("precision", "factor", "good"),
    [
        ("float32", 1 + 0.5e-5, True),
        ("float32", 1 + 2e-4, False),
        ("float64", 1 + 0.5e-10, True),
        ("float64", 1 + 2e-10, False),
        ("float64", float("nan"), False),
    ],
)
def test_a_file_that_deviates_is_not_there(
    run: Run, spec: Path, monkeypatch: pytest.MonkeyPatch, precision: str, factor: float, good: bool
) -> None:
    """A file whose outputs are off by a factor; the earlier one stays."""
    folder = trained(run, spec, "--backend", "reference")
    Path("model.onnx").write_text("the one before")
    honest = OnnxArtifact.write_inference

    def dishonest(*arguments: Any) -> Exported:
        found = honest(*arguments)
        return Exported(lambda x: found.run(x).astype(np.float64) * factor, found.runtime)

    monkeypatch.setattr(OnnxArtifact, "write_inference", dishonest)
    status, out, err = run("export", folder, "-o", "model.onnx", "--precision", precision, "--device", "cpu")
    assert status == (0 if good else 2)
    if not good:
        assert out == ""
        assert err.startswith(
            "fac: `model.onnx` is not written: on 50 test samples its outputs deviate from NumPy "
        )
        assert ("; `--precision float64` rounds less" in err) == (precision == "float32")
        assert Path("model.onnx").read_text() == "the one before"
    assert sorted(os.listdir()) == ["model.onnx", "run", "small.fac.yaml"], "nothing is left beside it"


def cancelling(folder: Path) -> None:
    """Make a network of the run whose sums cancel: outputs of the order of 10, of terms of the order of 1000.

    Rounding in float32 shows in the fourth digit, and more than `BOUND` allows.
    """
    path = folder / "state.safetensors"
    found, rng = checkpoint.load(path), np.random.default_rng(0)
    state, (m, k) = dict(found.state), found.state["logits.weight"].shape
    half = rng.standard_normal((m, k // 2))
    state["fc1.bias"] = np.full(k, 1e4)
    state["logits.weight"] = np.concatenate([half, -half], 1)
    checkpoint.save(path, state, found.about)


def test_what_rounding_does_to_numpy_is_explained_and_a_wrong_weight_is_not(
    run: Run, spec: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both deviate by more than a share of the outputs; one weight that is off by a thousandth still stands out."""
    folder = trained(run, spec, "--backend", "reference")
    cancelling(folder)
    export = ("export", folder, "-o", "model.onnx", "--precision", "float32", "--device", "cpu", "--json")
    status, out, err = run(*export)
    assert (status, err) == (0, "")
    found = json.loads(out)
    assert BOUND["float32"] * found["largest_output"] < found["max_deviation"] <= found["bound"]
    honest = OnnxArtifact.write_inference

    def off(artifact: Any, state: Mapping[str, Array], *rest: Any) -> Exported:
        weight = state["logits.weight"].copy()
        weight[0, 0] *= 1 + 1e-3
        return honest(artifact, {**state, "logits.weight": weight}, *rest)

    monkeypatch.setattr(OnnxArtifact, "write_inference", off)
    os.unlink("model.onnx")
    status, out, err = run(*export[:-1])
    assert (status, out) == (2, "")
    said = re.fullmatch(
        r"fac: `model.onnx` is not written: .* by up to (\S+) where they reach (\S+), and rounding in "
        r"float32 explains at most (\S+); `--precision float64` rounds less\n",
        err,
    )
    assert said is not None
    deviation, largest, explained = (float(figure) for figure in said.groups())
    assert explained == pytest.approx(found["bound"], rel=0.05)
    assert largest == pytest.approx(found["largest_output"], rel=0.01)
    assert deviation > 3 * explained
    assert not os.path.exists("model.onnx")


def test_rounding_goes_with_the_spacing_of_numbers() -> None:
    """Four times what NumPy's float32 is off by, and 2^29 times less of it in float64. Overflow explains nothing."""
    split: Any = Split(np.zeros((3, 2)), np.zeros((3, 2)))

    def session(off: float) -> Any:
        compiled = SimpleNamespace(losses=(Term(),), targets=(Feed("y", (2,), "mse"),))
        return SimpleNamespace(compiled=compiled, forward=lambda batch: batch["x"] + off)

    def found(off: float, precision: Precision) -> float:
        return rounding(session(off), session(0.0), split, precision)

    assert found(0.25, "float32") == 1.0
    assert found(0.25, "float64") == 2.0**-29
    assert found(float("inf"), "float32") == found(float("nan"), "float32") == 0.0


def test_every_part_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """One wrong output among samples that are compared in several parts, and the classes that it changes."""
    data = {
        "fac": 1,
        "name": "line",
        "input": {"shape": (2,)},
        "layers": ({"kind": "linear", "name": "out", "out": 3},),
        "loss": {"kind": "cross_entropy"},
        "update": {"rule": "sgd", "lr": 0.1},
    }
    session = pipeline.compile(data, "reference").open()
    rng = np.random.default_rng(0)
    x = rng.standard_normal((5000, 2)).astype(np.float32)
    z = session.forward(x)
    split = Split(x, z.argmax(1))
    for row in (0, 2047, 2048, 4999):

        def wrong(part: Arrays, row: int = row) -> Array:
            found = session.forward(part)
            at = np.flatnonzero((part["x"] == x[row]).all(1))
            found[at, found[at].argmin(1)] += 100
            return found

        outcome = compared(wrong, session, split)
        assert outcome.samples == 5000
        assert outcome.deviation == pytest.approx(100)
        assert outcome.largest == np.abs(z).max()
        assert (outcome.agree, outcome.accuracy, outcome.expected) == (4999, 4999 / 5000, 1.0)


# -- docs/running.md -----------------------------------------------------------------------------------------


def test_what_the_page_shows(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands run, and print what stands there but for the figures; the code reads the file."""
    root = Path(__file__).parents[2]
    (section,) = re.findall(
        r"^## One file for inference$\n(.*?)^## ", (root / "docs" / "running.md").read_text(), re.M | re.S
    )
    shell, code = re.findall(r"^```\w*\n(.*?)^```", section, re.M | re.S)
    Path("examples").symlink_to(root / "examples")
    commands = [
        line.removeprefix("$ fac ").split() for line in shell.splitlines() if line.startswith("$ fac ")
    ]
    printed = [run(*command, *(("--device", "cpu") if "export" in command else ())) for command in commands]
    assert [status for status, _, _ in printed] == [0, 0]

    def masked(text: str) -> str:
        return re.sub(r"[\d.,]+(e-\d+)?", "#", re.sub(r" +", " ", text))

    assert masked(shell).endswith(masked(printed[1][1]))
    found: dict[str, Any] = {"x": np.zeros((3, 64), np.float32)}
    exec(code, found)
    assert found["output"].shape == (3, 10)
    keys = re.findall(r"fac\.\w+", code)
    assert keys
    assert set(keys) <= found["about"].keys()
