from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import fac
from fac.backend import Precision
from fac.training import data
from fac.training.dataset import Dataset
from fac.training.fitting import fitted

Run = Callable[..., tuple[int, str, str]]


def loaded(path: Path, *overrides: str, precision: Precision = "float32") -> Dataset:
    """What the trainer trains on."""
    spec = fac.load(path, overrides)
    compiled = fac.pipeline.compiled(fac.pipeline.lowered(path, overrides))
    assert spec.data is not None
    loaded = data.load(spec.data, path.parent)
    return fitted(loaded, compiled.feeds, precision)


def assert_written(folder: Path, dataset: Dataset) -> None:
    """To the bit, and in the types that the trainer reads."""
    for part, split in (("train", dataset.train), ("test", dataset.test)):
        with np.load(folder / f"{part}.npz") as stored:
            assert sorted(stored.files) == ["x", "y"]
            for name, expected in (("x", split.x), ("y", split.y)):
                np.testing.assert_array_equal(stored[name], expected)
                assert stored[name].dtype == expected.dtype


def test_writes_what_is_trained_on(run: Run, spec: Path, tmp_path: Path) -> None:
    status, out, err = run("data", spec, "-o", "a/b")
    assert (status, err) == (0, "")
    folder = tmp_path / "a" / "b"
    assert sorted(os.listdir(folder)) == ["test.npz", "train.npz"]
    assert_written(folder, loaded(spec))
    sizes = [f"{(folder / f'{part}.npz').stat().st_size:,} bytes" for part in ("train", "test")]
    assert [" ".join(line.split()) for line in out.splitlines()] == [
        "`digits` as `digits-small` reads it in `a/b`:",
        f"{sizes[0]} train.npz x [1400, 8, 8] float32, y [1400] int64",
        f"{sizes[1]} test.npz x [397, 8, 8] float32, y [397] int64",
    ]


def test_fitted_to_the_network(run: Run, spec: Path, tmp_path: Path) -> None:
    """Flat samples, and targets of a regression; `--set` counts."""
    teacher = "data={source: teacher, n: 30, test: 10, inputs: 12, outputs: 10}"
    overrides = ("input.shape=[3, 4]", "loss.kind=mse", "train.batch=10", teacher)
    status, out, err = run("data", spec, "-o", "out", "--json", *(w for o in overrides for w in ("--set", o)))
    assert (status, err) == (0, "")
    assert_written(tmp_path / "out", loaded(spec, *overrides))
    found = json.loads(out)
    assert (found["spec"], found["source"], found["directory"]) == ("digits-small", "teacher", "out")
    sizes = {name: (tmp_path / "out" / name).stat().st_size for name in ("train.npz", "test.npz")}
    assert found["files"] == {
        name: {
            "bytes": sizes[name],
            "arrays": {
                "x": {"shape": [n, 3, 4], "dtype": "float32"},
                "y": {"shape": [n, 10], "dtype": "float32"},
            },
        }
        for name, n in (("train.npz", 30), ("test.npz", 10))
    }


def test_in_the_precision_of_the_training(run: Run, spec: Path, tmp_path: Path) -> None:
    teacher = "data={source: teacher, n: 30, test: 10, inputs: 64, outputs: 10}"
    overrides = ("loss.kind=mse", "train.batch=10", teacher)
    sets = [word for o in overrides for word in ("--set", o)]
    status, out, err = run("data", spec, "-o", "out", "--precision", "float64", *sets)
    assert (status, err) == (0, "")
    assert_written(tmp_path / "out", loaded(spec, *overrides, precision="float64"))
    assert "x [30, 8, 8] float64, y [30, 10] float64" in " ".join(out.split())


def test_a_spec_reads_what_was_written(run: Run, spec: Path, tmp_path: Path) -> None:
    """And may write it once more, to the same place."""
    assert run("data", spec, "-o", "out")[0] == 0
    before = loaded(spec)
    first = (tmp_path / "out" / "train.npz").read_bytes()
    arrays = "data={source: arrays, train: out/train.npz, test: out/test.npz}"
    assert run("data", spec, "--set", arrays, "-o", "out")[0] == 0
    assert_written(tmp_path / "out", before)
    assert (tmp_path / "out" / "train.npz").read_bytes() == first


def test_only_its_own_files_are_replaced(run: Run, spec: Path, tmp_path: Path) -> None:
    """The arrays that a spec names may lie in the folder."""
    for name in ("mine", "text"):
        (tmp_path / name).mkdir()
    np.savez(tmp_path / "mine" / "test.npz", x=np.zeros((2, 64)), y=np.arange(2))
    (tmp_path / "text" / "train.npz").write_text("notes")
    for folder, part in (("mine", "test"), ("text", "train")):
        before = (tmp_path / folder / f"{part}.npz").read_bytes()
        status, out, err = run("data", spec, "-o", folder)
        assert (status, out) == (2, "")
        expected = f"`{folder}/{part}.npz` is there and was not written by `fac data`: give another folder"
        assert err == f"fac: {expected} to `-o`\n"
        assert (tmp_path / folder / f"{part}.npz").read_bytes() == before
        assert os.listdir(tmp_path / folder) == [f"{part}.npz"]


def test_other_files_stay(run: Run, spec: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    assert run("data", spec, "-o", "out")[0] == 0
    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"


def test_folders_that_cannot_be_written(run: Run, spec: Path, tmp_path: Path) -> None:
    assert run("data", spec, "-o", spec) == (2, "", f"fac: `{spec}` is a file: give a folder to `-o`\n")
    status, out, err = run("data", spec, "-o", spec / "below")
    assert (status, out) == (2, "")
    assert err == f"fac: `{spec}` is a file, where a folder is needed: name another\n"
    (tmp_path / "out" / "train.npz").mkdir(parents=True)
    status, out, err = run("data", spec, "-o", "out")
    assert (status, out) == (2, "")
    assert err.startswith("fac: `out/train.npz` is there and was not written by `fac data`")


def test_a_full_disk_leaves_what_was_there(
    run: Run, spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("data", spec, "-o", "out")[0] == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}

    def full(*arguments: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("numpy.lib.format.write_array", full)
    status, out, err = run(
        "data", spec, "-o", "out", "--set", "input.shape=[64]", "--set", "layers.0.kind=relu"
    )
    assert (status, out, err) == (2, "", "fac: cannot write `out/train.npz`: no space left on device\n")
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_data_that_are_not_there_or_do_not_fit(run: Run, spec: Path, tmp_path: Path) -> None:
    status, _, err = run("data", spec, "-o", "out", "--set", "input.shape=[63]")
    assert status == 1
    assert "error[FAC219]: a sample of `digits` has 64 values, and the input takes 63" in err
    missing = "data={source: arrays, train: a.npz, test: b.npz}"
    assert "`a.npz` (`data.train`) is not a file" in run("data", spec, "-o", "out", "--set", missing)[2]
    spec.write_text(spec.read_text().replace("data: {source: digits}\n", ""))
    status, _, err = run("data", spec, "-o", "out")
    expected = f"fac: `{spec}` says nothing about data: add a section such as `data: {{source: digits}}`\n"
    assert (status, err) == (2, expected)
    spec.write_text(spec.read_text().replace("out: 16", "out: sixteen"))
    assert run("data", spec, "-o", "out")[0] == 1
    assert run("data", spec)[0] == 2
    assert not (tmp_path / "out").exists()
