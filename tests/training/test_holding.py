"""The folder of a training is its own wherever it is moved, and no other is taken for it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fac.backend import Session
from fac.cli import train as command
from fac.diagnostics import FacError
from fac.spec.model import ModelSpec
from fac.training import checkpoint, folder
from fac.training.dataset import Dataset
from fac.training.folder import RunFolder
from fac.training.holding import LOCK, Held
from fac.training.logs import EpochRecord, Listener
from fac.training.loop import train
from fac.writing import sweep

Opener = Callable[..., Session]
CALLS = (
    "open",
    "mkdir",
    "rename",
    "replace",
    "fsync",
    "unlink",
    "rmdir",
    "stat",
    "lstat",
    "listdir",
    "scandir",
)


class Then(Listener):
    """Does something after the first epoch."""

    def __init__(self, act: Callable[[], object]) -> None:
        self.act = act

    def ended(self, record: EpochRecord) -> None:
        """Once."""
        if record.epoch == 1:
            self.act()


def epochs(path: Path) -> list[int]:
    return [json.loads(line)["epoch"] for line in (path / "metrics.jsonl").read_text().splitlines()]


def test_a_renamed_folder_and_another_run_under_the_old_name_both_keep_their_results(
    spec: ModelSpec, dataset: Dataset, open_session: Opener, tmp_path: Path
) -> None:
    """The second one begins, and ends, while the first is at work."""
    one, moved = tmp_path / "one", tmp_path / "deep" / "moved"
    moved.parent.mkdir()

    def another() -> None:
        one.rename(moved)
        with folder.claim(one, "net"):
            train(open_session(spec), dataset, spec, RunFolder(Held(one), {"who": "second"}))

    with folder.claim(one, "net"):
        out = RunFolder(Held(one), {"who": "first"})
        train(open_session(spec), dataset, spec, out, Then(another))
        assert out.path == moved
    for path, who in ((moved, "first"), (one, "second")):
        found = checkpoint.load(path)
        assert (found.step, found.about["who"]) == (15, who)
        assert epochs(path) == [0, 1, 2, 3]
        assert sorted(os.listdir(path)) == ["metrics.jsonl", "state.safetensors"]


def test_the_lock_of_another_run_under_the_old_name_stays(tmp_path: Path) -> None:
    one, moved = tmp_path / "one", tmp_path / "moved"
    with folder.claim(one, "net") as first:
        (first.path / "x").touch()
        one.rename(moved)
        other = folder.claim(one, "net")
        other.__enter__()
    assert os.listdir(moved) == ["x"]
    assert os.listdir(one) == [LOCK]
    with pytest.raises(FacError, match="another training is at work"), folder.claim(one, "net"):
        pass
    other.__exit__(None, None, None)
    assert os.listdir(tmp_path) == ["moved"]


def test_a_folder_that_is_gone_ends_the_training_with_a_message(
    spec: ModelSpec, dataset: Dataset, open_session: Opener, tmp_path: Path
) -> None:
    """Also where there is another of its name: that is not ours."""
    for again in (False, True):
        path = tmp_path / f"run{again}"

        def removed(path: Path = path, again: bool = again) -> None:
            for name in os.listdir(path):
                (path / name).unlink()
            path.rmdir()
            if again:
                path.mkdir()

        with (
            pytest.raises(FacError, match=r"the folder of this training, is gone, and what was kept in it"),
            folder.claim(path, "net"),
        ):
            train(open_session(spec), dataset, spec, RunFolder(Held(path), {}), Then(removed))
        assert path.exists() == again
        assert not again or os.listdir(path) == []


def test_a_link_that_lies_in_wait_under_the_name_of_the_lock_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / LOCK).symlink_to(tmp_path / "elsewhere")
    with (
        pytest.raises(FacError, match=r"cannot write .*run`: too many levels"),
        folder.claim(tmp_path / "run", "net"),
    ):
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_what_is_said_in_the_end_names_the_folder_as_it_is_called_by_then(
    spec: ModelSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    text = (
        "fac: 1\nname: a\ninput: {shape: [8, 8]}\nlayers: [{kind: flatten}, {kind: linear, name: fc1, out: 10}]\n"
        "loss: {kind: cross_entropy}\nupdate: {rule: sgd, lr: 0.1}\ndata: {source: digits}\n"
        "train: {epochs: 2, batch: 200}\n"
    )
    Path("a.fac.yaml").write_text(text)
    plain: Any = RunFolder.append

    def append(run: RunFolder, record: EpochRecord) -> None:
        plain(run, record)
        if record.epoch == 1:
            Path("run").rename("moved")

    monkeypatch.setattr(RunFolder, "append", append)
    command.COMMAND.main(["a.fac.yaml", "--backend", "reference", "--out", "run"], standalone_mode=False)
    assert "state, log and spec are in `moved`" in capsys.readouterr().out
    held = ["metrics.jsonl", "outcome.json", "spec.fac.yaml", "state.safetensors"]
    assert sorted(os.listdir("moved")) == held
    assert not Path("run").exists()


def test_a_folder_that_is_renamed_in_the_midst_of_a_checkpoint_has_it_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before whichever call of the system it is renamed, and although another has its name by then."""
    point = 0

    def write(path: Path) -> None:
        with folder.claim(path, "net") as held:
            out = RunFolder(held, {}, "fac: 1")
            with monkeypatch.context() as patch:
                renaming(patch, path)
                out.save({"step": np.array(7)}, {})
                out.append(EpochRecord(1, 5, 0.1, 1.0, 2.0, 0.5, 1.0, 2.0))
                assert len(out.rewind(1, 5)) == 1
                out.save({"step": np.array(8)}, {})

    def renaming(patch: pytest.MonkeyPatch, path: Path) -> None:
        calls = 0

        def before(plain: Any) -> Any:
            def call(*arguments: Any, **named: Any) -> Any:
                nonlocal calls, point
                calls += 1
                if calls == point:
                    path.rename(path.with_name("moved"))
                    path.mkdir()
                return plain(*arguments, **named)

            return call

        patch.setattr(os, "fsync", lambda descriptor: None)  # which takes most of the time
        for name in CALLS:
            patch.setattr(os, name, before(getattr(os, name)))

    for point in range(1, 1000):
        path = tmp_path / str(point) / "run"
        write(path)
        moved = path.with_name("moved")
        if not moved.exists():
            break
        assert os.listdir(path) == []
        assert checkpoint.load(moved).step == 8
        sweep(moved)  # as the next call does: what was moved in is not removed where the folder was
        assert sorted(os.listdir(moved)) == ["metrics.jsonl", "spec.fac.yaml", "state.safetensors"], point
    assert 50 < point < 999
