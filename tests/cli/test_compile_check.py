"""`fac compile --check`: whether a folder is what would be written; and what refuses files of several compilations."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from shutil import copy

import numpy as np
import pytest

Run = Callable[..., tuple[int, str, str]]
IMPORT = "import step, kernels; print(len(kernels.load_state('state.safetensors')))"


def reasons(run: Run, *arguments: object) -> list[str]:
    status, out, _ = run("compile", *arguments, "-o", "b", "--check", "--json")
    found = json.loads(out)
    assert status == found["stale"] == bool(found["reasons"])
    return list(found["reasons"])


@pytest.mark.parametrize("backend", ["torch", "onnx", "reference"])
def test_a_folder_that_is_as_it_would_be_written(run: Run, spec: Path, backend: str) -> None:
    assert run("compile", spec, "--backend", backend, "-o", "b")[0] == 0
    before = {file: file.read_bytes() for file in Path("b").iterdir()}
    assert reasons(run, spec, "--backend", backend) == []
    status, out, err = run("compile", spec, "--backend", backend, "-o", "b", "--check")
    assert (status, out, err) == (0, "`b` is what would be written\n", "")
    assert {file: file.read_bytes() for file in Path("b").iterdir()} == before


def test_each_thing_that_makes_it_another_one_is_told(
    run: Run, spec: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = ("--backend", "torch")
    assert run("compile", spec, *torch, "--disable-pass", "addmm", "-o", "b")[0] == 0
    off = ("--disable-pass", "addcmul")
    assert reasons(run, spec, *torch, *off, "--precision", "float64") == [
        "its precision was `float32`, and is `float64` now",
        "`addcmul` has run, and is left out now",
        "`addmm` has not run, and does now",
    ]
    (found,) = reasons(run, spec, *torch, "--disable-pass", "addmm", "--set", "update.lr=0.3")
    assert found.startswith("the hash of its spec was `")
    same = (spec, *torch, "--disable-pass", "addmm")
    Path("b/kernels.py").write_text("pass\n")
    Path("b/step.py").unlink()
    assert reasons(run, *same) == [
        "`kernels.py` is not as it would be written",
        "`step.py` is not as it would be written",
    ]
    manifest = Path("b/manifest.json")
    about = json.loads(manifest.read_text())
    for edited in (
        about | {"lr": 99.0},
        about | {"fingerprint": "beef"},
        {k: about[k] for k in about if k != "digests"},
    ):
        manifest.write_text(json.dumps(edited))
        assert reasons(run, *same)[0] == "`kernels.py` is not as it would be written"
        assert reasons(run, *same)[-1] == "`manifest.json` is not as it would be written"
    manifest.write_text(json.dumps({k: about[k] for k in about if k != "passes"}))
    assert reasons(run, *same) == ["it does not say its passes"]
    run("compile", *same, "-o", "b2")
    monkeypatch.setattr("fac.pipeline._version", lambda: "9.9")
    status, out, _ = run("compile", *same, "-o", "b2", "--check")
    assert status == 1
    assert "`b2` is stale: the version of fac was `0.1.0`, and is `9.9` now" in out


def test_versions_of_frameworks_make_nothing_stale(run: Run, spec: Path) -> None:
    """They change nothing that is written, so that to compile anew would be no remedy."""
    assert run("compile", spec, "--backend", "torch", "-o", "b")[0] == 0
    place = Path("b/manifest.json")
    manifest = json.loads(place.read_text())
    manifest["versions"]["torch"] = "1.0"
    place.write_text(json.dumps(manifest))
    assert reasons(run, spec, "--backend", "torch") == []


def test_where_nothing_was_compiled(run: Run, spec: Path) -> None:
    for folder in ("nowhere", "."):
        status, _, err = run("compile", spec, "-o", folder, "--check")
        assert status == 2
        assert err == f"fac: `{folder}` holds no compiled spec: leave out `--check` to write it\n"


def test_a_step_refuses_other_kernels(run: Run, spec: Path) -> None:
    assert run("compile", spec, "--backend", "torch", "-o", "b")[0] == 0

    def imported() -> str:
        call = [sys.executable, "-B", "-c", IMPORT]
        done = subprocess.run(call, cwd="b", capture_output=True, text=True, check=False)
        return (done.stdout or done.stderr).strip().splitlines()[-1]

    place = Path("b/norm_kernels.py")
    text = place.read_bytes()
    place.write_bytes(text.replace(b"\n", b"\r\n"))
    assert imported().isdecimal(), "lines may end otherwise"
    place.write_bytes(text + b"THIN = 3\n")
    found = imported()
    assert found.startswith("ImportError: the kernels in `")
    assert found.endswith("take out the line that asks for them, if you have changed them yourself")


def test_a_program_refuses_models_of_another_compilation(run: Run, spec: Path) -> None:
    """Of the same spec, by other passes: numbers that differ in the last digits, without a sign of it."""
    onnx = ("--backend", "onnx")
    assert run("compile", spec, *onnx, "-o", "b")[0] == 0
    assert run("compile", spec, *onnx, "--disable-pass", "fuse_products", "-o", "other")[0] == 0
    copy("other/evaluate.onnx", "b/evaluate.onnx")
    draw = np.random.default_rng(0)
    np.savez("data.npz", x=draw.random((64, 64)), y=draw.integers(0, 10, 64))
    call = [sys.executable, "b/run.py", "data.npz", "data.npz"]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.strip().endswith(
        "evaluate.onnx` was made from another spec, or otherwise: compile the folder anew"
    )
