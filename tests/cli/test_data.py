from __future__ import annotations

import base64
import json
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import fac
from fac.backend import Precision
from fac.training import data
from fac.training.dataset import Dataset
from fac.training.fitting import fitted

SVG = "{http://www.w3.org/2000/svg}"
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

    monkeypatch.setattr("numpy.lib.format.write_array_header_1_0", full)
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
    assert run("data", spec)[0] == 1
    assert not (tmp_path / "out").exists()


def test_it_says_what_there_is(run: Run, spec: Path) -> None:
    """Against NumPy, for each split; the classes add up."""
    status, out, err = run("data", spec, "--set", "data.validation=0.1", "--json")
    assert (status, err) == (0, "")
    found = json.loads(out)
    assert (found["spec"], found["source"]) == ("digits-small", "digits")
    dataset = loaded(spec, "data.validation=0.1")
    assert list(found["splits"]) == ["train", "validation", "test"]
    for part, split in dataset.splits.items():
        for name, array in (("x", split.x), ("y", split.y)):
            told = found["splits"][part][name]
            assert (told["shape"], told["missing"]) == (list(array.shape), 0)
            expected = (array.min(), array.max(), array.mean(dtype=float), array.std(dtype=float))
            assert [told[key] for key in ("min", "max", "mean", "sd")] == pytest.approx(expected)
        assert [one[part] for one in found["classes"]["y"]] == np.bincount(split.y).tolist()


def test_what_is_missing_is_counted_before_it_is_refused(run: Run, spec: Path, tmp_path: Path) -> None:
    x = np.ones((4, 64))
    x[1, 2], x[3, 4], x[3, 5] = np.nan, np.inf, 7.0
    np.savez(tmp_path / "a.npz", x=x, y=np.array([0, 1, 1, 9]))
    arrays = ("--set", "data={source: arrays, train: a.npz, test: a.npz}", "--set", "train.batch=2")
    status, out, err = run("data", spec, *arrays)
    assert status == 2
    assert err == (
        "fac: x of sample 1 in the `train` split of `arrays` holds nan at [2]: "
        "remove or replace values that are not finite in float32\n"
    )
    row = next(line.split() for line in out.splitlines() if line.startswith(" train  x"))
    deviation = np.std([1.0] * 253 + [7.0])
    assert row == ["train", "x", "[4,", "64]", "float32", "1", "7", "1.0236", f"{deviation:.5g}", "2"]
    assert ["1", "2", "2"] in [line.split() for line in out.splitlines()]


def test_samples_are_drawn(run: Run, spec: Path, tmp_path: Path) -> None:
    """A row for each class, and pixels that are those of the samples."""
    status, out, _ = run("data", spec, "--picture", "s.svg", "--json")
    assert status == 0
    json.loads(out)
    root = ElementTree.parse(tmp_path / "s.svg").getroot()
    names = [text.text for text in root.iter(f"{SVG}text")]
    assert names == ["training samples of digits", *map(str, range(10))]
    images = list(root.iter(f"{SVG}image"))
    assert len(images) == 100
    dataset = loaded(spec)
    number = int(str(images[13][0].text).removeprefix("sample "))
    assert dataset.train.y[number] == 1
    expected = dataset.train.x[number].reshape(8, 8)
    expected = (expected - expected.min()) / (expected.max() - expected.min())
    np.testing.assert_allclose(decoded(images[13].attrib["href"]) / 255, expected, atol=0.5 / 255 + 1e-6)
    assert run("data", spec, "--picture", "s.png", "-o", "out")[1].startswith("drew `s.png`")
    assert (tmp_path / "s.png").read_bytes().startswith(b"\x89PNG")


def decoded(href: str) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """The grey values of a PNG whose rows are not filtered."""
    raw = base64.b64decode(href.removeprefix("data:image/png;base64,"))
    width, height = struct.unpack(">2I", raw[16:24])
    length = struct.unpack(">I", raw[33:37])[0]
    rows = np.frombuffer(zlib.decompress(raw[41 : 41 + length]), np.uint8).reshape(height, width + 1)
    assert not rows[:, 0].any()
    return rows[:, 1:]


def test_pictures_that_cannot_be_drawn(run: Run, spec: Path) -> None:
    for name, message in (
        (
            "s.gif",
            "`s.gif` does not say which kind of picture it is: end the name with one of `.svg`, `.png`, `.pdf`\n",
        ),
        ("-", "a picture of samples goes to a file"),
        ("s.fac.yaml", "a picture would be written to `s.fac.yaml`, which is called as a spec is"),
    ):
        status, out, err = run("data", spec, "--picture", name)
        assert (status, out) == (2, "")
        assert err.startswith(f"fac: {message}")


def test_what_is_held_out_is_written_beside(run: Run, spec: Path, tmp_path: Path) -> None:
    assert run("data", spec, "--set", "data.validation=0.1", "-o", "out")[0] == 0
    held = loaded(spec, "data.validation=0.1").validation
    assert held is not None
    with np.load(tmp_path / "out" / "validation.npz") as stored:
        np.testing.assert_array_equal(stored["x"], held.x)
        np.testing.assert_array_equal(stored["y"], held.y)
    status, _, err = run("data", spec, "-o", "out")
    assert (status, err) == (0, "`out/validation.npz` is of an earlier call: now nothing is held out\n")
