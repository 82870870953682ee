"""Files that come in: each is opened here, so that none is waited for, none too large, and no link leads out.

Three ways lead to a file, and decide what it may be:

- the command line, or a call in Python, names it: it may be a link, and where a `Kind` allows it a pipe or a device;
- another file names it, as a spec names its data: it has to be a file; links are followed;
- a folder holds it: it has to be a file, and a link is followed only within that folder, so that nothing is read, and
  shown in a log, that does not lie where somebody asked to look.

What the system makes up as it is read (`/proc/self/environ`) is no file to any of them.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from functools import cache
from io import BufferedReader
from typing import BinaryIO

from fac.diagnostics import FacError

Name = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class Kind:
    """What is read, and how large it may be."""

    name: str
    most: int | None = None
    """Bytes; None where only the memory of the machine bounds it, which the reader looks after."""
    streams: bool = False
    """Whether a pipe or a device will do, if the command line names it."""


SPEC = Kind("a spec", 1_000_000, streams=True)
SETTINGS = Kind("a settings file", 1_000_000, streams=True)
MANIFEST = Kind("a manifest", 10_000_000)
LOG = Kind("a log", 100_000_000)
STEPS = Kind("a log of steps")
"""Of which nobody reads more than the end."""
IDX = Kind("an IDX file", 1 << 26)
"""The largest of Fashion-MNIST has 47 million."""
MODEL = Kind("a model", 1 << 34)
"""Of another framework, or one of the files beside it."""
STATE = Kind("a state")
DATA = Kind("a data file")

# fmt: off
MADE_UP = frozenset((
    "apparmorfs", "binder", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts",
    "efivarfs", "functionfs", "fusectl", "fuse.lxcfs", "mqueue", "nfsd", "nsfs", "proc", "pstore",
    "resctrl", "rpc_pipefs", "securityfs", "selinuxfs", "smackfs", "spufs", "sysfs", "tracefs", "xenfs",
))
# fmt: on
"""File systems in which Linux shows what is in its memory, wherever they are mounted: environments, messages of the
kernel, keys of the firmware, where reading may also take something away or wait."""
MOUNTS = "/proc/self/mountinfo"

_SPECIAL = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_REMEDIES = {
    errno.EMFILE: "raise `ulimit -n`",
    errno.ENFILE: "close other programs",
    errno.ENAMETOOLONG: "use a shorter one",
    errno.ELOOP: "mend the links, which lead in a circle",
}


class MissingError(FacError):
    """There is no such file."""


def reason(error: Exception) -> str:
    """Why the system refuses a path, in small letters, with what to do where that is known."""
    if not isinstance(error, OSError) or not error.strerror:
        return str(error).lower()
    remedy = _REMEDIES.get(error.errno or 0)
    return error.strerror.lower() + (f": {remedy}" if remedy else "")


def opened(
    path: Name, kind: Kind, *, place: str = "", within: Name | None = None, named: bool = False
) -> BufferedReader:
    """A file, opened to be read.

    Args:
        path: where it is.
        kind: what it is.
        place: what messages call it; by default its path.
        within: the folder that holds it, if nobody has named it.
        named: whether the command line names it, so that a stream will do where the kind allows one.

    Raises:
        MissingError: there is none.
        FacError: it is no file, cannot be read, is too large, or a link that leads out of the folder.
    """
    name = place or f"`{os.fspath(path)}`"
    try:
        if within is not None:
            path = _followed(path, within, name)
        streams = named and kind.streams
        _require_file(os.stat(path), name, streams=streams)
        descriptor = os.open(path, _flags(streams=streams, link=within is None))
    except FileNotFoundError as error:
        if os.path.islink(path):
            raise FacError(f"{name} is a link that leads nowhere: mend it, or remove it") from error
        raise MissingError(f"{name} does not exist") from error
    except (OSError, ValueError) as error:
        raise unreadable(name, error) from error
    file = os.fdopen(descriptor, "rb")
    try:
        # Looked at again: another file may have come to its place.
        found = os.fstat(file.fileno())
        _require_file(found, name, streams=streams)
        _require_size(found.st_size, kind, name)
    except BaseException:
        file.close()
        raise
    return file


def content(
    path: Name, kind: Kind, *, place: str = "", within: Name | None = None, named: bool = False
) -> bytes:
    """All bytes of a file, or of a stream that ends before it is too long.

    Args:
        path: see `opened`, and so the others.
        kind: one that says how large it may be.
        place: what messages call it.
        within: the folder that holds it.
        named: whether the command line names it.

    Raises:
        MissingError: there is none.
        FacError: see `opened`.
    """
    name = place or f"`{os.fspath(path)}`"
    with opened(path, kind, place=place, within=within, named=named) as file:
        try:
            return bounded(file, kind, name)
        except OSError as error:
            raise unreadable(name, error) from error


def bounded(file: BinaryIO, kind: Kind, name: str) -> bytes:
    """What is left of a file or stream: the size of a pipe is not known, so reading stops one byte past the limit.

    Raises:
        FacError: it is too long.
    """
    assert kind.most is not None
    raw = file.read(kind.most + 1)
    if len(raw) > kind.most:
        raise FacError(f"{name} has more than {kind.most:,} bytes: {kind.name} may have {kind.most:,}")
    return raw


def there(path: Name) -> bool:
    """Whether something has that name, be it a file or not, and a link that leads nowhere, too.

    Raises:
        FacError: the system does not say.
    """
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return False
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return False
        raise unreadable(f"`{os.fspath(path)}`", error) from error
    return True


def placed(base: Name, written: str, place: str) -> str:
    """The path that a file names by `written`: relative to a folder, absolute, or from a home (`~`, `~user`).

    Raises:
        FacError: there is no such user.
    """
    try:
        path = os.path.expanduser(written)
    except ValueError as error:
        raise unreadable(place, error) from error
    if path.startswith("~") and path == written:
        raise FacError(f"{place}: there is no user `{written[1:].partition('/')[0]}`: write the whole path")
    return os.path.join(base, path)


def unreadable(name: str, error: Exception) -> FacError:
    """The message for what the system refuses."""
    return FacError(f"{name} cannot be read: {reason(error)}")


def inside(path: Name, folder: Name) -> bool:
    """Whether a path without links lies in a folder."""
    top = os.path.realpath(folder)
    try:
        return os.path.commonpath((path, top)) == top
    except ValueError:
        return False  # another drive


def _followed(path: Name, folder: Name, name: str) -> str:
    """The path without links, if it lies in a folder."""
    real = os.path.realpath(path, strict=True)
    if not inside(real, folder):
        how = "is a link that leads" if os.path.islink(path) else "leads"
        raise FacError(
            f"{name} {how} out of `{os.fspath(folder)}`: put the file itself there, or name it yourself"
        )
    return real


def _require_file(found: os.stat_result, name: str, *, streams: bool) -> None:
    what = _SPECIAL.get(stat.S_IFMT(found.st_mode))
    if stat.S_ISDIR(found.st_mode):
        raise FacError(f"{name} is a folder: name a file")
    if what and not streams:
        raise FacError(f"{name} is {what}: only a file is read here")
    if not what and _made_up(found):
        raise FacError(f"{name} is made up by the system as it is read: only a file is read here")


def _made_up(found: os.stat_result) -> bool:
    if os.name != "posix" or os.major(found.st_dev) != 0:
        return False  # on a disk: what is on none has numbers that the kernel gives out, with major 0
    return found.st_dev in _made_up_devices()


@cache
def _made_up_devices() -> frozenset[int]:
    """The devices of such file systems. Their sizes tell nothing: that of a cgroup is 0, of a file in /sys 4096."""
    try:
        with open(MOUNTS, encoding="utf-8", errors="replace") as file:
            lines = [line.split() for line in file]
    except OSError:
        return frozenset()  # no Linux, or no /proc, and so no names in it either
    # man 5 proc_pid_mountinfo: the third field is the device, the one behind a lone `-` the file system.
    devices = ((line[2].split(":"), line[line.index("-") + 1]) for line in lines)
    return frozenset(
        os.makedev(int(major), int(minor)) for (major, minor), system in devices if system in MADE_UP
    )


def _require_size(size: int, kind: Kind, name: str) -> None:
    if kind.most is not None and size > kind.most:
        raise FacError(f"{name} has {size:,} bytes: {kind.name} may have {kind.most:,}")


def _flags(*, streams: bool, link: bool) -> int:
    """A pipe is opened without waiting for who writes to it, unless somebody has named it."""
    wanted = [
        "O_BINARY",
        "O_CLOEXEC",
        "O_NOCTTY",
        *([] if streams else ["O_NONBLOCK"]),
        *([] if link else ["O_NOFOLLOW"]),
    ]
    flags = os.O_RDONLY
    for flag in wanted:
        flags |= getattr(os, flag, 0)
    return flags
