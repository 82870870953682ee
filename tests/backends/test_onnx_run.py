"""The written `run.py`: what it trains is what `fac train` trains, and it needs NumPy and onnxruntime alone."""

from __future__ import annotations

import json
import os
import re
import runpy
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import replace
from math import prod
from pathlib import Path
from subprocess import PIPE
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import fac
from fac import writing
from fac.backend import HostTask, Recipe, to_bytes
from fac.backend.session import CHUNK
from fac.diagnostics import FacError
from fac.testing.nets import RELU, linear, mlp, spec
from fac.training import checkpoint
from fac.training.dataset import Dataset, Split
from fac.training.loop import Report, StoppedError, train
from fac_onnx.run_page import run_page
from tests import children
from tests.conftest import ENDING

ROOT = Path(__file__).parents[2]
MOMENTUM = {"rule": "sgd", "lr": 0.05, "momentum": 0.9}
NEXT_TO_1 = {"rule": "sgd", "lr": 0.05, "momentum": 1 - 1e-10, "nesterov": True}
NET = (linear("fc1", 8), RELU, {"kind": "dropout", "rate": 0.3}, linear("out", 3))
REFRESHED = {"rule": "ldfa", "rank": 2, "learn": "normative", "refresh": 3}
TRAIN = {"epochs": 2, "batch": 16, "seed": 3}

SPECS: dict[str, tuple[dict[str, Any], Any]] = {
    "dropout, momentum, cosine": (
        spec(
            NET,
            {"rule": "ldfa", "rank": 2},
            MOMENTUM | {"schedule": {"kind": "cosine", "warmup": 3, "floor": 0.1}},
            train=TRAIN,
        ),
        "float32",
    ),
    "running statistics": (
        spec(
            (linear("fc1", 8), {"kind": "batch_norm"}, RELU, linear("out", 3)),
            {"rule": "fa"},
            MOMENTUM,
            train=TRAIN,
        ),
        "float32",
    ),
    "refreshed feedback": (
        spec(mlp(8, 6, 3), REFRESHED, MOMENTUM | {"schedule": "cosine"}, train=TRAIN),
        "float32",
    ),
    "anchors": (
        spec(
            NET,
            {"rule": "dfa", "learn": {"rule": "forward_gradient"}},
            MOMENTUM,
            train=TRAIN | {"anchor": {"every": 3, "rule": "bp"}},
        ),
        "float32",
    ),
    "anchors that move more": (
        spec(mlp(8, 3), {"rule": "shallow"}, MOMENTUM, train=TRAIN | {"anchor": {"every": 2, "rule": "bp"}}),
        "float64",
    ),
    "regression in float64": (
        spec(
            mlp(8, 3),
            {"rule": "fa"},
            {
                "rule": "adamw",
                "lr": 0.01,
                "schedule": {"kind": "step", "every": 1, "gamma": 0.5},
                "groups": ({"match": "*.bias", "use": NEXT_TO_1},),
            },
            loss="mse",
            train=TRAIN,
        ),
        "float64",
    ),
    "class weights": (
        spec(mlp(8, 3), update=MOMENTUM, train=TRAIN)
        | {"loss": {"kind": "cross_entropy", "weight": (0.0, 3.0, 1.0), "label_smoothing": 0.1}},
        "float32",
    ),
    "yes or no": (spec(mlp(8, 3), update=MOMENTUM, loss="bce", train=TRAIN), "float32"),
    "images, layers that stay": (
        spec(
            ({"kind": "flatten"}, *mlp(8, 3)),
            {"rule": "shallow"},
            MOMENTUM | {"schedule": {"kind": "cosine", "per": "epoch", "warmup": {"epochs": 1}}},
            shape=(2, 3),
            train=TRAIN,
        ),
        "float32",
    ),
}
EACH = pytest.mark.parametrize("name", SPECS)

SCRIPT = """
    import runpy
    import sys

    class Absent:
        def find_spec(self, name, path=None, target=None):
            if name.partition(".")[0] in (
                "fac", "fac_onnx", "fac_torch", "torch", "onnx", "pydantic", "ruamel", "safetensors"
            ):
                raise ImportError(f"the page must run without {name}")

    sys.meta_path.insert(0, Absent())
    runpy.run_path(sys.argv.pop(1), run_name="__main__")
    assert not {"fac", "fac_onnx", "torch", "onnx", "safetensors"} & set(sys.modules)
"""


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """In sessions and processes alike, so that sums have one order."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def artifact(name: str) -> Any:
    written, precision = SPECS[name]
    return fac.compile(written, backend="onnx", precision=precision)


def data(name: str) -> Dataset:
    """50 samples to train on, so that a batch is left over, and more to test on than are evaluated at a time.

    All labels of the second part that is evaluated are 0, the class that weighs nothing where classes have weights.
    """
    read, target = artifact(name).compiled.feeds
    rng = np.random.default_rng(0)
    splits = []
    for n in (50, 2100):
        x = rng.standard_normal((n, *read.shape)).astype(np.float32)
        made = x.reshape(n, -1) @ np.random.default_rng(1).standard_normal((prod(read.shape), 3))
        y = made if target.within is None else 1 / (1 + np.exp(-made))
        labels = np.where(np.arange(n) < CHUNK, made.argmax(1), 0)
        splits.append(Split(x, labels if target.classes else y.astype(np.float32)))
    return Dataset("made", *splits)


def written(name: str, folder: Path) -> Dataset:
    """The folder of an artifact and, beside it, its data, as NumPy writes what lies column by column in memory."""
    artifact(name).write(folder / "built")
    found = data(name)
    for part, split in (("train", found.train), ("test", found.test)):
        np.savez(folder / f"{part}.npz", x=np.asfortranarray(split.x), y=np.asfortranarray(split.y))
    return found


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`run.py` in a process of its own."""
    (folder / "main.py").write_text(textwrap.dedent(SCRIPT))
    command = [sys.executable, "main.py", "built/run.py", "train.npz", "test.npz", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def trained(name: str, dataset: Dataset, stop_after: int = 10**6) -> tuple[Any, Report | None]:
    """A session that the core has trained, and its report if it came to the end."""
    session = artifact(name).open(device="cpu")
    session.at_once = 1  # so that any step may be the last
    try:
        report = train(session, dataset, fac.load(SPECS[name][0]), stop=lambda: session.steps >= stop_after)
    except StoppedError:
        return session, None
    return session, report


def assert_same(path: Path, state: Mapping[str, Any]) -> None:
    """To the bit."""
    found = load_file(path)
    assert found.keys() == state.keys()
    for name, value in state.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


def printed(line: str) -> dict[str, float]:
    """The numbers of a line, by what they are."""
    return {key: float(value) for key, value in re.findall(r"  ([a-z ]+) ([\d.]+)", line)}


@EACH
def test_it_trains_as_the_core_does(name: str, tmp_path: Path) -> None:
    dataset = written(name, tmp_path)
    ended = run(tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    session, report = trained(name, dataset)
    assert_same(tmp_path / "trained.safetensors", session.state())
    assert report is not None
    *lines, last = ended.stdout.splitlines()
    assert last == "the state is in `trained.safetensors`"
    for line, record in zip(lines, report.history, strict=True):
        expected = {"train loss": record.train_loss, "test loss": record.test_loss}
        if record.test_accuracy is not None:
            expected["accuracy"] = record.test_accuracy
        assert line.startswith(f"epoch {record.epoch}/2  ")
        assert printed(line) == pytest.approx(expected, abs=0.5e-4 + 1e-12)


def test_the_state_keeps_its_metadata_and_goes_back_into_a_session(tmp_path: Path) -> None:
    name = "dropout, momentum, cosine"
    dataset = written(name, tmp_path)
    assert run(tmp_path, "--out", "after.safetensors").returncode == 0
    about = []
    for path in ("built/state.safetensors", "after.safetensors"):
        with safe_open(tmp_path / path, "numpy") as file:
            about.append(file.metadata())
    digests = [found.pop("digest") for found in about]
    assert about[0] == about[1]
    assert digests[0] != digests[1]
    session = artifact(name).open(load_file(tmp_path / "after.safetensors"), device="cpu")
    assert session.steps == 6
    assert session.evaluate(dataset.test.x, dataset.test.y) == trained(name, dataset)[0].evaluate(
        dataset.test.x, dataset.test.y
    )


@pytest.mark.parametrize("steps", [2, 4])
def test_it_goes_on_from_any_step(steps: int, tmp_path: Path) -> None:
    """From a state within an epoch too, as a run that was stopped leaves it."""
    name = "dropout, momentum, cosine"
    dataset = written(name, tmp_path)
    session, _ = trained(name, dataset, stop_after=steps)
    state = session.state()
    assert state["step"] == steps
    save_file(state, tmp_path / "part.safetensors", {"spec_hash": session.compiled.spec_hash})
    assert run(tmp_path, "--state", "part.safetensors").returncode == 0
    assert_same(tmp_path / "trained.safetensors", trained(name, dataset)[0].state())


def test_options_change_the_training(tmp_path: Path) -> None:
    """`--epochs` and `--lr` are those of the spec, written otherwise."""
    name = "images, layers that stay"
    dataset = written(name, tmp_path)
    assert run(tmp_path, "--epochs", "3", "--lr", "0.2").returncode == 0
    changed = fac.load(SPECS[name][0], ("train.epochs=3", "update.lr=0.2"))
    session = fac.compile(changed, backend="onnx").open(device="cpu")
    train(session, dataset, changed)
    assert_same(tmp_path / "trained.safetensors", session.state())


def test_nothing_to_train_evaluates(tmp_path: Path) -> None:
    name = "images, layers that stay"
    dataset = written(name, tmp_path)
    ended = run(tmp_path, "--epochs", "0")
    assert (ended.returncode, ended.stderr) == (0, "")
    found = artifact(name).open(device="cpu").evaluate(dataset.test.x, dataset.test.y)
    assert ended.stdout.startswith("nothing to train after 0 steps  ")
    assert printed(ended.stdout) == pytest.approx(
        {"test loss": found["loss"], "accuracy": found["accuracy"]}, abs=0.5e-4 + 1e-12
    )
    assert not (tmp_path / "trained.safetensors").exists()


# -- what does not fit ------------------------------------------------------------------------------------------

Message = Callable[..., str]


@pytest.fixture
def message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Message:
    """Of a call of `run.py` within this process, in a folder with data that fit, which arguments may replace."""
    written("dropout, momentum, cosine", tmp_path)
    monkeypatch.chdir(tmp_path)
    main = runpy.run_path("built/run.py")["main"]

    def said(*options: str, train: str = "train.npz", test: str = "test.npz") -> str:
        monkeypatch.setattr(sys, "argv", ["run.py", train, test, *options])
        with pytest.raises(SystemExit) as leaving:
            main()
        assert isinstance(leaving.value.code, str)
        assert not Path("trained.safetensors").exists()
        return leaving.value.code

    return said


X, Y = np.zeros((20, 5)), np.arange(20) % 3


@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        ({"x": X}, "`bad.npz` is no npz file with arrays `x` and `y`: "),
        ({"x": X[:, :4], "y": Y}, "x in `bad.npz` has to hold [N, 5], not float64 [20, 4]"),
        ({"x": X[0, 0], "y": Y}, "x in `bad.npz` has to hold [N, 5], not float64 []"),
        ({"x": X[:0], "y": Y[:0]}, "x in `bad.npz` has to hold [N, 5], not float64 [0, 5]"),
        ({"x": X.astype(str), "y": Y}, "x in `bad.npz` has to hold [N, 5], not <U32 [20, 5]"),
        ({"x": X * np.nan, "y": Y}, "x in `bad.npz` holds numbers that are not finite in float32"),
        ({"x": X, "y": Y + 1}, "y in `bad.npz` goes from 1 to 3, not from 0 to 2"),
        ({"x": X, "y": Y - 1}, "y in `bad.npz` goes from -1 to 1, not from 0 to 2"),
        ({"x": X, "y": Y[:5]}, "y in `bad.npz` has to hold whole numbers [20], not int64 [5]"),
        ({"x": X, "y": Y * 1.0}, "y in `bad.npz` has to hold whole numbers [20], not float64 [20]"),
        ({"x": X[:15], "y": Y[:15]}, "a batch has 16 samples, but `bad.npz` only 15"),
    ],
)
def test_arrays_that_do_not_fit(arrays: dict[str, Any], expected: str, message: Message) -> None:
    np.savez("bad.npz", **arrays)
    assert message(train="bad.npz").startswith(expected)
    if "batch" not in expected:
        assert message(test="bad.npz").startswith(expected)


def test_targets_that_do_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written("regression in float64", tmp_path)
    load = runpy.run_path(str(tmp_path / "built" / "run.py"))["load_data"]
    for y in (np.zeros((20, 2)), np.zeros(20), np.full((20, 3), np.inf), np.full((20, 3), "a")):
        np.savez(tmp_path / "bad.npz", x=X, y=y)
        with pytest.raises(
            SystemExit, match=r"y in `.*` (has to hold \[20, 3\]|holds numbers that are not finite)"
        ):
            load(tmp_path / "bad.npz")


def test_targets_out_of_range(tmp_path: Path) -> None:
    written("yes or no", tmp_path)
    load = runpy.run_path(str(tmp_path / "built" / "run.py"))["load_data"]
    for y, said in ((np.full((20, 3), 1.5), "1.5 to 1.5"), (np.full((20, 3), -1), "-1 to -1")):
        np.savez(tmp_path / "bad.npz", x=X, y=y)
        with pytest.raises(SystemExit, match=rf"y in `.*` goes from {said}, not from 0.0 to 1.0"):
            load(tmp_path / "bad.npz")


def test_a_mask_of_other_numbers(tmp_path: Path) -> None:
    """In range, and yet none: a place would count in part."""
    layers = ({"kind": "mean", "axes": [0], "mask": "written"}, *mlp(8, 3))
    masked = spec(layers, update=MOMENTUM, train=TRAIN) | {
        "inputs": {"tokens": {"shape": (4, 5)}, "written": {"shape": (4,), "mask": True}}
    }
    fac.compile({k: v for k, v in masked.items() if k != "input"}, "onnx").write(tmp_path)
    page = runpy.run_path(str(tmp_path / "run.py"))
    assert "written [N, 4], 1 for what counts and 0 for what does not" in page["__doc__"]
    given: dict[str, Any] = {"tokens": np.zeros((20, 4, 5)), "y": Y}
    for mask in (np.ones((20, 4)), np.ones((20, 4), bool), np.ones((20, 4), int)):
        np.savez(tmp_path / "good.npz", written=mask, **given)
        assert page["load_data"](tmp_path / "good.npz")["written"].dtype == np.float32
    for mask, said in ((np.full((20, 4), 0.5), "is a mask of 0 and 1"), (np.full((20, 4), 2), "2 to 2, not")):
        np.savez(tmp_path / "bad.npz", written=mask, **given)
        with pytest.raises(SystemExit, match=f"written in `.*` .*{said}"):
            page["load_data"](tmp_path / "bad.npz")


def test_files_that_are_none(message: Message) -> None:
    Path("text.npz").write_text("no archive")
    np.save("one.npy", X)
    for name in ("missing.npz", "text.npz", "one.npy", "."):
        assert message(train=name).startswith(f"`{name}` is no npz file with arrays `x` and `y`: ")


def headed(header: bytes) -> bytes:
    return len(header).to_bytes(8, "little") + header


def test_states_that_are_none(message: Message) -> None:
    good = Path("built/state.safetensors").read_bytes()
    for name, content in (
        ("empty", b""),
        ("text", b"no state at all"),
        ("cut", good[:-8]),
        ("head", good[:100]),
        ("array", headed(b"[]")),
        ("deep", headed(b"[" * 100_000)),
        ("metadata", headed(b'{"__metadata__": [1]}')),
        ("entry", headed(b'{"fc1.bias": 1}')),
        ("spec", headed(b'{"__metadata__": {"spec_hash": "0", "spec": "{"}}')),
        ("key", headed(b'{"fc1.bias": {"dtype": "F32"}}')),
        ("zip", Path("train.npz").read_bytes()),
    ):
        Path(name).write_bytes(content)
        assert message("--state", name) == (
            f"`{name}` is no safetensors file, or a part of one: give a state that `fac train` or this program wrote"
        )
    assert message("--state", "missing") == "cannot read `missing`: No such file or directory"
    assert message("--state", "built") == "cannot read `built`: Is a directory"
    Path("bf16").write_bytes(
        headed(b'{"fc1.bias": {"dtype": "BF16", "shape": [8], "data_offsets": [0, 16]}}')
    )
    assert message("--state", "bf16") == "`fc1.bias` in `bf16` is BF16: store it as one of F32, F64, F16, I64"


def test_a_state_of_another_spec(message: Message) -> None:
    """Named, with what differs."""
    other = fac.load(SPECS["dropout, momentum, cosine"][0], ("train.epochs=9", "name=other"))
    fac.compile(other, backend="onnx").write("other")
    expected = (
        "the state in `other/state.safetensors` is of another spec, `other`: they differ in 'name', 'train'; compile "
        "that spec, or leave out `--state`"
    )
    assert message("--state", "other/state.safetensors") == expected


WHOLE = "fac makes a whole one of parameters: `fac.compile(SPEC).open(state, derive=True).state()`"


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"fc1.bias": None}, f"the state in `odd` has no `fc1.bias` of shape [8]; {WHOLE}"),
        (
            {"fc1.bias": np.zeros(9, np.float32)},
            f"the state in `odd` has no `fc1.bias` of shape [8]; {WHOLE}",
        ),
        ({"fc9": np.zeros(9)}, f"the state in `odd` has `fc9`, which is not of this network; {WHOLE}"),
        ({"step": np.array(2.5)}, "`step` of the state in `odd` is 2.5, not a number of steps"),
        ({"step": np.array(np.nan)}, "`step` of the state in `odd` is nan, not a number of steps"),
        ({"step": np.array(-5)}, "`step` of the state in `odd` is -5, not a number of steps"),
        ({"step": np.array([1, 2])}, "`step` of the state in `odd` is [1 2], not a number of steps"),
    ],
)
def test_states_with_odd_arrays(changed: dict[str, Any], expected: str, message: Message) -> None:
    state = load_file("built/state.safetensors") | changed
    with safe_open("built/state.safetensors", "numpy") as file:
        about = file.metadata() | {"fac_checkpoint": "1"}
    del about["digest"]  # which is not that of these arrays
    kept = {name: array for name, array in state.items() if array is not None}
    for metadata in (about, None):
        save_file(kept, "odd", metadata)
        assert message("--state", "odd") == expected


def test_weights_from_elsewhere_are_told_what_they_lack(message: Message, tmp_path: Path) -> None:
    """And what `fac` makes of them as it says is taken, without any metadata, and gives a checkpoint."""
    rng = np.random.default_rng(0)
    initial = load_file("built/state.safetensors")
    names = [name for name in initial if name.endswith((".weight", ".bias"))]
    given = {name: rng.standard_normal(initial[name].shape).astype(np.float32) for name in names}
    save_file(given, "weights")
    lacking = re.escape("the state in `weights` has no `") + r".* and \d+ more; " + re.escape(WHOLE)
    assert re.fullmatch(lacking, message("--state", "weights"))

    made = artifact("dropout, momentum, cosine")
    save_file(made.open(given, "cpu", derive=True).state(), "whole")
    ended = run(tmp_path, "--state", "whole")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert checkpoint.load(Path("trained.safetensors")).about["spec_hash"] == made.compiled.spec_hash


@pytest.mark.parametrize("name", ["step.onnx", "evaluate.onnx"])
def test_models_that_are_none(name: str, message: Message) -> None:
    place = Path("built") / name
    content = place.read_bytes()
    for damaged in (content[:1000], b""):
        place.write_bytes(damaged)
        assert message().startswith(f"cannot load `{place}`: ")
    place.unlink()
    assert message().startswith(f"cannot load `{place}`: ")
    other = fac.load(SPECS["dropout, momentum, cosine"][0], ("layers.fc1.out=9",))
    fac.compile(other, backend="onnx").write("other")
    place.write_bytes((Path("other") / name).read_bytes())
    assert message() == f"`{place}` was made from another spec, or otherwise: compile the folder anew"


@pytest.mark.usefixtures("heard")
@pytest.mark.parametrize("number", ENDING)
def test_a_signal_leaves_a_whole_state(number: signal.Signals, tmp_path: Path) -> None:
    """From which it goes on as if nothing had been."""
    name = "dropout, momentum, cosine"
    written(name, tmp_path)
    (tmp_path / "main.py").write_text(textwrap.dedent(SCRIPT))
    files = ["main.py", "built/run.py", "train.npz", "test.npz"]
    begun = children.begun(
        [sys.executable, *files, "--epochs", "100000"], cwd=tmp_path, stdout=PIPE, stderr=PIPE
    )
    assert begun.stdout is not None
    begun.stdout.readline()
    begun.send_signal(number)
    try:
        _, said = begun.communicate(timeout=60)
    finally:
        begun.kill()
    state = load_file(tmp_path / "trained.safetensors")
    found = re.fullmatch(r"stopped after step (\d+): go on with `--state trained.safetensors`\n", said)
    assert found is not None
    assert (begun.returncode, int(state["step"])) == (128 + number, int(found[1]))
    assert sorted(p.name for p in tmp_path.glob("trained*")) == ["trained.safetensors"]


def test_a_training_outlives_its_reader(tmp_path: Path) -> None:
    written("dropout, momentum, cosine", tmp_path)
    (tmp_path / "main.py").write_text(textwrap.dedent(SCRIPT))
    line = '("$0" main.py built/run.py train.npz test.npz --epochs 20; echo $? >&2) | head -1'
    command = ["sh", "-c", line, sys.executable]
    ended = subprocess.run(command, cwd=tmp_path, text=True, capture_output=True, check=False)
    assert (ended.stdout.count("\n"), ended.stderr) == (1, "0\n")
    assert int(load_file(tmp_path / "trained.safetensors")["step"]) == 20 * 3


def test_a_state_that_is_being_written_is_no_leftover_and_one_that_was_given_up_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither to `fac`, nor to another `run.py`; and no link is followed to where it leads."""
    artifact("dropout, momentum, cosine").write(tmp_path / "built")
    page = runpy.run_path(str(tmp_path / "built" / "run.py"))
    out, outside = tmp_path / "out", tmp_path / "outside"
    for folder in (out, outside):
        folder.mkdir()
    (outside / "x").write_text("mine")
    link, given_up = (out / f".fac-{digit * 16}" for digit in "01")
    given_up.write_text("half a state")
    link.symlink_to(outside / "x")

    def meanwhile(descriptor: int, sync: Callable[[int], None] = os.fsync) -> None:
        page["sweep"](out)
        writing.sweep(out)
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", meanwhile)
    page["save_state"](out / "a.safetensors", {"spec": "{}"}, {"step": np.array(1)})
    assert sorted(path.name for path in out.iterdir()) == [link.name, "a.safetensors"]
    assert checkpoint.load(out / "a.safetensors").step == 1
    assert (outside / "x").read_text() == "mine"


def test_metadata_of_a_state_are_told_as_text(tmp_path: Path) -> None:
    written("dropout, momentum, cosine", tmp_path)
    found = checkpoint.load(tmp_path / "built/state.safetensors")
    name = "x\n::error::kilroy\x1b[2J\x9b\x7f\x85\u2028\u202e\u200b"
    about = {**found.about, "name": name, "spec_hash": "other"}
    (tmp_path / "foreign.safetensors").write_bytes(to_bytes(found.state, about))
    ended = run(tmp_path, "--state", "foreign.safetensors")
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert line.isprintable()
    assert "of another spec, `x\\n::error::kilroy\\x1b[2J\\x9b\\x7f\\x85\\u2028\\u202e\\u200b`" in line


def test_the_result_is_a_checkpoint(tmp_path: Path) -> None:
    """`fac export` takes it: the way from a device to one file."""
    name = "dropout, momentum, cosine"
    written(name, tmp_path)
    assert run(tmp_path).returncode == 0
    found = checkpoint.load(tmp_path / "trained.safetensors")
    assert (found.step, found.about["spec_hash"]) == (6, artifact(name).compiled.spec_hash)
    assert fac.load(json.loads(found.about["spec"])) == fac.load(SPECS[name][0])


def test_calls_that_cannot_be_done(message: Message, monkeypatch: pytest.MonkeyPatch) -> None:
    from fac_onnx.runtime import ort

    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CPUExecutionProvider"])
    monkeypatch.setattr(ort, "preload_dlls", lambda: None, raising=False)
    expected = "onnxruntime has no CUDAExecutionProvider here"
    assert message("--device", "cuda").startswith(expected)
    assert re.fullmatch(r"the loss of step \d is (nan|inf): try a lower --lr", message("--lr", "1e30"))


@pytest.mark.parametrize(
    "options",
    [
        ("--out", "none/a.safetensors"),
        ("--out", "built"),
        ("--out", "built/step.onnx"),
        ("--lr", "-1"),
        ("--lr", "nan"),
        ("--epochs", "-3"),
    ],
)
def test_options_that_mean_nothing(options: tuple[str, str], tmp_path: Path) -> None:
    written("dropout, momentum, cosine", tmp_path)
    ended = run(tmp_path, *options)
    assert ended.returncode == 2
    assert "has to be" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "trained.safetensors").exists()


# -- the text ---------------------------------------------------------------------------------------------------


@EACH
def test_the_page_is_clean(name: str, tmp_path: Path) -> None:
    """Under the rules of this repository; and no longer than a page that one reads to the end."""
    made = artifact(name)
    page = run_page(made.compiled, made.precision, "0" * 16)
    (tmp_path / "run.py").write_text(page)
    for command in (["check"], ["format", "--check"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--config", str(ROOT / "pyproject.toml"), "run.py"]
        ended = subprocess.run(ruff, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stdout + ended.stderr
    lines = page.splitlines()
    assert len(lines) < 366
    assert max(map(len, lines)) <= 110
    assert ("svd" in page) == bool(made.compiled.tasks)
    assert ("accuracy" in page) == (made.compiled.targets[0].classes is not None)


@pytest.mark.parametrize("name", ['"""; raise SystemExit; """', "100 % \\", "\\", "naïve ’", "$lr {x}"])
def test_a_name_stays_in_the_docstring(name: str) -> None:
    made = fac.compile(spec(mlp(3), name=name), backend="onnx")
    page = run_page(made.compiled, made.precision, "0" * 16)
    names: dict[str, Any] = {"__name__": "run", "__file__": "run.py"}
    exec(compile(page, "run.py", "exec"), names)
    assert f"Network: {name}\n" in names["__doc__"]


def test_what_it_prints_can_be_escaped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "dropout, momentum, cosine"
    written(name, tmp_path)
    monkeypatch.setenv("PYTHONIOENCODING", "ascii:strict")
    ended = run(tmp_path, "--epochs", "1", "--out", "η.safetensors")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.endswith("the state is in `\\u03b7.safetensors`\n")


def test_what_has_no_form_is_not_left_out(tmp_path: Path) -> None:
    made = artifact("refreshed feedback")
    task = HostTask("rotate", 1, (), (), lambda state: state)
    made.compiled = replace(made.compiled, tasks=(task,))
    with pytest.raises(FacError, match="the onnx backend cannot write what `rotate` does between steps"):
        made.write(tmp_path)


def test_the_recipe_is_that_of_the_spec() -> None:
    found = artifact("refreshed feedback").compiled.recipe
    wave = "done = min(1, step / (steps_per_epoch * epochs))", "return 0.5 * (1 + math.cos(math.pi * done))"
    assert found == Recipe(epochs=2, batch=16, seed=3, factor=wave)
