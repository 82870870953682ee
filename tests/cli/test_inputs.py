"""Several inputs by name from end to end: data, training, a stop in mid-epoch, `run.py`, an exported file."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from fac import pipeline
from fac.training import data
from fac.training.checkpoint import load
from fac.training.folder import STATE
from fac.training.loop import StoppedError, train

Run = Callable[..., tuple[int, str, str]]
SPEC = """\
fac: 1
name: reviews
inputs:
  words: {shape: [5], classes: 8}
  kept: {shape: [5], mask: true}
  age: {shape: [1]}
layers:
  - {kind: one_hot, from: words, num_classes: 8}
  - {kind: linear, name: fc1, out: 6}
  - {kind: tanh}
  - {kind: mean, name: text, axes: [0], mask: kept}
  - {kind: concat, from: [text, age]}
  - {kind: linear, name: logits, out: 3}
loss: {kind: cross_entropy}
feedback: {rule: ldfa, rank: 2}
update: {rule: sgd, lr: 0.2, momentum: 0.9}
data: {source: arrays, train: train.npz, test: test.npz, names: [age, kept, words, y]}
train: {epochs: 2, batch: 8, seed: 5}
"""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    """The spec beside its data, in which the class is known from the words that count."""
    rng = np.random.default_rng(0)
    for name, n in (("train", 50), ("test", 20)):
        words, length = rng.integers(0, 8, (n, 5)), rng.integers(1, 6, n)
        kept = np.arange(5) < length[:, None]
        y = (words * kept).sum(1) % 3
        age = rng.standard_normal((n, 1))
        np.savez(tmp_path / f"{name}.npz", words=words.astype(np.uint8), kept=kept, age=age, y=y)
    path = tmp_path / "reviews.fac.yaml"
    path.write_text(SPEC)
    return path


def test_data_of_several_arrays(run: Run, spec: Path, tmp_path: Path) -> None:
    """`fac data` writes what the trainer sees, and that is data again."""
    status, out, err = run("data", spec, "-o", "out", "--precision", "float64")
    assert (status, err) == (0, "")
    words = " ".join(out.split())
    assert "words [50, 5] int64, kept [50, 5] float64, age [50, 1] float64, y [50] int64" in words
    with np.load(tmp_path / "train.npz") as given, np.load(tmp_path / "out" / "train.npz") as written:
        assert sorted(written.files) == sorted(given.files)
        for name in given.files:
            np.testing.assert_array_equal(written[name], given[name].astype(written[name].dtype))
    moved = spec.with_name("moved.fac.yaml")
    moved.write_text(SPEC.replace("train.npz", "out/train.npz").replace("test.npz", "out/test.npz"))
    for path, folder in ((spec, "a"), (moved, "b")):
        assert run("train", path, "--out", folder, "--backend", "reference")[0] == 0
    before, after = (load(tmp_path / folder / STATE) for folder in ("a", "b"))
    assert before.about["data"] == after.about["data"]
    for name, array in before.state.items():
        np.testing.assert_array_equal(after.state[name], array)


@pytest.mark.parametrize("backend", ["reference", "torch", "onnx"])
def test_a_training_that_stops_in_mid_epoch_goes_on(backend: str, spec: Path) -> None:
    """To the bit as if it had not stopped: the same rows of all arrays, in the same order."""
    read = pipeline.load(spec)
    assert read.data is not None
    dataset, artifact = data.load(read.data, spec.parent), pipeline.compile(read, backend)
    whole, parts = artifact.open(), artifact.open()
    train(whole, dataset, read)
    left = iter([False] * 8 + [True])
    parts.at_once = 1  # so that it is asked after each step
    with pytest.raises(StoppedError):
        train(parts, dataset, read, stop=lambda: next(left))
    resumed = artifact.open(parts.state())
    train(resumed, dataset, read)
    assert resumed.steps == whole.steps == 12
    for name, array in whole.state().items():
        np.testing.assert_array_equal(resumed.state()[name], array, err_msg=name)


def test_the_written_program_and_the_exported_file(
    run: Run, spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`run.py` ends in the state of `fac train`, and the file makes the outputs of the session."""
    assert run("train", spec, "--out", "run", "--backend", "onnx")[0] == 0
    assert run("compile", spec, "--backend", "onnx", "-o", "built")[0] == 0
    assert run("data", spec, "-o", "out")[0] == 0
    command = ["run.py", "out/train.npz", "out/test.npz", "--out", "trained.safetensors"]
    monkeypatch.setattr(sys, "argv", command)
    runpy.run_path("built/run.py", run_name="__main__")
    state = load(tmp_path / "run" / STATE).state
    for name, array in load_file(tmp_path / "trained.safetensors").items():
        np.testing.assert_array_equal(state[name], array, err_msg=name)
    status, out, err = run("export", "run", "-o", "network.onnx")
    assert (status, err) == (0, "")
    assert "20 of 20 predicted classes agree" in out
    np.savez("bad.npz", **{**np.load("out/train.npz"), "words": np.full((50, 5), 8)})
    monkeypatch.setattr(sys, "argv", [command[0], "bad.npz", *command[2:]])
    with pytest.raises(SystemExit, match=r"words in `bad.npz` goes from 8 to 8, not from 0 to 7"):
        runpy.run_path("built/run.py", run_name="__main__")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kept": np.full((50, 5), 0.5)}, "kept of sample 0 in the `train` split of `arrays` holds 0.5: "
         "a mask holds 0 and 1 only"),
        ({"kept": np.ones((50, 4))}, "samples of `kept` in the `train` split of `arrays` have shape [4], but "
         "`inputs.kept.shape` is [5]: give a mask of each place, or write `inputs.kept: {shape: [4]}`"),
        ({"age": np.ones((50, 3))}, "samples of `age` in the `train` split of `arrays` have shape [3], but "
         "`inputs.age.shape` is [1]: write `inputs.age: {shape: [3]}`"),
        ({"kept": np.full(50, 4)}, "samples of `kept` in the `train` split of `arrays` have shape [], but "
         "`inputs.kept.shape` is [5]: give each sample 5 numbers"),
        ({"words": np.zeros((50, 5))}, "words in the `train` split of `arrays` holds float64, but "
         "`inputs.words.classes` asks for whole numbers"),
        ({"words": np.full((50, 5), 9)}, "words 9 of sample 0 in the `train` split of `arrays` is out of range: "
         "`inputs.words.classes` allows 0 to 7"),
        ({"age": np.zeros((49, 1))}, "the `train` split of `arrays` has 50 samples in words but 49 in age"),
    ],
    ids=["no mask", "a mask of another shape", "too wide", "lengths", "real numbers", "no class", "another length"],
)  # fmt: skip
def test_bad_data(
    change: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float64]]], message: str, run: Run, spec: Path
) -> None:
    path = spec.with_name("train.npz")
    with np.load(path) as given:
        arrays = {name: given[name] for name in given.files}
    np.savez(path, **{**arrays, **change})
    status, _, err = run("train", spec, "--out", "run", "--backend", "reference")
    assert status == 2
    assert message in " ".join(err.split())
    assert "Traceback" not in err
