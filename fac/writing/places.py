"""Names for what is not finished, and how it is known whether somebody is still at it."""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import Any

from fac.diagnostics import FacError
from fac.opening import reason

fcntl: Any
try:
    import fcntl
except ModuleNotFoundError:
    fcntl = None  # no such locks on this system

READY = ".ready"
"""Ends the name of a group whose files are complete and on the disk: what is left of it is moved in, not removed."""
NAME = re.compile(r"\.fac-[0-9a-f]{16}")
ANY_NAME = re.compile(rf"{NAME.pattern}({re.escape(READY)})?")
OLD = 24 * 3600
"""Seconds after which what is not finished is given up where the system has no locks."""
NO_LINK: int = getattr(os, "O_NOFOLLOW", 0)
READING: int = os.O_RDONLY | NO_LINK | getattr(os, "O_NONBLOCK", 0)
BINARY: int = getattr(os, "O_BINARY", 0)


def unwritable(path: Path | str, error: OSError) -> FacError:
    """The message for a path that the system refuses."""
    return FacError(f"cannot write `{path}`: {reason(error)}")


def fresh(folder: Path) -> Path:
    """A path in a folder that nobody else can have thought of, so that no link lies in wait there."""
    return folder / f".fac-{token_hex(8)}"


def new_file(folder: Path) -> tuple[int, Path]:
    """A file to write into, locked."""
    while True:
        path = fresh(folder)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | NO_LINK | BINARY, 0o666)
        if _locked_in_time(descriptor, path):
            return descriptor, path


def new_folder(folder: Path) -> tuple[int | None, Path]:
    """A folder to write into, locked; its descriptor where folders have one."""
    while True:
        path = fresh(folder)
        path.mkdir()
        if fcntl is None:
            return None, path
        with suppress(FileNotFoundError):
            descriptor = os.open(path, READING)
            if _locked_in_time(descriptor, path):
                return descriptor, path


def held(folder: Path) -> int | None:
    """A descriptor that locks a folder, where folders have one."""
    if fcntl is None:
        return None
    descriptor = os.open(folder, READING)
    lock(descriptor)
    return descriptor


def _locked_in_time(descriptor: int, path: Path) -> bool:
    """Whether it was locked before a sweep of another process took it for a leftover."""
    lock(descriptor)
    if same(descriptor, path):
        return True
    os.close(descriptor)
    return False


def lock(descriptor: int) -> bool | None:
    """Lock a file or folder until its descriptor is closed; False if another holds it, None without locks."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None  # some network file systems have no locks
    return True


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """While no other process moves files into the folder."""
    if fcntl is None:
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def same(descriptor: int, path: Path) -> bool:
    """Whether an open file or folder is the one at a path."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path, follow_symlinks=False))
    except FileNotFoundError:
        return False


def whereabouts(descriptor: int, path: Path) -> Path | None:
    """Where an open file or folder lies that was at `path`; None if it is gone, or the system does not say."""
    try:
        if os.path.samestat(os.fstat(descriptor), os.stat(path)):
            return path
    except OSError:
        pass
    found = Path(_asked(descriptor))
    if not same(descriptor, found):
        return None
    here = Path.cwd()
    return found.relative_to(here) if found.is_relative_to(here) and not path.is_absolute() else found


def _asked(descriptor: int) -> str:
    """What the system says of an open file: Linux, or macOS."""
    with suppress(OSError):
        return os.readlink(f"/proc/self/fd/{descriptor}")
    with suppress(OSError, AttributeError):
        return os.fsdecode(fcntl.fcntl(descriptor, fcntl.F_GETPATH, bytes(1024)).rstrip(b"\0"))
    return ""


@contextmanager
def abandoned(path: Path) -> Iterator[bool]:
    """Whether nobody is at work on a leftover any more, and whose turn it is now: ours."""
    descriptor = None
    try:
        found = os.lstat(path)
        plain = stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)
        descriptor = os.open(path, READING) if plain and fcntl is not None else None
    except OSError:
        plain = False
    try:
        ours = lock(descriptor) if descriptor is not None else None
        yield plain and (time.time() - found.st_mtime > OLD if ours is None else ours)
    finally:
        if descriptor is not None:
            os.close(descriptor)


def sync(path: Path) -> None:
    """Have a file on the disk."""
    descriptor = os.open(path, os.O_RDONLY if fcntl is not None else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def flush(folder: Path) -> None:
    """Have the names in a folder on the disk, where the system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
