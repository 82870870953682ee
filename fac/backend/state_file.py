"""A state as a safetensors file: the same bytes for the same arrays and metadata, with a digest of them all.

Each bit of the file counts for the digest, the header's too; where the digest itself stands, zeros are counted.

safetensors writes files, too, but metadata in an order that differs from process to process, so that equal states would
look different, and only of arrays that are all in memory. The format is a length, a header in JSON, and the numbers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from io import BytesIO
from math import prod
from typing import BinaryIO

import numpy as np

from fac.backend.compiled import Array
from fac.backend.state_reading import HEADER, TYPES
from fac.diagnostics import FacError

FORMAT = "2"
"""Value of the metadata key `fac_checkpoint`, by which a file is known as one of ours that carries a digest."""
UNSIGNED = "1"
"""That of earlier versions, which wrote no digest."""
DIGEST = "digest"
"""The metadata key of the digest."""
ZEROS = "0" * 64
"""What is counted in its place."""


ORDER = ("U64", "I64", "F64", "F32", "U32", "I32", "F16", "U16", "I16", "I8", "U8", "BOOL")
"""Arrays lie by their types in this order, by name within one: as safetensors has them, so that each is aligned."""
CALLED = {np.dtype(kind): name for name, kind in TYPES.items()}


def to_bytes(state: Mapping[str, Array], metadata: Mapping[str, str]) -> bytes:
    """The file's content.

    Raises:
        FacError: there is more to say of the arrays than would be read again.
    """
    file = BytesIO()
    state_content(state, metadata)(file)
    return file.getvalue()


def state_content(
    state: Mapping[str, Array],
    metadata: Mapping[str, str],
    types: Mapping[str, tuple[np.dtype[np.generic], tuple[int, ...]]] | None = None,
) -> Callable[[BinaryIO], None]:
    """What writes the file, into one that can be gone back in.

    Args:
        state: is asked for each array once, one after the other, while they are written.
        metadata: what the file says beside them.
        types: of each array the type of its numbers, and its shape; `state` is asked if they are not given.

    Raises:
        FacError: there is more to say of the arrays than would be read again.
    """
    types = types or {name: (array.dtype, array.shape) for name, array in state.items()}
    called = {name: CALLED[dtype.newbyteorder("<")] for name, (dtype, _) in types.items()}
    order = sorted(types, key=lambda name: (ORDER.index(called[name]), name.encode()))
    said = {**metadata, "fac_checkpoint": FORMAT, DIGEST: ZEROS}
    header: dict[str, object] = {"__metadata__": dict(sorted(said.items()))}
    end = 0
    for name in order:
        dtype, shape = types[name]
        begin, end = end, end + prod(shape) * dtype.itemsize
        header[name] = {"dtype": called[name], "shape": [*shape], "data_offsets": [begin, end]}
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the format wants the data aligned
    if len(text) > HEADER:
        raise FacError(
            f"a state says at most {HEADER:,} bytes of its arrays, and this one of {len(types):,} would say "
            f"{len(text):,}: use shorter names, or fewer layers"
        )
    place = text.index(f'"{DIGEST}":"'.encode()) + len(DIGEST) + 4

    def write(file: BinaryIO) -> None:
        start = file.tell()
        before = len(text).to_bytes(8, "little") + text
        found = hashlib.sha256(before)
        file.write(before)
        for name in order:
            # row by row, whatever the memory of the array is like
            array = np.asarray(state[name], types[name][0].newbyteorder("<"), order="C")
            assert array.shape == types[name][1], name
            part = array.reshape(-1).view(np.uint8).data
            found.update(part)
            file.write(part)
            del array, part  # before the next is asked for
        stop = file.tell()
        file.seek(start + 8 + place)
        file.write(found.hexdigest().encode())
        file.seek(stop)

    return write


def is_whole(file: BinaryIO, metadata: Mapping[str, str]) -> bool:
    """Whether a safetensors file is as it was written; of one that says nothing of a digest nobody knows.

    Args:
        file: at its start.
        metadata: what its header says.
    """
    digest = metadata.get(DIGEST)
    if digest is None:
        return metadata.get("fac_checkpoint") != FORMAT
    if len(digest) != len(ZEROS):
        return False
    length = file.read(8)
    text = file.read(int.from_bytes(length, "little"))
    found = hashlib.sha256(length + text.replace(digest.encode(), ZEROS.encode()))
    while part := file.read(1 << 20):
        found.update(part)
    return found.hexdigest() == digest
