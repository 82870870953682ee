from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., tuple[int, str, str]]
REFERENCE = ("--backend", "reference")


def test_writes_an_artifact_and_lists_its_files(run: Run, spec: Path, tmp_path: Path) -> None:
    status, out, err = run("compile", spec, *REFERENCE, "-o", "built")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "`digits-small` for reference (float64) in `built`:"
    assert sorted(line.split()[-1] for line in lines[1:]) == sorted(os.listdir(tmp_path / "built"))


def test_json_and_default_folder(run: Run, spec: Path, tmp_path: Path) -> None:
    status, out, _ = run("compile", spec, *REFERENCE, "--precision", "float32", "--set", "name=a b", "--json")
    assert status == 0
    found = json.loads(out)
    assert (found["spec"], found["backend"], found["precision"]) == ("a b", "reference", "float32")
    assert found["directory"] == "build/a-b"
    assert sorted(found["files"]) == sorted(os.listdir(tmp_path / "build" / "a-b"))


@pytest.mark.parametrize("name", ["b/\0x", "x" * 300])
def test_a_manifest_with_names_that_no_file_has_is_none_of_ours(run: Run, spec: Path, name: str) -> None:
    assert run("compile", spec, "--backend", "torch", "-o", "b")[0] == 0
    found = json.loads(Path("b/manifest.json").read_text())
    Path("b/manifest.json").write_text(json.dumps(found | {"files": [*found["files"], name]}))
    status, _, err = run("compile", spec, "--backend", "reference", "-o", "b")
    assert status == 2
    assert "holds no earlier artifact" in err
    Path("b/manifest.json").write_text(json.dumps(found))
    assert run("compile", spec, "--backend", "reference", "-o", "b")[0] == 0


def test_what_takes_data_is_said_to_be_missing(run: Run, spec: Path) -> None:
    direct = ("--set", "feedback={rule: dfa}", "--set", "train.prealign=unit")
    status, _, err = run("compile", spec, "--backend", "reference", *direct)
    assert status == 0
    assert "the initial state is not pre-aligned" in err


def test_data_are_not_needed(run: Run, spec: Path) -> None:
    spec.write_text(spec.read_text().replace("data: {source: digits}\n", "").replace("train:", "# train:"))
    assert run("compile", spec, *REFERENCE)[0] == 0


def test_an_earlier_artifact_is_replaced_as_a_whole(run: Run, spec: Path, tmp_path: Path) -> None:
    run("compile", spec, *REFERENCE, "-o", "built")
    built = tmp_path / "built"
    manifest = json.loads((built / "manifest.json").read_text())
    manifest["files"] += ["stale.py", "../outside.txt"]
    (built / "manifest.json").write_text(json.dumps(manifest))
    (built / "stale.py").touch()
    (built / "notes.txt").touch()
    (tmp_path / "outside.txt").touch()
    assert run("compile", spec, *REFERENCE, "-o", "built")[0] == 0
    assert not (built / "stale.py").exists()
    assert (built / "notes.txt").exists()
    assert (tmp_path / "outside.txt").exists()


def test_what_is_somebodys_own_work_is_never_replaced(run: Run, spec: Path, tmp_path: Path) -> None:
    """A file of the name of an output, a link too, and an output that was edited; what is gone is made again."""
    built = tmp_path / "built"
    remedy = "move what you want to keep out of `built`, or give another folder to `-o`"
    run("compile", spec, *REFERENCE, "-o", "built")
    (built / "run.py").write_text("mine")
    (built / "forward.onnx").symlink_to("nowhere")
    onnx = ("compile", spec, "--backend", "onnx", "-o", "built")
    before = sorted(os.listdir(built))
    status, out, err = run(*onnx)
    names = (
        "`built/forward.onnx` (no part of the artifact there), `built/run.py` (no part of the artifact there)"
    )
    assert (status, out, err) == (2, "", f"fac: {names} would be lost: {remedy}\n")
    assert sorted(os.listdir(built)) == before
    assert (built / "run.py").read_text() == "mine"
    for name in ("run.py", "forward.onnx"):
        (built / name).unlink()
    (built / "state.safetensors").unlink()
    assert run(*onnx)[0] == 0
    for changed in ("run.py", "step.onnx"):
        text = (built / changed).read_bytes()
        (built / changed).write_bytes(text + b"\n")
        for call in (onnx, ("compile", spec, *REFERENCE, "-o", "built")):
            status, _, err = run(*call)
            assert (status, err) == (
                2,
                f"fac: `built/{changed}` (changed since it was written) would be lost: {remedy}\n",
            )
            assert (built / changed).read_bytes() == text + b"\n"
        (built / changed).write_bytes(text)
    assert run("compile", spec, *REFERENCE, "-o", "built")[0] == 0
    assert not (built / "run.py").exists()


def test_an_artifact_of_an_earlier_version_has_no_digests_and_is_replaced(
    run: Run, spec: Path, tmp_path: Path
) -> None:
    run("compile", spec, *REFERENCE, "-o", "built")
    path = tmp_path / "built" / "manifest.json"
    found = json.loads(path.read_text())
    assert found.pop("digests").keys() == {*found["files"]} - {"manifest.json"}
    path.write_text(json.dumps(found))
    assert run("compile", spec, *REFERENCE, "-o", "built")[0] == 0


def test_a_folder_with_other_things_is_refused(run: Run, spec: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "manifest.json").write_text('{"something": "else"}')
    status, out, err = run("compile", spec, *REFERENCE, "-o", "mine")
    assert (status, out) == (2, "")
    expected = "`mine` is not empty and holds no earlier artifact: give a new or empty folder to `-o`"
    assert err == f"fac: {expected}\n"
    assert os.listdir(tmp_path / "mine") == ["manifest.json"]


def test_bad_calls(run: Run, spec: Path) -> None:
    status, _, err = run("compile", spec, *REFERENCE, "-o", spec)
    assert (status, err) == (2, f"fac: `{spec}` is a file: give a folder to `-o`\n")
    status, _, err = run("compile", spec, *REFERENCE, "-o", spec / "built")
    assert (status, err) == (2, f"fac: `{spec}` is a file, where a folder is needed: name another\n")
    assert "no backend is called `x`" in run("compile", spec, "--backend", "x")[2]
    spec.write_text(spec.read_text().replace("out: 16", "out: sixteen"))
    assert run("compile", spec, *REFERENCE)[0] == 1
