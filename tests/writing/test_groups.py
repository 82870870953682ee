"""Several files of one folder: all of them new, or all as they were, whoever comes in between."""

from __future__ import annotations

import errno
import json
import os
import runpy
import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fac.diagnostics import FacError
from fac.pipeline import compile
from fac.testing.nets import NET, spec
from fac.training import data
from fac.training.data.arrays import Arrays
from fac.writing import settle, staged, sweep, unfinished
from fac.writing.groups import JOURNAL, WITNESS
from fac_torch import kernels

DUE = f".fac-{'0' * 16}.ready"


def written(folder: Path, files: dict[str, str], gone: tuple[str, ...] = ()) -> None:
    with staged(folder, lambda: gone) as place:
        for name, text in files.items():
            (place / name).parent.mkdir(exist_ok=True)
            (place / name).write_text(text)


def found(folder: Path) -> dict[str, str]:
    return {p.relative_to(folder).as_posix(): p.read_text() for p in folder.rglob("*") if p.is_file()}


def due(folder: Path, texts: dict[str, str], gone: tuple[str, ...] = (), **changed: Any) -> Path:
    """A group that a process has left half moved in: what has no text is in its place already."""
    place = folder / DUE
    for name, text in texts.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text)
    place.mkdir(exist_ok=True)
    (place / WITNESS).touch()
    own = os.lstat(place / WITNESS)
    journal = {"files": list(texts), "gone": list(gone), "into": False} | changed
    journal["witness"] = [own.st_dev, own.st_ino, own.st_ctime_ns]
    (place / JOURNAL).write_text(json.dumps(journal))
    return place


def test_a_new_folder_is_there_with_all_its_files_or_not_at_all(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"

    def interrupted() -> None:
        with staged(folder) as place:
            (place / "x").write_text("new")
            assert not folder.exists()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert os.listdir(tmp_path) == []
    written(folder, {"x": "new", "sub/y": "new"})
    assert (found(folder), os.listdir(tmp_path / "a")) == ({"x": "new", "sub/y": "new"}, ["b"])


def test_in_a_folder_that_is_there_files_are_replaced_together_and_others_stay(tmp_path: Path) -> None:
    written(tmp_path, {"x": "old", "y": "old"})
    (tmp_path / "mine").write_text("mine")
    with staged(tmp_path, lambda: ["y", "../outside", "z"]) as place:
        (place / "x").write_text("new")
        (place / "z").write_text("new")
        assert (tmp_path / "x").read_text() == "old"
    assert found(tmp_path) == {"x": "new", "z": "new", "mine": "mine"}


def test_a_folder_in_the_place_of_a_file_stops_a_group_before_anything_has_moved(tmp_path: Path) -> None:
    written(tmp_path, {"x": "old"})
    (tmp_path / "y").mkdir()
    with pytest.raises(FacError, match=f"^cannot write `{tmp_path}`: `{tmp_path}/y` is a folder$"):
        written(tmp_path, {"x": "new", "y": "new"})
    assert (found(tmp_path), sorted(os.listdir(tmp_path))) == ({"x": "old"}, ["x", "y"])


def test_messages_name_the_folder_and_not_where_its_files_were_written(tmp_path: Path) -> None:
    def refused(folder: Path) -> None:
        with staged(folder) as place:
            raise FacError(f"`{place / 'x'}` is odd")

    for folder in (tmp_path, tmp_path / "new"):
        with pytest.raises(FacError) as error:
            refused(folder)
        assert str(error.value) == f"`{folder / 'x'}` is odd"


def test_a_group_that_is_due_is_finished_by_the_next_call_and_by_who_reads(tmp_path: Path) -> None:
    for finish in (settle, sweep, lambda folder: written(folder, {"w": "more"})):
        folder = tmp_path / finish.__name__
        written(folder, {"x": "new", "y": "old", "z": "old"})
        due(folder, {"x": "new", "y": "new"}, ("z",))
        (folder / DUE / "x").unlink()
        finish(folder)
        files = found(folder)
        files.pop("w", None)
        assert files == {"x": "new", "y": "new"}
        assert not any(map(unfinished, os.listdir(folder)))


def test_a_file_never_stands_beside_what_completes_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever rename it is that fails: a model is loaded with whatever parameters lie beside it."""
    names, real = ("model.onnx", "model.onnx.data"), os.replace
    for failing in (1, 2):
        folder = tmp_path / str(failing)
        written(folder, dict.fromkeys(names, "old"))
        count = iter(range(1, 9))

        def replace(source: Any, target: Any, failing: int = failing, count: Any = count) -> None:
            if next(count) == failing:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            real(source, target)

        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", replace)
            with pytest.raises(FacError, match=r"half replaced.*make the same call again: it goes on there"):
                written(folder, dict.fromkeys(names, "new"))
        assert not (folder / "model.onnx").exists()
        settle(folder)
        assert found(folder) == dict.fromkeys(names, "new")


def test_a_journal_of_another_leads_nowhere_else(tmp_path: Path) -> None:
    """A folder from elsewhere may hold anything, under any name."""
    outside, folder = tmp_path / "outside", tmp_path / "folder"
    for path in (outside, folder):
        path.mkdir()
        (path / "x").write_text("mine")
    (folder / "sub").symlink_to(outside)
    (folder / "link").symlink_to(outside / "x")
    names = ("../outside/x", str(outside / "x"), "sub/x", "", ".", "..")
    due(folder, {"y": "theirs"}, names, files=["y", *names])
    (folder / DUE / "sub").mkdir()
    (folder / DUE / "sub" / "x").write_text("theirs")
    settle(folder)
    assert found(outside) == {"x": "mine"}
    assert (folder / "y").read_text() == "theirs"
    due(folder, {"link": "theirs"}, into=True)
    with pytest.raises(FacError, match="half replaced"):
        settle(folder)
    assert found(outside) == {"x": "mine"}


def test_a_group_of_another_user_is_not_moved_in_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a folder for all, what is due could be anything: who writes or reads there passes it by."""
    written(tmp_path, {"x": "mine"})
    due(tmp_path, {"x": "theirs"})
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    settle(tmp_path)
    written(tmp_path, {"y": "mine"})
    assert {name: text for name, text in found(tmp_path).items() if DUE not in name} == {
        "x": "mine",
        "y": "mine",
    }


def test_what_others_have_left_hinders_nobody_from_reading_what_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But where their files are half in their places, who reads is told."""
    written(tmp_path, {"x": "old", "y": "old"})
    place = due(tmp_path, {"x": "new", "y": "new"})
    with monkeypatch.context() as patch:
        patch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
        settle(tmp_path)
        (place / "x").replace(tmp_path / "x")
        with pytest.raises(FacError, match=r"is half replaced: .* was left by another user"):
            settle(tmp_path)
        lstat = os.lstat

        def claimed(path: Any) -> Any:
            """As if the file in its place were of a third user, of whom the journal tells untruths."""
            found = lstat(path)
            return os.stat_result([*found[:4], 4321, *found[5:]]) if Path(path) == tmp_path / "x" else found

        patch.setattr(os, "lstat", claimed)
        settle(tmp_path)
        patch.setattr(os, "lstat", lstat)
        (place / "y").replace(tmp_path / "y")
        settle(tmp_path)
    assert found(tmp_path)["x"] == found(tmp_path)["y"] == "new"


def test_what_cannot_be_moved_in_hinders_nobody_from_reading_what_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a disk that may only be read."""
    written(tmp_path, {"x": "old", "y": "old"})
    place = due(tmp_path, {"x": "new", "y": "new"})

    def refused(*_: Any, **named: Any) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", refused)
        settle(tmp_path)
    (place / "x").replace(tmp_path / "x")
    monkeypatch.setattr(os, "replace", refused)
    with pytest.raises(
        FacError, match="is half replaced, and the rest cannot be moved in: read-only file system"
    ):
        settle(tmp_path)


@pytest.mark.parametrize("come", ["cp -r theirs clone", "tar c theirs --transform s/theirs/clone/ | tar x"])
def test_a_journal_that_came_with_a_copy_does_nothing(come: str, tmp_path: Path) -> None:
    """As in a repository that is cloned, whose author may have written anything into it."""
    theirs = tmp_path / "theirs"
    written(theirs, {"x": "mine", "y": "mine", "z": "mine"})
    due(theirs, {"x": "theirs"}, ("y",))
    subprocess.run(come, shell=True, check=True, cwd=tmp_path)
    clone = tmp_path / "clone"
    sweep(clone)
    settle(clone)
    journal = clone / DUE / JOURNAL
    journal.write_text(json.dumps(json.loads(journal.read_text()) | {"files": ["x", "z"]}))
    with pytest.raises(FacError, match=rf"{DUE}` was left by another user, or on another machine"):
        settle(clone)
    assert ((clone / "x").read_text(), (clone / "y").read_text()) == ("mine", "mine")


@pytest.mark.parametrize("journal", ["", "[]", "{}", '{"files": 1, "gone": [], "into": 0}', "[" * 9999, "\0"])
def test_what_is_no_journal_is_left_alone(journal: str, tmp_path: Path) -> None:
    (tmp_path / DUE).mkdir()
    (tmp_path / DUE / JOURNAL).write_text(journal)
    (tmp_path / DUE / "x").write_text("new")
    sweep(tmp_path)
    assert os.listdir(tmp_path) == [DUE]


@pytest.mark.parametrize("there", [True, False])
def test_of_many_at_once_the_files_of_one_are_there(there: bool, tmp_path: Path) -> None:
    """None is refused, and nothing lies about."""
    folder = tmp_path / "folder"
    if there:
        folder.mkdir()
    names = [f"{i}" for i in range(5)]
    begin = threading.Barrier(4)

    def compete(who: str) -> None:
        begin.wait()
        for _ in range(10):
            written(folder, dict.fromkeys((*names, f"of {who}"), who), tuple(f"of {w}" for w in "abcd"))

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(compete, who) for who in "abcd"]:
            done.result()
    files = found(folder)
    (who,) = set(files.values())
    assert sorted(files) == sorted([*names, f"of {who}"])
    assert os.listdir(tmp_path) == ["folder"]


Reader = Callable[[Path], object]


def test_who_reads_without_fac_refuses_a_folder_that_is_half_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compile(spec(NET), "onnx").write(tmp_path)
    due(tmp_path, {"notes": "new"})
    page = runpy.run_path(str(tmp_path / "run.py"))
    monkeypatch.setattr("sys.argv", ["run.py", "train.npz", "test.npz"])
    with pytest.raises(
        SystemExit, match="is half replaced by a `fac compile` that was cut off: make that call again"
    ):
        page["main"]()
    with pytest.raises(RuntimeError, match="half replaced: make that call again"):
        kernels.load_state(str(tmp_path / "state.safetensors"))
    settle(tmp_path)
    with pytest.raises(SystemExit, match=r"train\.npz"):
        page["main"]()


def test_data_of_two_calls_are_never_trained_on_together(tmp_path: Path) -> None:
    for name in ("train", "test"):
        np.savez(tmp_path / f"{name}.npz", x=np.zeros((2, 3)), y=np.zeros(2))
    place = due(tmp_path, {}, files=["train.npz", "test.npz"])
    np.savez(place / "test.npz", x=np.ones((2, 3)), y=np.ones(2))
    section = Arrays(source="arrays", train="train.npz", test="test.npz")
    assert (data.load(section, tmp_path).test.x == 1).all()
    assert sorted(os.listdir(tmp_path)) == ["test.npz", "train.npz"]
