from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

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
