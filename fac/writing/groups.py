"""Files that belong together, and take their places as a group.

A new folder is made beside its place and renamed. In a folder that is there, the files are complete in a folder of
their own first, with a journal of what is to be done. One rename says that it is due; from then on whoever comes by
finishes it, and the programs that travel with the files refuse to read a group that is half moved in.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePath
from typing import Any, BinaryIO

from fac.diagnostics import FacError
from fac.opening import DATA, MANIFEST, content, opened, reason
from fac.writing.places import (
    ANY_NAME,
    BINARY,
    NAME,
    NO_LINK,
    READY,
    abandoned,
    alone,
    flush,
    fresh,
    locked,
    make_parents,
    new_folder,
    remove_empty,
    require_folder,
    sync,
    unwritable,
)

Content = str | bytes | Callable[[BinaryIO], object]
"""Of a file: text, bytes, or what writes it, for more than should lie in memory twice."""
JOURNAL = ".journal"
WITNESS = ".witness"
LONGEST = 255
"""Bytes of a name, on every system that is in use."""
"""Lies beside a journal, which says where it lies and when it was made. The system says so too, of this file alone: a
journal that came with a clone, an archive or a copy of a folder is none of ours, and nothing that it says is done."""
PLACE_TAKEN = (errno.EEXIST, errno.ENOTEMPTY)


def put(file: BinaryIO, content: Content) -> None:
    """Write it."""
    if callable(content):
        content(file)
    else:
        file.write(content if isinstance(content, bytes) else content.encode())


@contextmanager
def staged(
    folder: Path,
    gone: Callable[[], Iterable[str]] = tuple,
    refused: Callable[[OSError], FacError] | None = None,
    at: int | None = None,
) -> Iterator[Path]:
    """A folder to write into, whose files take their places in `folder` in the end, all or none.

    Args:
        folder: is made if need be.
        gone: names of files in it that are to be removed; asked while nobody else moves files in.
        refused: the message for what the system refuses; by default that `folder` cannot be written.
        at: the descriptor of the folder, if it is open: files are moved into that one or, where it is renamed just
            then, not at all.

    Raises:
        FacError: the system refuses it. What was there before still is, unless the message says otherwise.
    """
    if NAME.fullmatch(folder.name) or NAME.fullmatch(folder.parent.name):
        yield folder  # a part of a group already
        return
    refused = refused or (lambda error: unwritable(folder, error))
    try:
        made = at is None and not folder.exists()
        base, parents = _base(folder, made)
        for place in {base, folder.parent}:  # where the folder was made, if a call before was cut off then
            sweep(place)
        descriptor, staging = new_folder(base, at)
    except OSError as error:
        raise refused(error) from error
    try:
        place = staging / folder.name if made else staging
        try:
            if made:
                place.mkdir()
            yield place
            names = _names(place)
            if not made:
                commit(place, folder, names, gone)
            elif not _renamed(place, folder):
                _joined(place, folder, names, gone)
        except OSError as error:
            raise refused(error) from error
        except FacError as error:
            if str(place) not in str(error):
                raise
            raise FacError(str(error).replace(str(place), str(folder))) from error.__cause__
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        if descriptor is not None:
            os.close(descriptor)
        remove_empty(parents)


def _base(folder: Path, made: bool) -> tuple[Path, list[Path]]:
    """Where a group is written, and what was made for that."""
    if made:
        return folder.parent, make_parents(folder)
    require_folder(folder)
    return folder, []


def _names(place: Path) -> list[str]:
    """What was written, on the disk; what completes a file (`model.onnx.data`) before that file."""
    names = []
    for folder, _, files in os.walk(place):
        for name in files:
            path = Path(folder, name)
            sync(path)
            names.append(path.relative_to(place).as_posix())
        flush(Path(folder))
    return sorted(names, reverse=True)


def _renamed(place: Path, folder: Path) -> bool:
    """Whether a new folder could take its place."""
    try:
        place.rename(folder)
    except OSError as error:
        if error.errno not in PLACE_TAKEN:
            raise
        return False
    flush(folder.parent)
    return True


def _joined(place: Path, folder: Path, names: list[str], gone: Callable[[], Iterable[str]]) -> None:
    """Move files into a folder that somebody else has made meanwhile."""
    descriptor, staging = locked(place), fresh(folder)
    try:
        place.rename(staging)
        commit(staging, folder, names, gone)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        if descriptor is not None:
            os.close(descriptor)


def commit(
    staging: Path,
    folder: Path,
    names: list[str],
    gone: Callable[[], Iterable[str]] = tuple,
    *,
    into: bool = False,
) -> None:
    """Move the files of a group to their places.

    Args:
        staging: a folder in `folder`, which holds them.
        folder: where they belong.
        names: of the files, in the order in which they are moved.
        gone: see `staged`.
        into: whether files that are there keep all but their content, and get that of the new ones.
    """
    for name in names:
        if (folder / name).is_dir():
            raise IsADirectoryError(errno.EISDIR, f"`{folder / name}` is a folder")
    with alone(folder):
        (staging / WITNESS).touch(exist_ok=False)
        journal = {
            "files": names,
            "gone": sorted(set(gone()) - set(names)),
            "into": into,
            "witness": witness(staging),
        }
        with (staging / JOURNAL).open("xb") as file:
            file.write(json.dumps(journal).encode())
            file.flush()
            os.fsync(file.fileno())
        flush(staging)
        due = folder / f"{staging.name}{READY}"
        staging.rename(due)
        flush(folder)
        try:
            os.stat(due / JOURNAL)  # by which it is known that the folder has kept its name so far
            _finish(due, folder)
        except OSError as error:
            raise _half(folder, error) from error


def _finish(due: Path, folder: Path) -> None:
    """Do what is left to do of a group."""
    try:
        journal = _journal(due)
        listed = ([str(name) for name in journal[key]] for key in ("files", "gone"))
        files, removed = ([name for name in names if _inside(folder, name)] for names in listed)
        move = _copy if journal["into"] else _move
    except (FacError, OSError, ValueError, KeyError, TypeError, RecursionError):
        return  # not ours
    for name in files:
        # a file never stands beside what completes another
        if any(other.startswith(f"{name}.") for other in files) and (due / name).exists():
            (folder / name).unlink(missing_ok=True)
    for name in files:
        with suppress(FileNotFoundError):  # it is in its place
            move(due / name, folder / name)
    for name in removed:
        if not (folder / name).is_dir():
            (folder / name).unlink(missing_ok=True)
    flush(folder)
    done = folder / due.name.removesuffix(READY)
    due.rename(done)
    shutil.rmtree(done, ignore_errors=True)


def _journal(due: Path) -> dict[str, Any]:
    """What is to be done; anything, if somebody else wrote it."""
    found: dict[str, Any] = json.loads(content(due / JOURNAL, MANIFEST, within=due))
    return found


def witness(place: Path) -> list[int]:
    """Which file this is, and when the system noted it: nobody chooses either."""
    found = os.lstat(place / WITNESS)
    return [found.st_dev, found.st_ino, found.st_ctime_ns]


def _inside(folder: Path, name: str) -> bool:
    """Whether a name of a journal leads nowhere else."""
    parts = PurePath(name).parts
    if PurePath(name).is_absolute() or ".." in parts or not all(map(possible, parts)) or not parts:
        return False
    return (folder / name).parent.resolve().is_relative_to(folder.resolve())


def possible(name: str) -> bool:
    """Whether a file can be called so on any system: a name that none has cannot be left over either."""
    return "\0" not in name and len(os.fsencode(name)) <= LONGEST


def _move(source: Path, target: Path) -> None:
    os.stat(source, follow_symlinks=False)
    target.parent.mkdir(parents=True, exist_ok=True)
    os.replace(source, target)


def _copy(source: Path, target: Path) -> None:
    os.stat(source, follow_symlinks=False)
    with opened(source, DATA, within=source.parent) as found:
        kept = found.read()
    descriptor = os.open(target, os.O_WRONLY | NO_LINK | BINARY)
    with open(descriptor, "wb") as file:
        file.write(kept)
        file.truncate()
        file.flush()
        os.fsync(descriptor)


def sweep(folder: Path) -> None:
    """Finish and remove what processes have left in a folder that are gone.

    Raises:
        FacError: a group is due, and cannot be moved in.
    """
    names = _left(folder)
    _settle(folder, filter(_ours, _due(folder, names)))
    for name in names:
        if NAME.fullmatch(name):
            with abandoned(folder / name) as ours:
                if ours and (folder / name).is_dir():
                    shutil.rmtree(folder / name, ignore_errors=True)
                elif ours:
                    with suppress(OSError):
                        (folder / name).unlink()


def settle(folder: Path) -> None:
    """Finish what is due in a folder, as everybody does who reads files of a group.

    What others have left is not moved in, for it could be anything. It hinders nobody while what lies in the folder is
    whole: before the first of its files is in its place, or after the last.

    Raises:
        FacError: the folder is half replaced, and the rest cannot be moved in, or is somebody else's.
    """
    due = _due(folder, _left(folder))
    ours = [place for place in due if _ours(place)]
    try:
        _settle(folder, ours)
    except FacError:
        if any(_halved(place, folder) for place in ours):
            raise
    foreign = next((place for place in due if place not in ours and _halved(place, folder)), None)
    if foreign is not None:
        raise FacError(
            f"`{folder}` is half replaced: `{foreign}` was left by another user, or on another machine or "
            "in another folder, and is not moved in: have them make their call again, or remove it"
        )


def _halved(due: Path, folder: Path) -> bool:
    """Whether some files of a group are in their places and some are not; what is written over may be so at any time.

    A file counts as one of its own if it belongs to the same user: nobody can claim that of the files of others. Where
    the journal may not be read, those files may not be either.
    """
    try:
        journal, owner = _journal(due), os.lstat(due).st_uid
        names = [str(name) for name in journal["files"]]
        begun = [name for name in names if journal["into"] or not os.path.lexists(due / name)]
        placed = [name for name in begun if _inside(folder, name) and os.path.lexists(folder / name)]
        if not journal["into"] and len(begun) == len(names):
            return False
        return any(os.lstat(folder / name).st_uid == owner for name in placed)
    except (FacError, OSError, ValueError, KeyError, TypeError, RecursionError):
        return False


def _due(folder: Path, names: Iterable[str]) -> list[Path]:
    """The groups among what is left in a folder."""
    places = (folder / name for name in names if name.endswith(READY))
    return [place for place in places if place.is_dir() and not place.is_symlink()]


def _settle(folder: Path, due: Iterable[Path]) -> None:
    places = list(due)
    if not places:
        return
    try:
        with alone(folder):
            for place in places:
                _finish(place, folder)
    except OSError as error:
        raise _half(folder, error) from error


def _ours(path: Path) -> bool:
    """Whether what is due was left by a call of ours in this folder, or is no more there."""
    try:
        owner = os.lstat(path).st_uid
        own = not hasattr(os, "geteuid") or owner == os.geteuid()
        return own and bool(_journal(path)["witness"] == witness(path))
    except (FacError, OSError, ValueError, KeyError, TypeError, RecursionError):
        return not os.path.lexists(path)


def _half(folder: Path, error: OSError) -> FacError:
    return FacError(
        f"`{folder}` is half replaced, and the rest cannot be moved in: {reason(error)}; "
        "mend that, and make the same call again: it goes on there"
    )


def unfinished(name: str) -> bool:
    """Whether that is a name of something on its way, which is no part of a folder yet."""
    return ANY_NAME.fullmatch(name) is not None


def _left(folder: Path) -> list[str]:
    try:
        return [name for name in os.listdir(folder) if unfinished(name)]
    except OSError:
        return []  # no such folder, or none that may be read
