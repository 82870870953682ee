from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from fac.backend import Session
from fac.diagnostics import FacError
from fac.spec.model import ModelSpec
from fac.training import checkpoint, folder
from fac.training.folder import RunFolder
from fac.training.logs import EpochRecord

STATE = {"fc1.weight": np.arange(6.0).reshape(2, 3), "step": np.array(7, np.int64)}
ABOUT = {"fac_checkpoint": "1", "spec_hash": "abc"}


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    turned = STATE["fc1.weight"].T
    checkpoint.save(path, {**STATE, "turned": turned}, ABOUT)
    found = checkpoint.load(path)
    assert found.step == 7
    assert found.about["spec_hash"] == "abc"
    assert found.state["fc1.weight"].dtype == np.float64
    np.testing.assert_array_equal(found.state["turned"], turned)


def test_a_state_names_its_spec(
    spec: ModelSpec, open_session: Callable[..., Session], tmp_path: Path
) -> None:
    session = open_session(spec)
    path = tmp_path / "state.safetensors"
    about = checkpoint.about(session.compiled, spec)
    checkpoint.save(path, session.state(), about)
    found = checkpoint.load(path)
    assert (found.about["name"], found.about["seed"]) == ("small", "3")
    assert found.about["spec_hash"] == session.compiled.spec_hash
    checkpoint.require_spec(found, session.compiled, spec)


def test_another_spec_is_refused_with_the_difference(
    make_spec: Callable[..., ModelSpec], open_session: Callable[..., Session], tmp_path: Path
) -> None:
    spec, other = make_spec(), make_spec(train={"epochs": 9}, update={"lr": 0.1})
    session, path = open_session(spec), tmp_path / "state.safetensors"
    checkpoint.save(path, session.state(), checkpoint.about(session.compiled, spec))
    expected = "`update.lr` is 0.05 there and 0.1 here; `train.epochs` is 3 there and 9 here"
    with pytest.raises(FacError, match=expected):
        checkpoint.require_spec(checkpoint.load(path), open_session(other).compiled, other)


def test_damaged_and_foreign_files(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    with pytest.raises(FacError, match=r"there is no checkpoint"):
        checkpoint.load(path)
    checkpoint.save(path, STATE, ABOUT)
    whole = path.read_bytes()
    for size in (0, 5, 40, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(FacError, match=r"is damaged or is no checkpoint"):
            checkpoint.load(path)
    path.write_text("hello, this is some text and not a state")
    with pytest.raises(FacError, match=r"is damaged or is no checkpoint"):
        checkpoint.load(path)
    save_file({"a": np.zeros(1)}, path)
    with pytest.raises(FacError, match=r"is not a checkpoint of `fac train`"):
        checkpoint.load(path)


def test_a_full_disk_leaves_the_earlier_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state.safetensors"
    checkpoint.save(path, STATE, ABOUT)
    before = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FacError, match=r"cannot write `.*state.safetensors`: no space left on device"):
        checkpoint.save(path, {**STATE, "step": np.array(8)}, ABOUT)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["state.safetensors"]


def test_new_runs_never_share_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert folder.claim(None, "my net/2") == Path("runs/my-net-2-1")
    assert folder.claim(None, "my net/2") == Path("runs/my-net-2-2")
    assert folder.claim(tmp_path / "given", "net") == tmp_path / "given"
    assert folder.claim(tmp_path / "given", "net") == tmp_path / "given"
    for held in ("spec.fac.yaml", "state.safetensors", "metrics.jsonl"):
        path = tmp_path / f"with {held}"
        path.mkdir()
        (path / held).touch()
        with pytest.raises(FacError, match=f"already holds `{held}`: continue that run with `--resume"):
            folder.claim(path, "net")


def test_unwritable_folder(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(FacError, match=r"cannot write `.*file/run`: not a directory"):
        folder.claim(file / "run", "net")
    with pytest.raises(FacError, match=r"cannot write `.*file`: file exists"):
        folder.claim(file, "net")


def test_a_folder_is_abandoned_only_if_empty(tmp_path: Path) -> None:
    empty, used = tmp_path / "empty", tmp_path / "used"
    for path in (empty, used):
        path.mkdir()
    (used / "x").touch()
    folder.abandon(empty)
    folder.abandon(used)
    assert os.listdir(tmp_path) == ["used"]


def test_nothing_to_resume(tmp_path: Path) -> None:
    with pytest.raises(FacError, match=r"holds no run to resume: there is no `spec.fac.yaml`"):
        folder.resumed(tmp_path)


def record(**changes: Any) -> EpochRecord:
    values: dict[str, Any] = {"epoch": 1, "step": 5, "lr": 0.1, "train_loss": 1.0, "test_loss": 2.0}
    values |= {"test_accuracy": 0.5, "seconds": 1.0, "step_ms": 2.0, "probes": {"fc1.error.cosine": 0.5}}
    return EpochRecord(**(values | changes))


def test_log_lines_are_json_whatever_the_numbers(tmp_path: Path) -> None:
    out = RunFolder(tmp_path, {})
    out.append(record(test_loss=float("inf")))
    assert '"test_loss": null' in (tmp_path / "metrics.jsonl").read_text()
    (found,) = out.rewind(1)
    assert np.isnan(found.test_loss)
    assert found.probes == {"fc1.error.cosine": 0.5}
