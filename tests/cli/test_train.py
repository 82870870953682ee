from __future__ import annotations

import json
import logging
import os
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

from fac.training import data
from fac.training.dataset import Dataset

Run = Callable[..., tuple[int, str, str]]
REFERENCE = ("--backend", "reference")


def test_trains_and_says_where_it_went(run: Run, spec: Path, tmp_path: Path) -> None:
    status, out, err = run("train", spec, *REFERENCE)
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "training 2 epochs of 21 steps, 64 samples each"
    assert lines[1].startswith("epoch 1/2  loss ")
    assert "  acc " in lines[1]
    assert "  align fc1 " in lines[1]
    assert lines[-1] == "state, log and spec are in `runs/digits-small-1`"
    folder = tmp_path / "runs" / "digits-small-1"
    assert sorted(os.listdir(folder)) == ["metrics.jsonl", "spec.fac.yaml", "state.safetensors"]
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
    assert err == f"fac: cannot write `{spec}/run`: not a directory\n"


def test_bad_calls(run: Run, spec: Path) -> None:
    assert run("train")[0] == 2
    assert run("train", "--resume", "a", "--out", "b")[0] == 2
    status, _, err = run("train", "missing.fac.yaml")
    assert (status, err) == (2, "fac: `missing.fac.yaml` does not exist\n")
    status, _, err = run("train", spec, "--backend", "numpy")
    assert status == 2
    assert "no backend is called `numpy`" in err
    status, _, err = run("train", "--resume", "nowhere")
    assert (status, err) == (2, "fac: `nowhere` holds no run to resume: there is no `spec.fac.yaml`\n")
    status, _, err = run("train", spec, *REFERENCE, "--device", "cuda")
    assert status == 2
    assert "`cuda`" in err
    assert not Path("runs").exists() or not os.listdir("runs")


def test_a_spec_with_findings(run: Run, spec: Path) -> None:
    spec.write_text(spec.read_text().replace("rank: 6", "rang: 6"))
    status, out, err = run("train", spec)
    assert (status, out) == (1, "")
    assert "small.fac.yaml:11:" in err


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
    np.savez(tmp_path / "d.npz", x=x, y=y)
    arrays = "data: {source: arrays, train: d.npz, test: d.npz}"
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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_a_checkpoint_that_resumes_bit_for_bit(
    run: Run, spec: Path, tmp_path: Path, number: signal.Signals
) -> None:
    more = ("--set", "train.epochs=40", "--set", "layers.fc1.out=64")
    process = subprocess.Popen(
        [sys.executable, "-m", "fac", "train", str(spec), *REFERENCE, *more, "--out", "broken"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    log = tmp_path / "broken" / "metrics.jsonl"
    deadline = time.monotonic() + 60
    while not (log.exists() and log.read_text().count("\n") >= 3) and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
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
