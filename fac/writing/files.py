"""One file: replaced as a whole, rewritten, or longer by a line."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from fac.writing.groups import Content, commit, put, sweep
from fac.writing.places import BINARY, NO_LINK, flush, new_file, new_folder, seen, sync, unwritable
from fac.writing.places import fcntl as locks


@contextmanager
def replacing(path: Path, *, new: bool = False, at: int | None = None) -> Iterator[BinaryIO]:
    """A file to write, which takes its place once it is complete. One that is there lends it mode and owner.

    Args:
        path: of a file, or of nothing yet.
        new: whether a file that is there stays.
        at: the descriptor of the folder of the file, if it is open: then it is meant, wherever it lies by now.

    Raises:
        FacError: the file cannot be written, or is there and stays (`__cause__` is a FileExistsError). What was
            there before still is.
    """
    try:
        with _replacing(path, new=new, at=at) as file:
            yield file
    except OSError as error:
        raise unwritable(path, error) from error


@contextmanager
def _replacing(path: Path, *, new: bool = False, at: int | None = None) -> Iterator[BinaryIO]:
    descriptor, unfinished = new_file(path.parent, at)
    source, target = seen(unfinished, at), seen(path, at)
    try:
        with open(descriptor, "w+b") as file:
            yield file
            file.flush()
            if not new:
                _take_after(path, descriptor, at)
            os.fsync(descriptor)
            if locks is None:
                file.close()  # an open file cannot be renamed on such systems
            if new:
                _link(unfinished, path, at)
            else:
                os.replace(source, target, src_dir_fd=at, dst_dir_fd=at)
        flush(path.parent, at)
    finally:
        with suppress(OSError):
            os.unlink(source, dir_fd=at)


def write(path: Path, content: Content, at: int | None = None) -> None:
    """Replace a file.

    Args:
        path: see `replacing`, and so `at`.
        content: all of it.
        at: the descriptor of its folder.

    Raises:
        FacError: see `replacing`.
    """
    with replacing(path, at=at) as file:
        put(file, content)


def rewrite(path: Path, content: bytes) -> None:
    """Give somebody's file another content: it stays theirs, and the same file under all its names and links.

    Raises:
        FacError: the file cannot be written; what was there before still is.
    """
    try:
        place = Path(os.path.realpath(path))
        sweep(place.parent)
        found = place.stat() if place.exists() else None
        if found is None or (found.st_nlink == 1 and _may_give(found)):
            with _replacing(place) as file:
                file.write(content)
            return
        descriptor, staging = new_folder(place.parent)
        try:
            (staging / place.name).write_bytes(content)
            sync(staging / place.name)
            commit(staging, place.parent, [place.name], into=True)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
            if descriptor is not None:
                os.close(descriptor)
    except OSError as error:
        raise unwritable(path, error) from error


def append(path: Path, line: str, at: int | None = None) -> None:
    """Write a line to the end of a file, and no part of it if it does not fit. It begins a line of its own.

    Args:
        path: see `replacing`, and so `at`.
        line: without its end.
        at: the descriptor of its folder.

    Raises:
        FacError: the file cannot be written, or is a link.
    """
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | NO_LINK | BINARY
        descriptor = os.open(seen(path, at), flags, 0o666, dir_fd=at)
        try:
            size = os.fstat(descriptor).st_size
            content = f"{line}\n".encode()
            if size:
                os.lseek(descriptor, size - 1, os.SEEK_SET)
                if os.read(descriptor, 1) != b"\n":
                    content = b"\n" + content
            try:
                while content:
                    content = content[os.write(descriptor, content) :]
                os.fsync(descriptor)
            except OSError:
                with suppress(OSError):
                    os.ftruncate(descriptor, size)
                raise
        finally:
            os.close(descriptor)
    except OSError as error:
        raise unwritable(path, error) from error


def cut(path: Path, size: int, at: int | None = None) -> None:
    """Leave of a file its first `size` bytes.

    Args:
        path: see `replacing`, and so `at`.
        size: not more than it has.
        at: the descriptor of its folder.

    Raises:
        FacError: the file cannot be written, or is a link.
    """
    try:
        descriptor = os.open(seen(path, at), os.O_WRONLY | NO_LINK | BINARY, dir_fd=at)
        try:
            os.ftruncate(descriptor, size)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise unwritable(path, error) from error


def _take_after(path: Path, descriptor: int, at: int | None) -> None:
    """Mode, owner and attributes of the file that is replaced, as far as they may be given."""
    try:
        found = os.stat(seen(path, at), dir_fd=at, follow_symlinks=False)
    except FileNotFoundError:
        return
    if not stat.S_ISREG(found.st_mode):
        return
    own = os.fstat(descriptor)
    if hasattr(os, "fchown") and (own.st_uid, own.st_gid) != (found.st_uid, found.st_gid):
        with suppress(OSError):
            os.fchown(descriptor, found.st_uid, found.st_gid)
    if hasattr(os, "fchmod"):
        os.fchmod(descriptor, stat.S_IMODE(found.st_mode) & 0o777)
    for name in _attributes(path):
        with suppress(OSError):
            os.setxattr(descriptor, name, os.getxattr(path, name))


def _attributes(path: Path) -> list[str]:
    with suppress(OSError, AttributeError):
        return os.listxattr(path)
    return []


def _may_give(found: os.stat_result) -> bool:
    """Whether a new file of ours can belong to whom the old one does."""
    if not hasattr(os, "geteuid") or os.geteuid() == 0:
        return True
    return found.st_uid == os.geteuid() and found.st_gid in (os.getegid(), *os.getgroups())


def _link(unfinished: Path, path: Path, at: int | None) -> None:
    """Take a place that is free."""
    source, target = seen(unfinished, at), seen(path, at)
    try:
        os.link(source, target, src_dir_fd=at, dst_dir_fd=at)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        with suppress(FileNotFoundError):
            os.stat(target, dir_fd=at, follow_symlinks=False)
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from None
        os.replace(source, target, src_dir_fd=at, dst_dir_fd=at)
