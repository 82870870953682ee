"""The folder of a run goes with its project: nothing in it says where on the machine that was."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pytest

import fac
from fac.pipeline import spec_hash
from fac.spec.data import Data, Place
from fac.training import checkpoint
from fac.training.data.arrays import Arrays
from fac.training.places import rebased, rebased_text

Run = Callable[..., tuple[int, str, str]]
REFERENCE = ("--backend", "reference", "--precision", "float64")
TOP = """\
fac: 1
name: moving   # a comment that a run keeps
input: {shape: [6]}
layers: [{kind: linear, name: fc1, out: 8}, {kind: dropout, rate: 0.2}, {kind: linear, name: logits, out: 3}]
loss: {kind: cross_entropy}
update: {rule: sgd, lr: 0.1, momentum: 0.9}
train: {epochs: 4, batch: 10}
"""
SECTIONS = {
    "flow": "data: {source: arrays, train: ../data/train.npz, test: '../data/test.npz'}  # mine\n",
    "block": "data:\n  source: arrays\n  train: ../data/train.npz # one\n  test: ../data/test.npz\n",
    "folded": "data:\n  source: arrays\n  train: ../data/train.npz\n  test: >-\n    ../data/test.npz\n",
    "alias": "data: {source: arrays, train: &t ../data/train.npz, test: *t}\n",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """`proj/specs/s.yaml` and `proj/data/{train,test}.npz`."""
    for name in ("specs", "data"):
        (tmp_path / "proj" / name).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in ("train", "test"):
        x, y = rng.standard_normal((40, 6)), rng.integers(0, 3, 40)
        np.savez(tmp_path / "proj" / "data" / f"{name}.npz", x=x, y=y)
    (tmp_path / "proj" / "specs" / "s.yaml").write_text(TOP + SECTIONS["flow"])
    return tmp_path / "proj"


def state(folder: Path) -> dict[str, Any]:
    return checkpoint.load(folder / "state.safetensors").state


@pytest.mark.parametrize("out", ["runs/a", "proj/runs/deep/a", "proj/specs"])
def test_a_renamed_project_goes_on_to_the_bit(run: Run, project: Path, tmp_path: Path, out: str) -> None:
    """From another working folder, too; and the second resume starts from what the first one wrote."""
    spec = project / "specs" / "s.yaml"
    assert run("train", spec, *REFERENCE, "--out", "whole", "--set", "train.epochs=6")[0] == 0
    assert run("train", spec, *REFERENCE, "--out", out, "--set", "train.epochs=2")[0] == 0
    new = tmp_path / "else" / "where"
    new.parent.mkdir()
    if out.startswith("proj/"):
        project.rename(new)
        folder = new / out.removeprefix("proj/")
    else:
        for name in ("proj", "runs"):
            (tmp_path / name).rename(new.parent / name)
        folder = new.parent / out
    os.chdir(new.parent)
    for epochs in (4, 6):
        status, _, err = run("train", "--resume", folder, "--set", f"train.epochs={epochs}")
        assert (status, "warning" in err) == (0, False), err
    found, whole = state(folder), state(tmp_path / "whole")
    assert found.keys() == whole.keys()
    for name, array in whole.items():
        np.testing.assert_array_equal(found[name], array)
    assert run("export", folder, "-o", "model.onnx", "--device", "cpu")[0] == 0


@pytest.mark.parametrize("layout", SECTIONS)
def test_the_kept_spec_is_right_from_where_it_lies(
    run: Run, project: Path, tmp_path: Path, layout: str
) -> None:
    spec = project / "specs" / "s.yaml"
    spec.write_text(TOP + SECTIONS[layout])
    assert run("train", spec, *REFERENCE, "--out", "proj/runs/a")[0] == 0
    kept = project / "runs" / "a" / "spec.fac.yaml"
    assert kept.read_text().startswith(TOP) or layout in ("alias", "folded")  # which no single edit changes
    assert ("# mine" in kept.read_text(), "# one" in kept.read_text()) == (
        layout == "flow",
        layout == "block",
    )
    assert spec_hash(fac.load(kept)) == spec_hash(fac.load(spec))
    os.chdir(project / "runs" / "a")
    assert run("train", "spec.fac.yaml", *REFERENCE, "--out", "../b")[0] == 0
    for name, array in state(project / "runs" / "a").items():
        np.testing.assert_array_equal(state(project / "runs" / "b")[name], array)
    os.unlink("spec.fac.yaml")
    assert run("train", "--resume", ".", "--set", "train.epochs=5")[0] == 0
    assert "../../data/train.npz" in kept.read_text()


def test_a_folder_that_moved_alone_asks_for_the_data(run: Run, project: Path, tmp_path: Path) -> None:
    assert run("train", project / "specs" / "s.yaml", *REFERENCE, "--out", "proj/runs/a")[0] == 0
    shutil.move(project / "runs" / "a", tmp_path / "b")
    status, _, err = run("train", "--resume", "b", "--set", "train.epochs=5")
    assert status == 2
    assert err == (
        "fac: `../../data/train.npz` (`data.train`) is not a file: paths in a spec start from its own folder, here "
        "`b`; data that have moved are named with `--set data.train=PATH --set data.test=PATH`, paths from `b`\n"
    )
    named = [word for part in ("train", "test") for word in ("--set", f"data.{part}=../proj/data/{part}.npz")]
    status, _, err = run("train", "--resume", "b", "--set", "train.epochs=5", *named)
    assert status == 0
    assert "another spec" not in err
    assert run("train", "--resume", "b", "--set", "train.epochs=6")[0] == 0
    swapped = ["--set", "data.train=../proj/data/test.npz"]
    status, out, err = run("train", "--resume", "b", "--set", "train.epochs=7", *swapped)
    assert "the training data are not those that this run began with" in out + err


def test_a_spec_that_is_named_says_where_its_data_are(run: Run, project: Path, tmp_path: Path) -> None:
    """From then on, too: the run has the way to the data that it went on with."""
    assert run("train", project / "specs" / "s.yaml", *REFERENCE, "--out", "a")[0] == 0
    project.rename(tmp_path / "new")
    assert run("train", "--resume", "a", "--set", "train.epochs=5")[0] == 2
    assert run("train", "new/specs/s.yaml", "--resume", "a", "--set", "train.epochs=5")[0] == 0
    os.chdir(tmp_path / "new")
    for folder in ("../a", tmp_path / "a"):
        assert run("train", "--resume", folder, "--set", "train.epochs=6")[0] == 0
        assert run("export", folder, "-o", "model.onnx", "--device", "cpu")[0] == 0


def test_nothing_that_is_kept_names_the_machine(run: Run, project: Path, tmp_path: Path) -> None:
    """`proj/runs/a` could be published as it is."""
    os.chdir(project)
    assert run("train", project / "specs" / "s.yaml", *REFERENCE)[0] == 0
    assert run("train", "specs/s.yaml", *REFERENCE)[0] == 0
    assert run("train", "--resume", "runs/moving-1", "--set", "train.epochs=5")[0] == 0
    for file in (project / "runs").rglob("*"):
        if file.is_file():
            assert str(tmp_path).encode() not in file.read_bytes()


class Rows(Data):
    """A source that marks its path, and one value that looks like one."""

    source: Literal["rows"] = "rows"
    file: Annotated[str | None, Place()] = "x.csv"
    column: str = "a/b"


@pytest.mark.parametrize("value", ["../x.csv", "/abs/x.csv", "~/x.csv", None, "a b/ü, {x}: #y.csv"])
def test_only_relative_paths_change(value: str | None, tmp_path: Path) -> None:
    for name in ("from", "to/deep"):
        (tmp_path / name).mkdir(parents=True)
    base, folder = tmp_path / "from", tmp_path / "to" / "deep"
    found = rebased(Rows(file=value), base, folder)
    assert rebased(Rows(file=value), base, base) == {}
    if value is None or value[0] in "/~":
        assert found == {}
        return
    assert found.keys() == {"file"}
    assert os.path.normpath(folder / found["file"]) == os.path.normpath(base / value)
    document = fac.source.parse_text(
        f"data: {{source: rows, file: {json.dumps(value)}, column: a/b}} # z\n", "s"
    )
    text = rebased_text(document, found)
    assert fac.source.parse_text(text, "s").data == {"data": {"source": "rows", "column": "a/b", **found}}
    assert text.endswith("column: a/b} # z\n")
    assert rebased(Rows(), base, folder) == {"file": "../../from/x.csv"}


def test_a_source_that_marks_no_paths_still_resumes(
    run: Run, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its paths are as its author left them, and start from the folder of the spec as before."""
    monkeypatch.setattr(Arrays.model_fields["train"], "metadata", [])
    monkeypatch.setattr(Arrays.model_fields["test"], "metadata", [])
    spec = project / "specs" / "s.yaml"
    assert run("train", spec, *REFERENCE, "--out", "proj/runs/a")[0] == 0
    assert (project / "runs" / "a" / "spec.fac.yaml").read_text() == spec.read_text()
    project.rename(tmp_path / "new")
    assert run("train", "--resume", "new/runs/a", "--set", "train.epochs=5")[0] == 0


def test_a_run_of_an_earlier_version_goes_on(run: Run, project: Path) -> None:
    """It kept an absolute base and the text as it was."""
    spec, folder = project / "specs" / "s.yaml", project / "runs" / "a"
    assert run("train", spec, *REFERENCE, "--out", folder)[0] == 0
    found = checkpoint.load(folder / "state.safetensors")
    about = {**found.about, "base": str(spec.parent), "spec_hash": "that counted where the data lie"}
    checkpoint.save(folder / "state.safetensors", found.state, about)
    (folder / "spec.fac.yaml").write_text(spec.read_text())
    for epochs in (4, 5, 6):
        status, _, err = run("train", "--resume", folder, "--set", f"train.epochs={epochs}")
        assert status == 0, err
    assert str(project).encode() not in (folder / "state.safetensors").read_bytes()
    assert "../../data/train.npz" in (folder / "spec.fac.yaml").read_text()
