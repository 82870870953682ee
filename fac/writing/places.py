"""Names for what is not finished, and how it is known whether somebody is still at it."""

from __future__ import annotations

import errno
import os
import re
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import Any

from fac.diagnostics import FacError
from fac.escaping import visible
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
TRIES = 100
"""How often to look for what others rename, make or remove just then."""
SILENCE, PATIENCE, RETRY = 1, 30, 0.02
"""Seconds after which it is said that a folder is waited for, after which it is not waited for any longer, and between
two looks."""
NO_LINK: int = getattr(os, "O_NOFOLLOW", 0)
READING: int = os.O_RDONLY | NO_LINK | getattr(os, "O_NONBLOCK", 0)
BINARY: int = getattr(os, "O_BINARY", 0)


def unwritable(path: Path | str, error: OSError) -> FacError:
    """The message for a path that the system refuses."""
    return FacError(f"cannot write `{path}`: {reason(error)}")


def require_writable(path: Path) -> None:
    """Refuse before long work a file that could not be written after it. Nothing is made or changed.

    Raises:
        FacError: its folder is not there, is none or may not be written to, or it is a folder itself.
    """
    place = Path(os.path.realpath(path))
    if os.path.exists(place) and not os.path.isfile(place) and not os.path.isdir(place):
        return  # such as `/dev/null`
    folder = place.parent
    if not os.path.exists(folder):
        number = errno.ENOENT
    elif not os.path.isdir(folder):
        number = errno.ENOTDIR
    elif os.path.isdir(place):
        number = errno.EISDIR
    elif not os.access(folder, os.W_OK | os.X_OK):
        number = errno.EACCES
    else:
        return
    raise unwritable(path, OSError(number, os.strerror(number)))


def fresh(folder: Path) -> Path:
    """A path in a folder that nobody else can have thought of, so that no link lies in wait there."""
    return folder / f".fac-{token_hex(8)}"


def seen(path: Path, at: int | None) -> Path | str:
    """A path as the system is told it beside `dir_fd`: of an open folder its last part alone, whatever leads there."""
    return path if at is None else path.name


def new_file(folder: Path, at: int | None = None) -> tuple[int, Path]:
    """A file to write into, locked.

    Args:
        folder: in which it is made.
        at: the descriptor of that folder, if it is open: then it is meant, wherever it lies by now.
    """
    while True:
        path = fresh(folder)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | NO_LINK | BINARY
        descriptor = os.open(seen(path, at), flags, 0o666, dir_fd=at)
        if _locked_in_time(descriptor, path, at):
            return descriptor, path


def new_folder(folder: Path, at: int | None = None) -> tuple[int | None, Path]:
    """A folder to write into, locked; its descriptor where folders have one.

    Args:
        folder: see `new_file`, and so `at`.
        at: its descriptor.
    """
    while True:
        path = fresh(folder)
        os.mkdir(seen(path, at), dir_fd=at)
        if fcntl is None:
            return None, path
        with suppress(FileNotFoundError):
            descriptor = os.open(seen(path, at), READING, dir_fd=at)
            if _locked_in_time(descriptor, path, at):
                return descriptor, path


MOMENT = 1000
"""Tries, each a millisecond, to lock a folder that others only look at."""


def locked(folder: Path) -> int | None:
    """A descriptor that locks a folder, where folders have one."""
    if fcntl is None:
        return None
    descriptor = os.open(folder, READING)
    for _ in range(MOMENT):  # one that cleans up may look at it just now
        if lock(descriptor) is not False:
            break
        time.sleep(0.001)
    return descriptor


def make_parents(path: Path) -> list[Path]:
    """Make the folders above a path where there are none, and say which they are, the lowest first.

    Raises:
        FacError: see `require_folder`.
    """
    made: list[Path] = []
    try:
        for folder in reversed(path.parents):
            require_folder(folder)
            if not folder.exists():
                with suppress(FileExistsError):  # somebody else has made it just now
                    folder.mkdir()
                    made.insert(0, folder)
    except (OSError, FacError):
        remove_empty(made)
        raise
    return made


def require_folder(path: Path) -> None:
    """Refuse what lies where a folder is, or is to be made.

    Raises:
        FacError: it is a file, or a link that leads nowhere.
    """
    try:
        found = os.stat(path)  # asked once: it may come or go in between
    except OSError as error:
        if path.is_symlink() and not path.exists():
            raise FacError(f"`{path}` is a link that leads nowhere: mend it, or remove it") from error
        return
    if not stat.S_ISDIR(found.st_mode):
        raise FacError(f"`{path}` is a file, where a folder is needed: name another")


def remove_empty(folders: Iterable[Path]) -> None:
    """Remove folders that were made for what has not come: the lowest first, and none that holds something."""
    with suppress(OSError):
        for folder in folders:
            folder.rmdir()


def _locked_in_time(descriptor: int, path: Path, at: int | None) -> bool:
    """Whether it was locked before a sweep of another process took it for a leftover."""
    if lock(descriptor) is not False and same(descriptor, path, at):
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
    """While no other process moves files into the folder: one that does is waited for, and that is said.

    Raises:
        FacError: another process has held the folder for half a minute, which moving files never takes.
    """
    if fcntl is None:
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        _wait(descriptor, folder)
        yield
    finally:
        os.close(descriptor)


def _wait(descriptor: int, folder: Path) -> None:
    since, said = time.monotonic(), False
    while lock(descriptor) is False:
        waited = time.monotonic() - since
        if waited > PATIENCE:
            raise FacError(
                f"`{folder}` is locked by another process, for {PATIENCE} seconds now: end that one (`lslocks` or "
                "`fuser` names it), and make the same call again"
            )
        if waited > SILENCE and not said:
            said = True
            import logging  # not at the start of every command

            # Printed as it is, on standard error, where nobody has asked for the log of the package.
            logging.getLogger("fac").warning(
                visible(f"waiting for another process that has locked `{folder}`")
            )
        time.sleep(RETRY)


def same(descriptor: int, path: Path, at: int | None = None) -> bool:
    """Whether an open file or folder is the one at a path, or of that name in an open folder."""
    try:
        found = os.stat(seen(path, at), dir_fd=at, follow_symlinks=False)
        return os.path.samestat(os.fstat(descriptor), found)
    except FileNotFoundError:
        return False


def whereabouts(descriptor: int, path: Path) -> Path | None:
    """Where an open file or folder lies that was at `path`; None if it is gone, or the system does not say."""
    try:
        if os.path.samestat(os.fstat(descriptor), os.stat(path)):
            return path
    except OSError:
        pass
    for _ in range(TRIES):
        found = Path(_asked(descriptor))
        if same(descriptor, found):
            here = Path.cwd()
            relative = found.is_relative_to(here) and not path.is_absolute()
            return found.relative_to(here) if relative else found
    return None


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


def flush(folder: Path, at: int | None = None) -> None:
    """Have the names in a folder on the disk, where the system can; by its descriptor, if it is open."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY) if at is None else os.dup(at)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
