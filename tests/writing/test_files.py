"""One file: whole or as it was, never elsewhere, and still its owner's."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from fac.diagnostics import FacError
from fac.writing import append, replacing, rewrite, settle, sweep, write
from fac.writing.places import NAME, new_file, new_folder

GIVEN = (12345, 23456)


def test_a_file_is_replaced_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write(path, b"old")

    def interrupted() -> None:
        with replacing(path) as file:
            file.write(b"new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert (path.read_bytes(), os.listdir(tmp_path)) == (b"old", ["a"])
    write(path, b"new")
    assert (path.read_bytes(), os.listdir(tmp_path)) == (b"new", ["a"])


def test_the_name_of_what_is_not_finished_cannot_be_guessed_and_is_nobody_elses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link that lies in wait under every name that was ever used leads nowhere; two writers have two names."""
    target = tmp_path / "target"
    target.write_text("mine")
    for name in (".a.part", f".a.{os.getpid()}", f"a.{os.getpid()}.tmp"):
        (tmp_path / name).symlink_to(target)
    with replacing(tmp_path / "a") as one, replacing(tmp_path / "a") as other:
        assert one.fileno() != other.fileno()
        names = [name for name in os.listdir(tmp_path) if NAME.fullmatch(name)]
        assert len(names) == 2
    guessed = iter(["0" * 16, "1" * 16])  # should anybody have thought of it after all
    (tmp_path / f".fac-{'0' * 16}").symlink_to(target)
    monkeypatch.setattr("fac.writing.places.token_hex", lambda _: next(guessed))
    with pytest.raises(FacError, match="file exists"):
        write(tmp_path / "a", b"new")
    assert target.read_text() == "mine"


def test_a_file_that_must_be_new_never_replaces_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On file systems without links, too."""
    path = tmp_path / "a"

    def refused(*_: Any, **named: Any) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    for number in range(2):
        with replacing(path, new=True) as file:
            file.write(b"first")
        with (
            pytest.raises(FacError, match=r"cannot write .*: file exists$"),
            replacing(path, new=True) as file,
        ):
            file.write(b"second")
        assert (path.read_bytes(), os.listdir(tmp_path)) == (b"first", ["a"])
        path.unlink()
        if number == 0:
            monkeypatch.setattr(os, "link", refused)


def test_a_replaced_file_keeps_mode_owner_and_attributes(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("old")
    path.chmod(0o640)
    given = os.geteuid() == 0
    if given:
        os.chown(path, *GIVEN)
    try:
        os.setxattr(path, "user.fac", b"kept")
        attributes = {"user.fac": b"kept"}
    except OSError:
        attributes = {}
    rewrite(path, b"new")
    found = path.stat()
    assert (path.read_text(), stat.S_IMODE(found.st_mode)) == ("new", 0o640)
    assert (found.st_uid, found.st_gid) == GIVEN or not given
    assert {name: os.getxattr(path, name) for name in attributes} == attributes


def test_a_rewritten_file_stays_one_file_under_all_its_names(tmp_path: Path) -> None:
    path, other, link = (tmp_path / name for name in ("a", "b", "c"))
    path.write_text("a longer text than the one that comes")
    os.link(path, other)
    link.symlink_to("a")
    for text in ("short", "a much longer text than all of those before it were"):
        rewrite(link, text.encode())
        assert link.is_symlink()
        assert path.samefile(other)
        assert path.read_text() == other.read_text() == text
    assert sorted(os.listdir(tmp_path)) == ["a", "b", "c"]


def test_a_file_of_another_is_rewritten_and_stays_theirs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who may write a file need not be able to make one that belongs to its owner."""
    path = tmp_path / "a"
    path.write_text("old")
    before = path.stat()
    monkeypatch.setattr(os, "geteuid", lambda: before.st_uid + 1)
    rewrite(path, b"new")
    assert (path.read_text(), path.stat().st_ino, path.stat().st_uid) == ("new", before.st_ino, before.st_uid)


def test_a_line_is_added_whole_and_is_one_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log"
    append(path, "one")
    assert path.read_text() == "one\n"
    path.write_text("one")  # an editor, or a copy, has lost the line end
    append(path, "two")
    assert path.read_text() == "one\ntwo\n"

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(FacError, match=r"cannot write `.*log`: no space left on device"):
            append(path, "three")
    assert path.read_text() == "one\ntwo\n"


def test_a_line_is_not_added_to_what_a_link_leads_to(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("mine\n")
    (tmp_path / "log").symlink_to("target")
    with pytest.raises(FacError, match=r"cannot write .*log`: too many levels of symbolic links"):
        append(tmp_path / "log", "line")
    (tmp_path / "broken").symlink_to("nowhere")
    with pytest.raises(FacError):
        append(tmp_path / "broken", "line")
    assert ((tmp_path / "target").read_text(), (tmp_path / "nowhere").exists()) == ("mine\n", False)


def test_leftovers_are_removed_and_what_somebody_is_at_is_not(tmp_path: Path) -> None:
    """Nor what only looks like one: a link, a pipe, a file of another name."""
    for name in ("0" * 16, "1" * 16 + ".ready", "2" * 15, "x" * 16):
        (tmp_path / f".fac-{name}").touch()
    (tmp_path / f".fac-{'3' * 16}").mkdir()
    (tmp_path / f".fac-{'3' * 16}" / "x").touch()
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "x").touch()
    (tmp_path / f".fac-{'4' * 16}").symlink_to("target")
    os.mkfifo(tmp_path / f".fac-{'5' * 16}")
    file, busy = new_file(tmp_path)
    folder, busy_folder = new_folder(tmp_path)
    sweep(tmp_path)
    kept = {f".fac-{name}" for name in ("1" * 16 + ".ready", "2" * 15, "x" * 16, "4" * 16, "5" * 16)}
    assert set(os.listdir(tmp_path)) == {*kept, "target", busy.name, busy_folder.name}
    assert (tmp_path / "target" / "x").exists()
    assert folder is not None
    for descriptor in (file, folder):
        os.close(descriptor)
    settle(tmp_path)
    assert busy.exists()
    sweep(tmp_path)
    assert set(os.listdir(tmp_path)) == {*kept, "target"}
