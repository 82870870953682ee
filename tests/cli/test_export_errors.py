"""What `fac export` and `fac compile --parameters` refuse, and what a refusal leaves."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from safetensors.numpy import save_file

from fac.training import checkpoint
from fac_onnx import parameters
from tests.cli.test_export import Run, trained

# -- bad calls -----------------------------------------------------------------------------------------------


@pytest.fixture
def folder(run: Run, spec: Path) -> Path:
    return trained(run, spec, "--backend", "reference")


def test_names_that_no_backend_writes(run: Run, folder: Path) -> None:
    for name in ("model.pb", "model", ".onnx", "model.onnx.data"):
        status, out, err = run("export", folder, "-o", name)
        assert (status, out) == (2, "")
        ending = f"no backend writes a file like `{name}`: give `-o` a name that ends in `.onnx`"
        assert err == f"fac: {ending}\n"
    assert run("export", folder)[0] == 2


def test_places_that_cannot_be_written(run: Run, folder: Path, spec: Path) -> None:
    Path("models.onnx").mkdir()
    assert (
        run("export", folder, "-o", "models.onnx")[2]
        == "fac: `models.onnx` is a folder: give a file to `-o`\n"
    )
    place = spec / "model.onnx"
    status, out, err = run("export", folder, "-o", place)
    assert (status, out, err) == (2, "", f"fac: cannot write `{place}`: not a directory\n")
    status, out, err = run("export", folder, "-o", "nowhere/model.onnx")
    assert (status, out) == (2, "")
    assert err == "fac: cannot write `nowhere/model.onnx`: no such file or directory\n"


def test_a_file_that_is_read_only_is_not_replaced(run: Run, folder: Path) -> None:
    """As a shell does not with `>`, although the folder may be written."""
    path = Path("model.onnx")
    path.write_text("mine")
    path.chmod(0o444)
    said = "`model.onnx` is read-only: `chmod u+w` it, or give another file to `-o`"
    assert run("export", folder, "-o", "model.onnx") == (2, "", f"fac: {said}\n")
    assert path.read_text() == "mine"


def test_paths_that_onnx_does_not_take(run: Run, folder: Path, spec: Path) -> None:
    """Names of files are bytes on Linux, and those of an older archive need not be UTF-8."""
    name = os.fsdecode(b"m\xff.onnx")
    said = (2, "", "fac: cannot write `m\\udcff.onnx`: ONNX needs a path in UTF-8\n")
    assert run("export", folder, "-o", name) == said
    assert run("compile", spec, "--backend", "onnx", "-o", name) == said
    assert not Path(name).exists()


def test_what_is_no_checkpoint(run: Run, folder: Path, spec: Path) -> None:
    def refused(path: object) -> str:
        status, out, err = run("export", path, "-o", "model.onnx")
        assert (status, out) == (2, "")
        assert not Path("model.onnx").exists()
        return err

    assert refused("nowhere") == "fac: there is no checkpoint `nowhere`\n"
    Path("empty").mkdir()
    assert refused("empty") == f"fac: there is no checkpoint `{Path('empty', 'state.safetensors')}`\n"
    assert refused(spec).startswith(f"fac: `{spec}` is a spec, and no checkpoint: ")
    state = folder / "state.safetensors"
    Path("cut.safetensors").write_bytes(state.read_bytes()[:-10])
    assert refused("cut.safetensors").startswith("fac: `cut.safetensors` is damaged or is no checkpoint: ")
    for arrays, metadata in (
        ({"step": np.array(0)}, None),
        ({"a": np.zeros(2)}, {"fac_checkpoint": "1"}),
        ({"step": np.array([1, 2])}, {"fac_checkpoint": "1"}),
        ({"step": np.array(1.5)}, {"fac_checkpoint": "1"}),
    ):
        save_file(arrays, "arrays.safetensors", metadata)
        assert refused("arrays.safetensors") == (
            "fac: `arrays.safetensors` holds arrays, but is not a checkpoint that `fac` wrote: a training in Python "
            "can start from them, `fac.compile(SPEC).open(state, derive=True)`\n"
        )
    for kind in ("BF16", "F8_E4M3"):
        size = 2 if kind == "BF16" else 1
        header = json.dumps({"a": {"dtype": kind, "shape": [1], "data_offsets": [0, size]}}).encode()
        content = len(header).to_bytes(8, "little") + header + bytes(size)
        Path("odd.safetensors").write_bytes(content)
        expected = f"fac: `a` in `odd.safetensors` is {kind}, which NumPy does not know: store it as F32\n"
        assert refused("odd.safetensors") == expected


def test_the_initial_state_of_a_compiled_folder_is_a_checkpoint(run: Run, folder: Path, spec: Path) -> None:
    """So what `run.py` makes of it can be exported."""
    assert run("compile", spec, "--backend", "reference", "-o", "built")[0] == 0
    status, out, err = run("export", "built/state.safetensors", "-o", "model.onnx", "--base", folder.parent)
    assert (status, err) == (0, "")
    assert "after step 0" in out
    assert Path("model.onnx").exists()


def test_checkpoints_that_contradict_themselves(run: Run, folder: Path) -> None:
    found = checkpoint.load(folder / "state.safetensors")
    state, about = dict(found.state), dict(found.about)
    checkpoint.save(Path("other"), state | {"fc1.weight": np.zeros((9, 64))}, about)
    status, _, err = run("export", "other", "-o", "model.onnx")
    assert status == 2
    assert "another spec than `digits-small`: `fc1.weight` is [9, 64], not [16, 64]" in err
    bare = {k: v for k, v in about.items() if k != "spec"}
    for spec, said in (
        ({}, "`other` holds no spec: name a checkpoint of `fac train`"),
        (
            {"spec": "no json"},
            "`other` is damaged or is no checkpoint: its metadata have a `spec` that no run wrote; "
            "bring back a copy of it, or train anew in another folder",
        ),
    ):
        checkpoint.save(Path("other"), state, bare | spec)
        assert run("export", "other", "-o", "model.onnx")[::2] == (2, f"fac: {said}\n")
    without = json.loads(about["spec"]) | {"data": None}
    checkpoint.save(Path("other"), state, about | {"spec": json.dumps(without)})
    status, out, _ = run("export", "other", "-o", "model.onnx", "--json")
    found = json.loads(out)
    assert (status, found["inputs"], found["samples"], found["accuracy"]) == (0, "random", 256, None)


def test_devices_that_are_not_there(run: Run, folder: Path) -> None:
    status, out, err = run("export", folder, "-o", "model.onnx", "--device", "tpu")
    assert (status, out) == (2, "")
    assert err == "fac: the onnx backend runs on `cpu` and `cuda`, not on `tpu`\n"
    assert run("export", folder, "-o", "model.onnx", "--device", "")[0] == 2
    assert sorted(os.listdir()) == ["run", "small.fac.yaml"]


def test_a_precision_without_kernels(run: Run, spec: Path) -> None:
    """onnxruntime has no float64 `Erf`; the finding says what helps."""
    spec.write_text(spec.read_text().replace("kind: relu", "kind: gelu"))
    folder = trained(run, spec, "--backend", "reference")
    status, out, err = run("export", folder, "-o", "model.onnx", "--device", "cpu")
    assert (status, out) == (1, "")
    assert err.startswith("error[FAC401]: the backend `onnx` has no `erf` in float64, which `gelu_1` needs\n")
    assert f" --> {folder / 'state.safetensors'}:layers[2]\n" in err
    assert "use `--precision float32`" in err
    assert run("export", folder, "-o", "model.onnx", "--device", "cpu", "--precision", "float32")[0] == 0


# -- `fac compile --parameters` ------------------------------------------------------------------------------


def test_parameters_of_a_compiled_network(run: Run, spec: Path) -> None:
    for arguments, names in {
        (): {"x"},
        ("--parameters", "constants"): {"x"},
        ("--parameters", "inputs"): {"x", "fc1.weight", "fc1.bias", "logits.weight", "logits.bias"},
    }.items():
        status, _, err = run("compile", spec, "--backend", "onnx", "-o", "built", *arguments)
        assert (status, err) == (0, "")
        found = onnx.load("built/forward.onnx").graph.input
        assert {value.name for value in found} == names


@pytest.mark.parametrize("backend", ["torch", "reference"])
def test_backends_without_that_choice_refuse_it(run: Run, spec: Path, backend: str) -> None:
    status, out, err = run("compile", spec, "--backend", backend, "-o", "built", "--parameters", "inputs")
    assert (status, out) == (2, "")
    assert err == f"fac: the backend `{backend}` has no choice of `--parameters`: leave the option out\n"
    assert not Path("built").exists()


def test_a_companion_that_is_no_longer_needed_goes(
    run: Run, spec: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parameters, "LIMIT", 1000)
    _, out, _ = run("compile", spec, "--backend", "onnx", "-o", "built", "--json")
    assert "forward.onnx.data" in json.loads(out)["files"]
    assert Path("built", "forward.onnx.data").exists()
    run("compile", spec, "--backend", "onnx", "-o", "built", "--parameters", "inputs")
    assert not Path("built", "forward.onnx.data").exists()
