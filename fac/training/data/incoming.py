"""Files that a spec names as its data."""

from __future__ import annotations

import os
from io import BufferedReader
from pathlib import Path

from fac.diagnostics import FacError
from fac.opening import DATA, MissingError, opened, placed, unreadable
from fac.writing import settle


def opened_data(base: Path, written: str, place: str) -> BufferedReader:
    """A data file, opened.

    Args:
        base: the folder of the spec, from which relative paths start.
        written: the path in the spec.
        place: what messages call it.

    Raises:
        FacError: there is no such file, it is none, or it cannot be read.
    """
    path = placed(base, written, place)
    settle(Path(path).parent)  # `train` and `test` are of one call of `fac data`
    try:
        return opened(path, DATA, place=place)
    except MissingError as error:
        raise FacError(
            f"{place} is not a file: paths in a spec start from its own folder, here `{base}`"
        ) from error


def read_data(file: BufferedReader, place: str, room: int, before: int = 0) -> bytes:
    """All of a file, which is closed.

    Args:
        file: at its start.
        place: what messages call it.
        room: bytes of memory that each of its bytes will take.
        before: bytes that were read of other files, for the same.

    Raises:
        FacError: it does not fit into memory, or cannot be read.
    """
    from fac.memory import require_room  # imports NumPy, which `fac check` does without

    with file:
        try:
            size = os.fstat(file.fileno()).st_size
            require_room(place, room * (before + size), "give less of it")
            return file.read(size)
        except OSError as error:
            raise unreadable(place, error) from error
