from __future__ import annotations

import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from fac.diagnostics import FacError
from fac.training import checkpoint, data
from fac.training.dataset import Dataset
from tests.children import begun

Run = Callable[..., tuple[int, str, str]]
REFERENCE = ("--backend", "reference")
LEFT = "; an epoch leaves out 56, others each time, that fill no batch"
"""Of the 1,400 training samples of `digits`."""


def test_trains_and_says_where_it_went(run: Run, spec: Path, tmp_path: Path) -> None:
    status, out, err = run("train", spec, *REFERENCE)
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "training 2 epochs of 21 steps, 64 samples each" + LEFT
    assert lines[1].startswith("epoch 1/2  loss ")
    assert "  acc " in lines[1]
    assert "  align fc1 " in lines[1]
    assert lines[-1] == "state, log and spec are in `runs/digits-small-1`"
    folder = tmp_path / "runs" / "digits-small-1"
    assert sorted(os.listdir(folder)) == [
        "metrics.jsonl",
        "outcome.json",
        "spec.fac.yaml",
        "state.safetensors",
    ]
    assert (folder / "spec.fac.yaml").read_text() == spec.read_text()
    assert run("train", spec, *REFERENCE)[1].endswith("are in `runs/digits-small-2`\n")


def test_json_is_the_last_line_and_alone_on_standard_output(run: Run, spec: Path) -> None:
    status, out, err = run("train", spec, *REFERENCE, "--precision", "float32", "--out", "here", "--json")
    assert status == 0
    assert "epoch 2/2" in err
    (line,) = out.splitlines()
    found = json.loads(line)
    expected = {"spec": "digits-small", "backend": "reference", "device": "cpu", "seed": 0, "epochs": 2}
    expected |= {"parameters": 64 * 16 + 16 + 160 + 10, "precision": "float32", "out": "here"}
    assert found | expected == found
    assert {"test_accuracy", "test_loss", "train_loss", "seconds", "step_ms"} <= found.keys()
    assert found["test_accuracy"] > 0.5


def test_overrides_are_kept_with_the_run(run: Run, spec: Path, tmp_path: Path) -> None:
    run("train", spec, *REFERENCE, "--out", "a", "--set", "train.epochs=1", "--set", "layers.fc1.out=8")
    text = (tmp_path / "a" / "spec.fac.yaml").read_text()
    assert "{kind: linear, name: fc1, out: 8}" in text
    assert run("train", "--resume", "a")[0] == 0


def test_an_existing_run_is_never_overwritten(run: Run, spec: Path, tmp_path: Path) -> None:
    run("train", spec, *REFERENCE, "--out", "a")
    before = {path.name: path.read_bytes() for path in (tmp_path / "a").iterdir()}
    status, _, err = run("train", spec, *REFERENCE, "--out", "a")
    assert status == 2
    assert "continue that run with `--resume a`, or give another folder to `--out`" in err
    assert {path.name: path.read_bytes() for path in (tmp_path / "a").iterdir()} == before


def test_unwritable_folder(run: Run, spec: Path, tmp_path: Path) -> None:
    status, out, err = run("train", spec, *REFERENCE, "--out", spec / "run")
    assert (status, out) == (2, "")
    assert err == f"fac: `{spec}` is a file, where a folder is needed: name another\n"


def test_bad_calls(run: Run, spec: Path) -> None:
    assert run("train")[0] == 2
    assert run("train", "--resume", "a", "--out", "b")[0] == 2
    status, _, err = run("train", "missing.fac.yaml")
    assert (status, err) == (2, "fac: `missing.fac.yaml` does not exist\n")
    status, _, err = run("train", spec, "--backend", "numpy")
    assert status == 2
    assert "no backend is called `numpy`" in err
    status, _, err = run("train", "--resume", "nowhere")
    assert (status, err) == (2, "fac: `nowhere` holds no run to resume: there is no `state.safetensors`\n")
    status, _, err = run("train", spec, *REFERENCE, "--device", "cuda")
    assert status == 2
    assert "`cuda`" in err
    assert not Path("runs").exists() or not os.listdir("runs")


def test_a_spec_with_findings(run: Run, spec: Path) -> None:
    spec.write_text(spec.read_text().replace("rank: 9", "rang: 9"))
    status, out, err = run("train", spec)
    assert (status, out) == (1, "")
    assert "small.fac.yaml:11:" in err


def test_a_warning_is_shown_and_does_not_stop_the_training(run: Run, spec: Path) -> None:
    spec.write_text(spec.read_text().replace("momentum: 0.9", "nesterov: true"))
    status, out, err = run("train", spec, "--backend", "reference")
    assert status == 0
    assert err.startswith("warning[FAC314]: ")
    assert "digits-small" in out


def test_a_warning_that_a_comment_ignores_is_not_shown(run: Run, spec: Path) -> None:
    text = spec.read_text().replace("momentum: 0.9", "nesterov: true")
    spec.write_text(f"# fac: ignore-file[FAC314] to be compared with the other\n{text}")
    status, _, err = run("train", spec, "--backend", "reference")
    assert (status, "FAC314" in err) == (0, False)


def test_a_spec_without_data(run: Run, spec: Path) -> None:
    spec.write_text(spec.read_text().replace("data: {source: digits}\n", ""))
    status, _, err = run("train", spec, *REFERENCE)
    assert status == 2
    assert "says nothing about data: add a section such as `data: {source: digits}`" in err


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (np.ones((8, 3)), np.zeros(8, int), "have shape [3], but `input.shape` is [8, 8]"),
        (
            np.ones((8, 64)),
            np.full(8, 10),
            "label 10 of sample 0 in the `train` split of `arrays` is out of range",
        ),
        (
            np.full((8, 64), np.nan),
            np.zeros(8, int),
            "x of sample 0 in the `train` split of `arrays` holds nan",
        ),
        (np.ones((0, 64)), np.zeros(0, int), "the `train` split of `arrays` is empty"),
        (np.ones((8, 64)), np.zeros(8, int), "`train.batch` is 64, but there are only 8 training samples"),
    ],
)
def test_bad_data(run: Run, spec: Path, tmp_path: Path, x: Any, y: Any, message: str) -> None:
    """One sentence, exit status 2, and no folder of a run that never began."""
    for name in ("d.npz", "e.npz"):
        np.savez(tmp_path / name, x=x, y=y)
    arrays = "data: {source: arrays, train: d.npz, test: e.npz}"
    spec.write_text(spec.read_text().replace("data: {source: digits}", arrays))
    status, out, err = run("train", spec, *REFERENCE)
    assert (status, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_a_loss_that_becomes_nan(run: Run, spec: Path) -> None:
    status, _, err = run("train", spec, *REFERENCE, "--out", "a", "--set", "update.lr=1e300")
    assert status == 2
    assert "fac: the loss is " in err
    assert "arises in layer `" in err
    assert "`a/state.safetensors` holds the last good state, from step 0" in err
    assert "Traceback" not in err


def test_a_training_that_diverged_is_a_result_in_json(run: Run, spec: Path) -> None:
    status, out, err = run("train", spec, *REFERENCE, "--out", "a", "--set", "update.lr=1e300", "--json")
    assert status == 2
    found = json.loads(out)
    assert found["problem"].startswith("the loss is ")
    assert f"fac: {found['problem']}" in err
    assert (found["spec"], found["seed"], found["steps"], found["out"]) == ("digits-small", 0, 0, "a")
    assert (found["test_loss"], found["test_accuracy"], found["warnings"]) == (None, None, [])


def test_a_finite_divergence_is_said_at_the_end_and_again_on_resume(run: Run, spec: Path) -> None:
    wild = ("--set", "update={rule: sgd, lr: 10}")
    status, out, _ = run("train", spec, *REFERENCE, *wild, "--out", "a")
    assert status == 0, "a warning is not an error"
    (warning,) = [line for line in out.splitlines() if line.startswith("warning: the loss")]
    numbers = r"the loss rose to (\S+) on training samples, (\S+) times the (\S+) of the untrained network"
    match = re.match(f"warning: {numbers}", warning)
    assert match
    rose, times, untrained = map(float, match.groups())
    assert times == pytest.approx(rose / untrained, rel=1e-2)
    assert 2 < untrained < 5 < rose
    status, again, _ = run("train", "--resume", "a")
    assert status == 0
    assert warning in again.splitlines()
    found = json.loads(run("train", "--resume", "a", "--json")[1])
    assert found["warnings"][0]["kind"] == "risen"
    assert f"{found['warnings'][0]['train_loss']:.4g}" == f"{rose:.4g}"
    assert found["problem"] is None


def test_data_are_found_beside_the_spec_even_on_resume(
    run: Run, spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "d.npz", x=rng.standard_normal((70, 64)), y=rng.integers(0, 10, 70))
    arrays = "data: {source: arrays, train: d.npz, test: d.npz}"
    spec.write_text(spec.read_text().replace("data: {source: digits}", arrays))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert run("train", "../small.fac.yaml", *REFERENCE, "--out", "a")[0] == 0
    monkeypatch.chdir(tmp_path)
    assert run("train", "--resume", "elsewhere/a")[0] == 0


def test_resume_refuses_another_spec(run: Run, spec: Path) -> None:
    run("train", spec, *REFERENCE, "--out", "a")
    status, _, err = run("train", "--resume", "a", "--set", "update.lr=0.1")
    assert status == 2
    assert "belongs to another spec: `update.lr` is 0.05 there and 0.1 here" in err
    status, _, err = run("train", "--resume", "a", "--set", "train.epochs=1")
    assert status == 2
    assert "`train.epochs` is 2 there and 1 here" in err
    status, _, err = run("train", "--resume", "a", "--set", "train.epochs=3", "--set", "update.lr=0.1")
    assert status == 2


def test_a_spec_that_was_edited_in_a_run_is_told_that_the_state_holds_it(
    run: Run, spec: Path, tmp_path: Path
) -> None:
    run("train", spec, *REFERENCE, "--out", "a")
    kept = tmp_path / "a" / "spec.fac.yaml"
    text = kept.read_text()
    kept.write_text(text.replace("lr: 0.05", "lr: 0.1"))
    status, _, err = run("train", "--resume", "a")
    assert status == 2
    assert "`update.lr` is 0.05 there and 0.1 here" in err
    assert err.endswith(
        "; the state holds its own spec, and `a/spec.fac.yaml` is written anew where it is gone\n"
    )
    kept.unlink()
    assert run("train", "--resume", "a")[0] == 0
    assert "lr: 0.05" in kept.read_text()


def test_a_run_can_be_trained_longer(run: Run, spec: Path, tmp_path: Path) -> None:
    run("train", spec, *REFERENCE, "--out", "a")
    log = tmp_path / "a" / "metrics.jsonl"
    before = log.read_text()
    status, out, err = run("train", "--resume", "a", "--set", "train.epochs=4")
    assert status == 0
    assert err == (
        "training for 4 epochs instead of 2: from here on the learning rate is that of `cosine` over 4 epochs, "
        "so the result is not that of 4 epochs in one go\n"
    )
    assert out.splitlines()[0] == "resuming after step 42 of 4 epochs of 21 steps, 64 samples each" + LEFT
    assert log.read_text().startswith(before)
    assert [json.loads(line)["epoch"] for line in log.read_text().splitlines()] == [0, 1, 2, 3, 4]
    assert "epochs: 4" in (tmp_path / "a" / "spec.fac.yaml").read_text()
    status, out, err = run("train", "--resume", "a")
    assert (status, err, out.splitlines()[0]) == (0, "", "all 4 epochs are done already")


def test_longer_with_a_constant_learning_rate_is_the_longer_training(
    run: Run, spec: Path, tmp_path: Path
) -> None:
    constant = ("--set", "update.schedule=constant")
    run("train", spec, *REFERENCE, *constant, "--out", "a")
    assert (
        run("train", "--resume", "a", "--set", "train.epochs=4")[2] == "training for 4 epochs instead of 2\n"
    )
    run("train", spec, *REFERENCE, *constant, "--set", "train.epochs=4", "--out", "b")
    one, other = (load_file(tmp_path / name / "state.safetensors") for name in "ab")
    assert all(one[name].tobytes() == other[name].tobytes() for name in one)


def test_a_finished_run_without_its_log(run: Run, spec: Path, tmp_path: Path) -> None:
    first = json.loads(run("train", spec, *REFERENCE, "--out", "a", "--json")[1])
    (tmp_path / "a" / "metrics.jsonl").unlink()
    status, out, err = run("train", "--resume", "a")
    assert status == 0
    assert err == "the lines of 2 earlier epochs are gone from `a/metrics.jsonl`; the state is whole\n"
    assert "nan" not in out
    again = json.loads(run("train", "--resume", "a", "--json")[1])
    assert (again["test_loss"], again["train_loss"]) == (first["test_loss"], None)


def test_data_that_changed_since(run: Run, spec: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((70, 64)), rng.integers(0, 10, 70)
    np.savez(tmp_path / "d.npz", x=x, y=y)
    np.savez(tmp_path / "e.npz", x=-x, y=y)
    arrays = "data: {source: arrays, train: d.npz, test: e.npz}"
    spec.write_text(spec.read_text().replace("data: {source: digits}", arrays))
    run("train", spec, *REFERENCE, "--out", "a")
    assert run("train", "--resume", "a")[2] == "x of shape [64] is read as [8, 8], row by row\n"
    np.savez(tmp_path / "d.npz", x=x + 1, y=y)
    status, _, err = run("train", "--resume", "a", "--set", "train.epochs=3")
    assert status == 0
    assert "warning: the training data are not those that this run began with" in err
    np.savez(tmp_path / "d.npz", x=x[:66], y=y[:66])
    status, _, err = run("train", "--resume", "a", "--set", "train.epochs=4")
    assert status == 2
    assert "this run began with 70 training samples and now there are 66" in err
    assert "epochs: 3" in (tmp_path / "a" / "spec.fac.yaml").read_text()


def test_another_backend_goes_on_to_rounding(run: Run, spec: Path) -> None:
    run("train", spec, *REFERENCE, "--out", "a")
    status, _, err = run("train", "--resume", "a", "--backend", "torch")
    assert status == 0
    assert err == (
        "this run was on reference (cpu, float64) and goes on on torch (cpu, float32): "
        "equal up to rounding, not bit for bit\n"
    )


def test_another_number_of_threads_goes_on_to_rounding(
    run: Run, spec: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    run("train", spec, *REFERENCE, "--out", "a")
    assert run("train", "--resume", "a")[2] == ""
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    status, _, err = run("train", "--resume", "a")
    assert status == 0
    assert err == (
        "this run was on 1 thread and goes on on 3: equal up to rounding, not bit for bit; "
        "`OMP_NUM_THREADS=1` makes it so\n"
    )


@pytest.mark.parametrize("option", ["--device", "--backend"])
def test_an_empty_option_is_not_the_default(run: Run, spec: Path, option: str) -> None:
    for command in ("train", "compare"):
        status, _, err = run(command, spec, option, "")
        assert status == 2
        assert f"Invalid value for '{option}': it is empty: name one, or leave the option out" in err


@pytest.mark.parametrize(
    "call",
    [
        ("train", "small.fac.yaml", "--out"),
        ("train", "--resume"),
        ("compile", "small.fac.yaml", "-o"),
        ("data", "small.fac.yaml", "-o"),
        ("export", "run", "-o"),
        ("export", "run", "-o", "model.onnx", "--base"),
        ("export", "-o", "model.onnx"),
        ("sample",),
        ("plot", "-o", "a.svg"),
        ("plot", "run", "-o"),
        ("show", "small.fac.yaml", "-o"),
        ("check", "--output-file"),
        ("init",),
    ],
)
def test_an_empty_path_is_not_the_current_folder(
    call: tuple[str, ...], run: Run, spec: Path, tmp_path: Path
) -> None:
    """Such as that of a variable of a script which is not set."""
    status, out, err = run(*call, "")
    assert (status, out) == (2, "")
    assert re.search(r"Invalid value for .*: it is empty: name (a path|one, or leave the option out)", err)
    assert os.listdir(tmp_path) == ["small.fac.yaml"]


def test_a_run_that_stopped_before_its_first_checkpoint(
    run: Run, spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is left that would be in the way of the same command."""
    with monkeypatch.context() as patch:

        def full(*_: Any) -> None:
            raise FacError("cannot write: no space left on device")

        patch.setattr(checkpoint, "save", full)
        assert run("train", spec, *REFERENCE, "--out", "a")[0] == 2
    assert not (tmp_path / "a").exists()
    assert run("train", spec, *REFERENCE, "--out", "a")[0] == 0
    (tmp_path / "a" / "spec.fac.yaml").unlink()
    assert run("train", "--resume", "a")[0] == 0
    assert (tmp_path / "a" / "spec.fac.yaml").exists()


def test_a_spec_beside_which_a_run_is_kept_is_not_replaced(run: Run, spec: Path, tmp_path: Path) -> None:
    mine = tmp_path / "spec.fac.yaml"
    spec.rename(mine)
    text = mine.read_text()
    status, _, err = run("train", mine, *REFERENCE, "--out", ".", "--set", "train.epochs=1")
    assert status == 2
    assert "holds another `spec.fac.yaml`, which this run would replace" in err
    assert run("train", mine, *REFERENCE, "--out", ".")[0] == 0
    assert mine.read_text() == text


@pytest.mark.parametrize("kind", ["--out", "--resume"])
def test_two_trainings_at_once(run: Run, spec: Path, tmp_path: Path, kind: str) -> None:
    """One gets the folder from before its data are loaded until it is over; killed, it does not block it."""
    more = ("--set", "train.epochs=1000000", "--set", "layers.fc1.out=64")
    start: tuple[str, ...] = ("train", str(spec), *REFERENCE, *more, "--out", "both")
    if kind == "--resume":
        first = begun([sys.executable, "-m", "fac", *start], cwd=tmp_path, stdout=subprocess.DEVNULL)
        wait_for(tmp_path / "both" / "metrics.jsonl")
        first.kill()
        first.wait(60)
        assert (tmp_path / "both" / ".lock").exists()
        start = ("train", "--resume", "both")
    processes = [
        begun(
            [sys.executable, "-m", "fac", *start],
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        for _ in range(2)
    ]
    deadline = time.monotonic() + 60
    while all(p.poll() is None for p in processes) and time.monotonic() < deadline:
        time.sleep(0.02)
    loser = next(p for p in processes if p.poll() is not None)
    winner = next(p for p in processes if p is not loser)
    _, err = loser.communicate()
    assert (loser.returncode, err) == (
        2,
        "fac: another training is at work in `both`: wait until it ends, or stop it\n",
    )
    assert winner.poll() is None, "the other one trains on"
    winner.kill()
    winner.communicate()


def wait_for(log: Path) -> None:
    deadline = time.monotonic() + 60
    while not (log.exists() and log.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.005)


def test_resume_of_a_complete_run_changes_nothing(run: Run, spec: Path, tmp_path: Path) -> None:
    run("train", spec, *REFERENCE, "--out", "a")
    before = {path.name: path.read_bytes() for path in (tmp_path / "a").iterdir()}
    status, out, _ = run("train", spec, "--resume", "a", *REFERENCE)
    assert status == 0
    assert out.splitlines()[0] == "all 2 epochs are done already"
    assert {path.name: path.read_bytes() for path in (tmp_path / "a").iterdir()} == before


def test_what_the_data_source_logs_is_shown(run: Run, spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load = data.load

    def logging_load(*args: Any) -> Dataset:
        logging.getLogger("fac.training.data.digits").info("fetching %s", "digits")
        return load(*args)

    monkeypatch.setattr(data, "load", logging_load)
    assert run("train", spec, *REFERENCE, "--json")[2].startswith("fetching digits\n")


@pytest.mark.usefixtures("heard")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_a_checkpoint_that_resumes_bit_for_bit(
    run: Run, spec: Path, tmp_path: Path, number: signal.Signals
) -> None:
    more = ("--set", "train.epochs=120", "--set", "layers.fc1.out=64")
    process = begun(
        [sys.executable, "-m", "fac", "train", str(spec), *REFERENCE, *more, "--out", "broken"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
    )
    log = tmp_path / "broken" / "metrics.jsonl"
    deadline = time.monotonic() + 60
    while not (log.exists() and log.read_text().count("\n") >= 3) and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(number)
    try:
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 128 + number, err
    assert "; go on with `fac train --resume broken`" in err
    made = int(load_file(tmp_path / "broken" / "state.safetensors")["step"])
    assert 0 < made < 40 * 21
    assert run("train", spec, *REFERENCE, *more, "--out", "whole")[0] == 0
    assert run("train", "--resume", "broken")[0] == 0
    whole, resumed = (load_file(tmp_path / name / "state.safetensors") for name in ("whole", "broken"))
    assert whole.keys() == resumed.keys()
    assert all(whole[name].tobytes() == resumed[name].tobytes() for name in whole)
    whole_log, resumed_log = (losses(tmp_path / name / "metrics.jsonl") for name in ("whole", "broken"))
    assert whole_log == resumed_log


def losses(log: Path) -> list[tuple[float, ...]]:
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    return [
        (line["epoch"], line["train_loss"], line["test_loss"], line["fc1.error.cosine"]) for line in lines
    ]


def test_a_bar_on_a_terminal(run: Run, spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    assert "━" in run("train", spec, *REFERENCE)[1]
    monkeypatch.setenv("CI", "true")
    assert "━" not in run("train", spec, *REFERENCE)[1]
