"""A safetensors file as it comes in: nothing that it says of itself is believed before it is found to be so.

A file is 8 bytes of length, so many bytes of JSON, and the numbers of all arrays without a gap
(https://huggingface.co/docs/safetensors).
"""

from __future__ import annotations

import json
from io import BufferedReader
from math import prod
from typing import Any, NamedTuple

import numpy as np

from fac.backend.compiled import Array
from fac.diagnostics import FacError
from fac.memory import require_room

HEADER = 25_000_000
"""Bytes of JSON: what the largest networks that are compiled need, of the 100 million that the format allows. Python
takes up to 15 times as much memory for what they say."""
AXES = 32
"""The most that every version of NumPy takes."""
TYPES = {"BOOL": "?", "F16": "<f2", "F32": "<f4", "F64": "<f8"} | {
    f"{sign}{8 * size}": f"<{sign.lower()}{size}" for sign in "IU" for size in (1, 2, 4, 8)
}
"""Types of arrays in safetensors that NumPy has."""


class DamagedError(ValueError):
    """A file is not in the format."""


class _Entry(NamedTuple):
    """What the header says of an array."""

    begin: int
    end: int
    name: str
    kind: str
    shape: tuple[int, ...]


def from_file(file: BufferedReader, size: int, name: str) -> tuple[dict[str, Array], dict[str, str]]:
    """The arrays and the metadata of a file.

    Args:
        file: at its start.
        size: of the file.
        name: what messages call it.

    Raises:
        DamagedError: it is not in the format, or a part is missing.
        FacError: NumPy does not have the type of an array, or the memory is not large enough.
        OSError: it cannot be read.
    """
    length, entries, metadata = _begin(file, size)
    end = 0
    for entry in sorted(entries):
        if entry.begin != end:
            raise DamagedError(f"the numbers of `{entry.name}` do not begin where those before them end")
        end = entry.end
    if end != size - 8 - length:
        raise DamagedError(f"its arrays have {end:,} bytes, and {size - 8 - length:,} are there")
    require_room(f"the state in {name}", end, "it may be damaged, or of a larger machine")
    for entry in entries:
        if entry.kind not in TYPES:
            raise FacError(
                f"`{entry.name}` in {name} is {entry.kind}, which NumPy does not know: store it as F32"
            )
    found = {entry.name: _array(file, entry) for entry in sorted(entries)}
    return {entry.name: found[entry.name] for entry in entries}, metadata


def metadata_of(file: BufferedReader, size: int) -> dict[str, str]:
    """What a file says beside its arrays, which are not read; see `from_file`.

    Raises:
        DamagedError: it is not in the format.
        OSError: it cannot be read.
    """
    return _begin(file, size)[2]


def _begin(file: BufferedReader, size: int) -> tuple[int, list[_Entry], dict[str, str]]:
    """The length of the header, and what it says."""
    length = int.from_bytes(file.read(8), "little")
    if size < 8 or not 2 <= length <= HEADER:
        raise DamagedError(f"it does not begin with the length of a header, of at most {HEADER:,} bytes")
    if length > size - 8:
        raise DamagedError(f"it is cut off: its header has {length:,} bytes, and {size - 8:,} are there")
    return length, *_header(file.read(length))


def _header(raw: bytes) -> tuple[list[_Entry], dict[str, str]]:
    try:
        header = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise DamagedError(f"its header is no JSON: {str(error)[:200]}") from error
    if not isinstance(header, dict):
        raise DamagedError("its header is no mapping")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise DamagedError("its metadata are no texts by name")
    try:
        "".join((*header, *metadata, *metadata.values())).encode()
    except UnicodeEncodeError as error:
        raise DamagedError("a name, or a text of its metadata, is none") from error
    return [_entry(name, said) for name, said in header.items()], metadata


def _entry(name: str, said: Any) -> _Entry:
    if not isinstance(said, dict) or said.keys() != {"dtype", "shape", "data_offsets"}:
        raise DamagedError(f"`{name}` has no type, shape and place")
    kind, shape, place = said["dtype"], said["shape"], said["data_offsets"]
    if not isinstance(kind, str) or not _sizes(shape) or not _sizes(place) or len(place) != 2:
        raise DamagedError(f"the type, shape or place of `{name}` is none")
    begin, end = place
    values = 0 if 0 in shape else prod(shape)
    each = np.dtype(TYPES[kind]).itemsize if kind in TYPES else None
    if end < begin or (each is not None and values * each != end - begin):
        raise DamagedError(f"`{name}` is {kind} of shape {shape}, and has {end - begin:,} bytes")
    return _Entry(begin, end, name, kind, tuple(shape))


def _sizes(value: Any) -> bool:
    """Whether it is a list of sizes, which are no larger than files can be."""
    return (
        isinstance(value, list)
        and len(value) <= AXES
        and all(type(item) is int and 0 <= item < 1 << 62 for item in value)
    )


def _array(file: BufferedReader, entry: _Entry) -> Array:
    flat = np.empty(entry.end - entry.begin, np.uint8)
    view, at = flat.data, 0
    while at < len(flat):
        if not (count := file.readinto(view[at:])):
            raise DamagedError(f"the file ends within `{entry.name}`")
        at += count
    if entry.kind == "BOOL" and flat.max(initial=0) > 1:
        raise DamagedError(f"`{entry.name}` is BOOL, and holds other numbers than 0 and 1")
    array = flat.view(TYPES[entry.kind]).reshape(entry.shape)
    return array.astype(array.dtype.newbyteorder("="), copy=False)
