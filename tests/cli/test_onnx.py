"""Trainings on the ONNX backend: refused where they cannot go on, and the same where another backend goes on."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from fac.backend import Array
from fac_onnx import packages

Run = Callable[..., tuple[int, str, str]]
SPEC = """\
fac: 1
name: handed-on
input: {shape: [6]}
layers:
  - {kind: linear, name: fc1, out: 12}
  - {kind: relu}
  - {kind: dropout, rate: 0.2}
  - {kind: linear, name: fc2, out: 9}
  - {kind: tanh}
  - {kind: linear, name: logits, out: 4}
loss: {kind: cross_entropy}
feedback: {rule: ldfa, rank: 3, learn: oja_kp}
update: {rule: sgd, lr: 0.05, momentum: 0.9}
data: {source: teacher, task: classification, n: 96, test: 32, inputs: 6, outputs: 4}
train: {epochs: 4, batch: 8}
"""
F64 = ("--precision", "float64", "--device", "cpu")


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "handed-on.fac.yaml"
    path.write_text(SPEC)
    return path


def state(folder: str) -> dict[str, Array]:
    return load_file(Path(folder, "state.safetensors"))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("torch", "onnx"),
        ("torch", "reference"),
        ("onnx", "torch"),
        ("onnx", "reference"),
        ("reference", "onnx"),
        ("reference", "torch"),
    ],
)
def test_another_backend_goes_on(run: Run, spec: Path, first: str, second: str) -> None:
    """24 steps on one and 24 on the other are 48 on the first: each array to 1e-12 of its largest entry."""
    assert run("train", spec, "--backend", first, *F64, "--out", "whole")[0] == 0
    half = ("--set", "train.epochs=2")
    assert run("train", spec, "--backend", first, *F64, "--out", "parts", *half)[0] == 0
    before = state("parts")
    status, out, err = run("train", spec, "--resume", "parts", "--backend", second, *F64)
    assert status == 0
    assert f"`handed-on` on {second} (cpu, float64)" in out
    assert f"this run was on {first} (cpu, float64) and goes on on {second} (cpu, float64)" in err
    found, expected = state("parts"), state("whole")
    assert found.keys() == expected.keys()
    assert [int(s["step"]) for s in (before, found, expected)] == [24, 48, 48]
    assert np.abs(found["fc1.weight"] - before["fc1.weight"]).max() > 1e-3, "something was learnt since"
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, rtol=0, atol=1e-12 * np.abs(array).max(), err_msg=name)


def test_on_onnx_itself_it_goes_on_to_the_bit(run: Run, spec: Path) -> None:
    assert run("train", spec, "--backend", "onnx", *F64, "--out", "whole")[0] == 0
    half = ("--set", "train.epochs=2")
    assert run("train", spec, "--backend", "onnx", *F64, "--out", "parts", *half)[0] == 0
    assert run("train", spec, "--resume", "parts")[0] == 0
    found, expected = state("parts"), state("whole")
    assert all(np.array_equal(found[name], array) for name, array in expected.items())


def test_a_run_of_another_spec_is_not_resumed(run: Run, spec: Path) -> None:
    assert run("train", spec, "--backend", "onnx", *F64, "--out", "run")[0] == 0
    spec.write_text(SPEC.replace("lr: 0.05", "lr: 0.2"))
    before = Path("run", "state.safetensors").read_bytes()
    status, _, err = run("train", spec, "--resume", "run")
    assert status == 2
    assert err == (
        "fac: the checkpoint `run/state.safetensors` belongs to another spec: `update.lr` is 0.05 there and 0.2 here: "
        "resume with the spec of that run (a larger `train.epochs` is allowed), or go on with this one in another "
        "folder, `--fork run`\n"
    )
    assert Path("run", "state.safetensors").read_bytes() == before


@pytest.mark.parametrize("command", ["new", "resumed"])
def test_a_device_that_is_no_device(run: Run, spec: Path, command: str) -> None:
    if command == "resumed":
        assert run("train", spec, "--backend", "onnx", *F64, "--out", "run")[0] == 0
        status, _, err = run("train", spec, "--resume", "run", "--backend", "onnx", "--device", "tpu")
    else:
        status, _, err = run("train", spec, "--backend", "onnx", "--device", "tpu", "--out", "run")
        assert not Path("run").exists()
    assert (status, err) == (2, "fac: the onnx backend runs on `cpu` and `cuda`, not on `tpu`\n")


def test_a_folder_that_cannot_be_written(run: Run, spec: Path) -> None:
    status, out, err = run("train", spec, "--backend", "onnx", "--out", spec / "run")
    assert (status, out, err) == (2, "", f"fac: `{spec}` is a file, where a folder is needed: name another\n")
    status, out, err = run("compile", spec, "--backend", "onnx", "-o", spec / "built")
    assert (status, out) == (2, "")
    assert err == f"fac: `{spec}` is a file, where a folder is needed: name another\n"


# -- packages that are missing -------------------------------------------------------------------------------


def test_without_onnxruntime_only_running_is_refused(
    run: Run, spec: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def installed(name: str) -> object:
        raise PackageNotFoundError(name)

    assert run("train", spec, "--backend", "reference", "--out", "run")[0] == 0
    monkeypatch.setattr(packages, "installed", installed)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    message = (
        'backend `onnx` needs onnxruntime to run: pip install "fac-compiler[onnx]" for CPUs, '
        'or "fac-compiler[cuda]" for CUDA'
    )
    for arguments in (
        ("train", spec, "--backend", "onnx", "--out", "other"),
        ("train", "--resume", "run", "--backend", "onnx"),
        ("export", "run", "-o", "model.onnx"),
    ):
        status, out, err = run(*arguments)
        assert (status, out, err) == (2, "", f"fac: {message}\n")
    assert message in run("backends")[1]
    assert run("check", spec, "--backend", "onnx")[0] == 0
    assert run("compile", spec, "--backend", "onnx", "-o", "built")[0] == 0
    assert sorted(os.listdir()) == ["built", spec.name, "run"]


def test_without_onnx_everything_is_refused(run: Run, spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("train", spec, "--backend", "reference", "--out", "run")[0] == 0
    monkeypatch.setitem(sys.modules, "onnx", None)
    message = 'backend `onnx` needs onnx and onnxruntime: pip install "fac-compiler[onnx]"'
    for arguments in (
        ("check", spec, "--backend", "onnx"),
        ("compile", spec, "--backend", "onnx", "-o", "built"),
        ("train", spec, "--backend", "onnx", "--out", "other"),
        ("export", "run", "-o", "model.onnx"),
    ):
        status, _, err = run(*arguments)
        assert (status, err) == (2, f"fac: {message}\n")
    assert message in run("backends")[1]
    assert sorted(os.listdir()) == [spec.name, "run"]


def test_with_both_builds_running_is_refused(run: Run, spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "installed", lambda name: None)
    for arguments in (("train", spec, "--backend", "onnx"), ("backends",)):
        status, out, err = run(*arguments)
        assert status == (2 if arguments[0] == "train" else 0)
        assert "`onnxruntime` and `onnxruntime-gpu` are both installed" in out + err
        assert "`pip uninstall -y onnxruntime onnxruntime-gpu`, then install one" in out + err
