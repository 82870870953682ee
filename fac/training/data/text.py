"""Text as whole numbers: windows of a file, or of all files of a folder, and behind each number the next one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from fac.diagnostics import FacError
from fac.opening import DATA, opened, placed, unreadable
from fac.spec.data import Data, Place
from fac.training.data.incoming import opened_data, read_data
from fac.training.dataset import DataKind, Dataset, Facts, Split

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fac.backend import Precision

CODES = 256
"""A character is a byte: no text is lost, there is no vocabulary to keep, and ASCII is itself."""


ROOM = 9
"""Bytes of memory that a byte of text takes, as such and as a whole number."""


class Text(Data):
    """Bytes of a text, each to be told from those before it, in windows that do not overlap.

    x is a window of `length` bytes, y what stands behind each of them. The parts are split by position: the end of the
    text is for testing, and no byte of it is seen in training.
    """

    source: Literal["text"] = Field(
        default="text",
        description="Bytes of a text file, or of a folder of them, each to be told from those before.",
    )
    path: Annotated[str, Place()] = Field(
        description="Text file, or folder of text files; relative to the folder of the spec."
    )
    files: str = Field(
        default="**/*.txt",
        min_length=1,
        description="Which files of a folder are read, in the order of their names, one behind the other.",
    )
    length: int = Field(gt=0, description="Bytes of each sample.")
    test: float = Field(
        default=0.1, gt=0, lt=1, description="Which part of the text, its end, is for testing."
    )


def load(data: Text, base: Path, precision: Precision) -> Dataset:
    """x and y as integers from 0 to 255, each of shape (n, length).

    Raises:
        FacError: there is no such file or folder, no file in it matches, one cannot be read, or a part of the text is
            shorter than a window.
    """
    import numpy as np

    place = f"`{data.path}` (`data.path`)"
    text = np.frombuffer(_read(data, base, place), np.uint8)
    if not len(text):
        raise FacError(f"{place} holds no text: give a file that is not empty, or a folder with one")
    border = round(len(text) * (1 - data.test))
    parts = {"train": text[:border], "test": text[border:]}
    for name, part in parts.items():
        if len(part) <= data.length:
            raise FacError(
                f"the `{name}` part of {place} has {len(part):,} bytes, and a sample takes {data.length} and the one "
                "behind: give more text, or lower `data.length`"
            )
    return Dataset("text", *(_windows(part, data.length) for part in parts.values()))


def _read(data: Text, base: Path, place: str) -> bytes:
    """All bytes, files in the order of their names as bytes, which is the same on every machine."""
    path = Path(placed(base, data.path, place))
    if not os.path.isdir(path):
        return read_data(opened_data(base, data.path, place), place, ROOM)
    parts, size = [], 0
    for file in _found(data, path, place):
        name = f"`{file.relative_to(path).as_posix()}` in {place}"
        parts.append(read_data(opened(file, DATA, place=name, within=path), place, ROOM, before=size))
        size += len(parts[-1])
    return b"".join(parts)


def _found(data: Text, path: Path, place: str) -> list[Path]:
    """The files of a folder, in their order."""
    try:
        files = [file for file in path.glob(data.files) if not file.is_dir()]
    except (ValueError, NotImplementedError) as error:
        raise FacError(f"`data.files` {data.files!r} is no pattern of files: {error}") from error
    except RecursionError as error:
        raise FacError(f"the folders in {place} are nested too deep: name one of them") from error
    except OSError as error:
        raise unreadable(place, error) from error
    if not files:
        raise FacError(f"no file in {place} matches {data.files!r}: set `data.files`, such as `**/*.py`")
    return sorted(files, key=lambda file: file.relative_to(path).as_posix().encode(errors="surrogateescape"))


def _windows(text: NDArray[np.uint8], length: int) -> Split:
    import numpy as np

    count = (len(text) - 1) // length
    numbers = text[: count * length + 1].astype(np.int64)
    return Split(numbers[:-1].reshape(count, length), numbers[1:].reshape(count, length))


KIND = DataKind(
    "text",
    Text,
    load,
    facts=lambda data: Facts(
        (data.length,), CODES, classes=True, train=None, whole=CODES, places=(data.length,), next=True
    ),
)
