"""A folder that one training has for itself, from before its data are loaded until it is over."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from fac.diagnostics import FacError
from fac.writing import NO_LINK, fresh, lock, new_folder, parent_of, sweep, unwritable, whereabouts

LOCK = ".lock"
"""There while a training holds the folder. What counts is the system's lock on it, not that it exists."""
TRIES = 100
"""How often to make a folder that another process removes just then."""


@contextmanager
def alone_in(path: Path, *, made: bool = False) -> Iterator[None]:
    """Make the folder if need be and hold it alone. One that was made here is removed if it is empty in the end.

    The system lets go of the folder when the process ends, however it ends.
    """
    try:
        descriptor, new = _locked(path)
    except OSError as error:
        raise unwritable(path, error) from error
    try:
        sweep(path)
        yield
    finally:
        # another run may have a folder of that name by now
        lock_file = whereabouts(descriptor, path / LOCK)
        if lock_file is not None:
            _left(lock_file, remove=made or new)
        os.close(descriptor)


def _left(lock_file: Path, *, remove: bool) -> None:
    """Take the lock file away while it is still locked, so that it cannot be another's."""
    folder = lock_file.parent
    with suppress(OSError):
        if not remove or len(os.listdir(folder)) > 1:
            lock_file.unlink()
            return
        # Out of the way first: who comes now makes the folder anew, and it is theirs.
        aside = fresh(folder.parent)
        folder.rename(aside)
        (aside / LOCK).unlink()
        try:
            aside.rmdir()  # which the system refuses if anything is in it
        except OSError:
            aside.rename(folder)


def _locked(path: Path) -> tuple[int, bool]:
    """Descriptor of the lock file, locked, and whether the folder was made for it."""
    for attempt in count(1):
        descriptor = None
        try:
            if os.name == "nt":  # where a folder cannot be renamed while a file in it is open
                path.mkdir(parents=True, exist_ok=True)
            if not os.path.lexists(path):
                descriptor = _made(path)
                if descriptor is not None:
                    return descriptor, True
            if not path.is_dir():
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
            descriptor = os.open(path / LOCK, os.O_RDWR | os.O_CREAT | NO_LINK, 0o666)
        except (FileExistsError, FileNotFoundError):
            # whoever held the folder has just removed it; or it cannot be made at all
            if attempt == TRIES:
                raise
            continue
        try:
            if lock(descriptor) is False:
                raise FacError(f"another training is at work in `{path}`: wait until it ends, or stop it")
            if os.path.samestat(os.fstat(descriptor), os.stat(path / LOCK)):
                return descriptor, False
        except FileNotFoundError:
            pass  # whoever held the lock removed the file before letting go of it
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
    raise AssertionError("attempts do not end")


def _made(path: Path) -> int | None:
    """Make the folder with its lock in it, so that nobody can hold it before; None if somebody else has made it."""
    base = parent_of(path)
    sweep(base)
    held, staging = new_folder(base)
    try:
        descriptor = os.open(staging / LOCK, os.O_RDWR | os.O_CREAT | os.O_EXCL | NO_LINK, 0o666)
        lock(descriptor)
        try:
            staging.rename(path)
        except OSError as error:
            os.close(descriptor)
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
            return None
        return descriptor
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        if held is not None:
            os.close(held)
