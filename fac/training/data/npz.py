"""An `.npz` file as it comes in: no array is made before its size is known to be that of the file, and to fit.

A ZIP archive with an `.npy` file for each array: 6 bytes of mark, 2 of version, the length of a header, the header (a
Python literal with type, order and shape), and the numbers (`numpy.lib.format`).
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from io import BufferedReader, BytesIO
from math import prod
from typing import IO, TYPE_CHECKING, Any

from fac.diagnostics import FacError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MARK = b"\x93NUMPY"
AS_READ = b"written by fac data"
"""The comment of an archive of `fac data`: it may be replaced, and holds what a network reads, standardised already."""
HEADER = 10_000
"""Bytes that NumPy takes for a header, too."""
AXES = 32
LETTERS = 0x10FFFF
"""The largest number of a letter in Unicode."""
LISTED = 50_000_000
"""Bytes at the end of an archive that list what is in it."""
PART = 1 << 20
"""Bytes that are read at a time."""
SHOWN = 100
"""Names that are looked through for one that is nearly right."""
ENDING = ".npy"


class Stored:
    """The arrays of an open file."""

    def __init__(self, archive: zipfile.ZipFile, place: str) -> None:
        self.archive, self.place = archive, place
        self.names = [name.removesuffix(ENDING) for name in archive.namelist() if name.endswith(ENDING)]

    def array(self, key: str, *, text: bool = False) -> NDArray[Any]:
        """An array of numbers, as it is stored.

        Args:
            key: its name.
            text: whether it may hold text instead.

        Raises:
            FacError: there is none of that name, it does not hold plain numbers, is damaged, or memory is too small.
        """
        if key not in self.names:
            raise missing(key, self.names, self.place)
        info = self.archive.getinfo(key + ENDING)
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or info.flag_bits & 1:
            raise FacError(
                f"array `{key}` in {self.place} is encrypted, or packed in another way than `numpy.savez` and "
                "`numpy.savez_compressed` do: write it with one of these"
            )
        with self.archive.open(info) as part:
            dtype, turned, shape = header(part, key, self.place)
            if not (text and dtype.kind == "U" and dtype.itemsize and shape):
                require_numbers(key, self.place, dtype, shape)
            require_size(key, self.place, dtype, shape, info.file_size - part.tell())
            return self._numbers(part, key, dtype, turned, shape)

    def _numbers(
        self, part: IO[bytes], key: str, dtype: np.dtype[Any], turned: bool, shape: tuple[int, ...]
    ) -> NDArray[Any]:
        import numpy as np

        from fac.memory import require_room

        needed = prod(shape) * dtype.itemsize
        require_room(f"array `{key}` in {self.place}", needed, "give fewer samples")
        flat = np.empty(needed, np.uint8)
        at = 0
        while at < needed:
            if not (piece := part.read(min(PART, needed - at))):
                raise damaged(key, self.place, "it ends too early")
            flat[at : at + len(piece)] = np.frombuffer(piece, np.uint8)
            at += len(piece)
        part.read(1)  # at the end the check sum is compared
        array = flat.view(dtype)
        if dtype.kind == "U" and (flat.view(np.dtype("u4").newbyteorder(dtype.byteorder)) > LETTERS).any():
            raise damaged(key, self.place, "it holds what is no letter")
        return array.reshape(shape[::-1]).transpose() if turned else array.reshape(shape)


def header(part: IO[bytes], key: str, place: str) -> tuple[np.dtype[Any], bool, tuple[int, ...]]:
    """Type, whether columns come first, and shape: what stands before the numbers of an `.npy` file.

    Raises:
        FacError: it does not begin so.
    """
    from numpy.lib import format

    start = part.read(8)
    version = start[6:]
    if start[:6] != MARK or version not in (b"\1\0", b"\2\0"):
        raise damaged(key, place, "it does not begin as an array of plain numbers does")
    field = part.read(2 if version == b"\1\0" else 4)
    length = int.from_bytes(field, "little")
    if length > HEADER:
        raise damaged(key, place, f"a header of {length:,} bytes")
    text = BytesIO(field + part.read(length))
    read = format.read_array_header_1_0 if version == b"\1\0" else format.read_array_header_2_0
    try:
        shape, turned, dtype = read(text)
    except Exception as error:  # of a dozen kinds, for what is no literal, or of no type
        raise damaged(key, place, str(error)[:200] or type(error).__name__) from error
    if len(shape) > AXES or not all(type(size) is int and 0 <= size < 1 << 62 for size in shape):
        raise damaged(key, place, f"no array has the shape {shape!r:.200}")
    return dtype, turned, shape


def require_numbers(key: str, place: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    """Plain numbers, with one row for each sample.

    Raises:
        FacError: it holds something else.
    """
    if dtype.hasobject:
        raise damaged(
            key, place, "it holds Python objects, which only unpickling could read, and that runs code"
        )
    if dtype.kind not in "iufb" or not shape:
        raise FacError(
            f"array `{key}` in {place} has shape {list(shape)} of {dtype}: give numbers with one row for each sample"
        )


def require_size(key: str, place: str, dtype: np.dtype[Any], shape: tuple[int, ...], there: int) -> None:
    """As many bytes as the header says.

    Raises:
        FacError: there are others.
    """
    needed = prod(shape) * dtype.itemsize
    if needed != there:
        raise damaged(
            key, place, f"shape {list(shape)} of {dtype} has {needed:,} bytes, and {there:,} are there"
        )


def damaged(key: str, place: str, why: str) -> FacError:
    """What is said of an array that cannot be read."""
    return FacError(f"array `{key}` in {place} cannot be read as plain numbers: {why}")


def missing(key: str, names: Sequence[str], place: str) -> FacError:
    """What is said of an array that is not there."""
    shown = names[:SHOWN]
    near = get_close_matches(key, shown, n=1)
    has = ", ".join(f"`{name}`" for name in shown) or "none"
    return FacError(
        f"{place} has no array `{key}`: " + (f"did you mean `{near[0]}`?" if near else f"it has {has}")
    )


class _Bounded(BufferedReader):
    """The list of what is in an archive may say that it is as long as the file."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > LISTED:
            raise zipfile.BadZipFile("the list of what is in it is too long")
        return super().read(LISTED if size is None or size < 0 else size)


@contextmanager
def stored(file: BufferedReader, place: str) -> Iterator[Stored]:
    """The arrays of a file that is open, and is closed in the end.

    Args:
        file: at its start.
        place: what messages call it.

    Raises:
        FacError: it is no npz file, or is damaged.
    """
    with _Bounded(file.detach()) as bounded:
        yield from _stored(bounded, place)


def _stored(file: _Bounded, place: str) -> Iterator[Stored]:
    try:
        # `np.load` guesses from the content and would take a bare `.npy`, or offer to unpickle anything else
        if not zipfile.is_zipfile(file):
            raise FacError(f"{place} is not an npz file: write it with `numpy.savez`")
        with zipfile.ZipFile(file) as archive:
            yield Stored(archive, place)
    except (
        OSError,
        EOFError,
        NotImplementedError,
        RuntimeError,
        ValueError,
        KeyError,
        OverflowError,
        struct.error,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        # whatever the bytes of an archive can make `zipfile` say
        raise FacError(f"{place} cannot be read: {str(error)[:200]}") from error
