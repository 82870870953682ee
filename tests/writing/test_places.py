"""A folder that another process has locked is waited for, aloud and not for ever."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fac.diagnostics import FacError
from fac.writing import places, staged


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[int]:
    """The descriptor by which somebody else holds the folder."""
    descriptor = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    yield descriptor
    os.close(descriptor)


def write(folder: Path) -> None:
    with staged(folder, tuple) as place:
        (place / "file").write_text("new")


def test_a_folder_that_stays_locked_is_one_message_and_is_as_it_was(
    locked: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(places, "SILENCE", 0.05)
    monkeypatch.setattr(places, "PATIENCE", 0.2)
    with pytest.raises(FacError, match=r"is locked by another process, for 0\.2 seconds now: end that one"):
        write(tmp_path)
    assert caplog.messages == [f"waiting for another process that has locked `{tmp_path}`"]
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_locked_for_a_moment_is_written_in_silence(
    locked: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    threading.Timer(0.1, fcntl.flock, (locked, fcntl.LOCK_UN)).start()
    write(tmp_path)
    assert (tmp_path / "file").read_text() == "new"
    assert caplog.messages == []


def test_a_new_folder_that_a_sweep_looks_at_is_left_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is about to be removed as a leftover: who made it takes another, which nobody else has locked."""
    mkdir, sweeping = os.mkdir, list[int]()

    def seen_at_once(path: str, *, dir_fd: int | None = None) -> None:
        mkdir(path, dir_fd=dir_fd)
        if not sweeping:
            sweeping.append(os.open(path, os.O_RDONLY))
            fcntl.flock(sweeping[0], fcntl.LOCK_EX)

    monkeypatch.setattr(os, "mkdir", seen_at_once)
    descriptor, path = places.new_folder(tmp_path)
    assert descriptor is not None
    assert not os.path.samestat(os.fstat(sweeping[0]), os.stat(path))
    with places.abandoned(path) as ours:
        assert not ours
    os.close(descriptor)
    os.close(sweeping[0])
