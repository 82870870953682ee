"""Files that hold networks of other frameworks."""

from __future__ import annotations

import os
from os import PathLike
from pathlib import Path

from fac import asked
from fac.backend import File
from fac.diagnostics import FacError
from fac.opening import MODEL, content


def opened(path: str | PathLike[str]) -> File:
    """A file, and the way to those that lie beside it; a link that leads out of its folder is not followed.

    Raises:
        FacError: it cannot be read.
    """
    folder, place = os.fspath(asked.path(path, "path").parent), f"`{os.fspath(path)}`"

    def beside(name: str) -> bytes:
        if not name or os.path.isabs(name) or ".." in Path(name).parts:
            raise FacError(f"{place} keeps arrays in `{name}`, which is no file of its folder")
        if name not in read:
            said = f"`{name}`, in which {place} keeps arrays,"
            read[name] = content(os.path.join(folder, name), MODEL, place=said, within=folder)
        return read[name]

    read: dict[str, bytes] = {}
    return File(place, content(path, MODEL, named=True), beside)


def stem(path: str | PathLike[str]) -> str:
    """The name of a file without its ending."""
    return Path(path).stem
