"""A folder that one training has for itself, from before its data are loaded until it is over."""

from __future__ import annotations

import errno
import os
import shutil
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import TypeVar

from fac.diagnostics import FacError
from fac.writing import (
    NO_LINK,
    TRIES,
    fresh,
    lock,
    locked,
    make_parents,
    new_folder,
    remove_empty,
    require_folder,
    same,
    seen,
    sweep,
    unwritable,
    whereabouts,
)

LOCK = ".lock"
"""There while a training holds the folder. What counts is the system's lock on it, not that it exists."""

FLAGS = os.O_RDWR | os.O_CREAT | NO_LINK

T = TypeVar("T")


class Held:
    """A folder, wherever it lies: it may be renamed while a training goes on, and another take its name."""

    def __init__(self, path: Path, lies: Path | None = None) -> None:
        """Open it.

        Args:
            path: what messages call it.
            lies: where it lies, if it is to get that name yet.
        """
        self._path = path
        self.descriptor = None if os.name == "nt" else os.open(lies or path, os.O_RDONLY)
        """By which files in it are written; None where a folder that is in use cannot be renamed."""
        if self.descriptor is not None:
            weakref.finalize(self, os.close, self.descriptor)

    @property
    def path(self) -> Path:
        """Where it is now.

        Raises:
            FacError: it is gone.
        """
        if self.descriptor is not None:
            found = whereabouts(self.descriptor, self._path)
            if found is None:
                raise FacError(
                    f"`{self._path}`, the folder of this training, is gone, and what was kept in it: train anew"
                )
            self._path = found
        return self._path

    def anywhere(self, act: Callable[[Path], T]) -> T:
        """What comes of an act in it, which is done once more if the folder was renamed meanwhile.

        Raises:
            FacError: it is gone, or the act fails where it is.
        """
        while True:
            path = self.path
            try:
                found = act(path)
            except FacError:
                if self.path == path:
                    raise
            else:
                if self.path == path:
                    return found


@contextmanager
def alone_in(path: Path, made: Sequence[Path] = ()) -> Iterator[Held]:
    """Make the folder if need be and hold it alone. One that was made here is removed if it is empty in the end.

    So are those above it. The system lets go of the folder when the process ends, however it ends.

    Args:
        path: of the folder.
        made: the folder and those above it, the lowest first, as far as the caller has made them.

    Raises:
        FacError: the folder cannot be made, or another training holds it.
    """
    new = list(made)
    try:
        held, descriptor = _locked(path, new)
    except OSError as error:
        remove_empty(new)
        raise unwritable(path, error) from error
    try:
        sweep(held.path)
        yield held
    finally:
        with suppress(OSError, FacError):  # it may be gone
            _left(held, remove=path in new)
        remove_empty(folder for folder in new if folder != path)
        os.close(descriptor)


def _left(held: Held, *, remove: bool) -> None:
    """Take the lock file away while it is still locked, so that it cannot be another's."""
    folder = held.path
    if not remove or len(os.listdir(folder)) > 1:
        os.unlink(seen(folder / LOCK, held.descriptor), dir_fd=held.descriptor)
        return
    # Out of the way first: who comes now makes the folder anew, and it is theirs. Until it is settled what becomes of
    # the old one it is locked, so that nobody who cleans up takes it for abandoned: another may come to hold it yet.
    guard = locked(folder)
    try:
        aside = fresh(folder.parent)
        folder.rename(aside)
        (aside / LOCK).unlink()
        try:
            aside.rmdir()  # which the system refuses if anything is in it
        except OSError:
            aside.rename(folder)
    finally:
        if guard is not None:
            os.close(guard)


def _locked(path: Path, made: list[Path]) -> tuple[Held, int]:
    """The folder, and the descriptor of its lock file, which is locked; `made` gets what was made for it."""
    for attempt in count(1):
        descriptor = None
        try:
            if os.name == "nt":  # where a folder cannot be renamed while a file in it is open
                made += make_parents(path)
                path.mkdir(exist_ok=True)
            if not os.path.lexists(path):
                made += make_parents(path)
                new = _made(path)
                if new is not None:
                    made.insert(0, path)
                    return new
            require_folder(path)
            descriptor = os.open(path / LOCK, FLAGS, 0o666)
        except (FileExistsError, FileNotFoundError):
            # whoever held the folder has just removed it; or it cannot be made at all
            if attempt == TRIES:
                raise
            continue
        try:
            if lock(descriptor) is False:
                raise FacError(f"another training is at work in `{path}`: wait until it ends, or stop it")
            held = Held(path)
            if same(descriptor, path / LOCK, held.descriptor):
                return held, descriptor
        except FileNotFoundError:
            pass  # whoever held the lock removed the folder before letting go of it
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
    raise AssertionError("attempts do not end")


def _made(path: Path) -> tuple[Held, int] | None:
    """Make the folder with its lock in it, so that nobody can hold it before; None if somebody else has made it."""
    sweep(path.parent)
    leftover, staging = new_folder(path.parent)
    try:
        held = Held(path, staging)
        descriptor = os.open(staging / LOCK, FLAGS | os.O_EXCL, 0o666)
        lock(descriptor)
        try:
            staging.rename(path)
        except OSError as error:
            os.close(descriptor)
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
            return None
        return held, descriptor
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        if leftover is not None:
            os.close(leftover)
