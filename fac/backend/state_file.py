"""A state as a safetensors file: the same bytes for the same arrays and metadata, with a digest of them all.

Each bit of the file counts for the digest, the header's too; where the digest itself stands, zeros are counted.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import BinaryIO

import numpy as np
from safetensors.numpy import save

from fac.backend.compiled import Array
from fac.backend.state_reading import HEADER
from fac.diagnostics import FacError

FORMAT = "2"
"""Value of the metadata key `fac_checkpoint`, by which a file is known as one of ours that carries a digest."""
UNSIGNED = "1"
"""That of earlier versions, which wrote no digest."""
DIGEST = "digest"
"""The metadata key of the digest."""
ZEROS = "0" * 64
"""What is counted in its place."""


def to_bytes(state: Mapping[str, Array], metadata: Mapping[str, str]) -> bytes:
    """The file's content.

    safetensors writes the metadata in an order that differs from process to process, which would make equal states
    look different: the header is written anew with the keys in order.

    Raises:
        FacError: there is more to say of the arrays than would be read again.
    """
    # In row-major order: safetensors stores the memory as it lies, so a transposed array would come back scrambled.
    arrays = {name: np.asarray(array, order="C") for name, array in state.items()}
    metadata = {**metadata, "fac_checkpoint": FORMAT, DIGEST: ZEROS}
    content = memoryview(save(arrays, dict(metadata)))
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(bytes(content[8:start]))
    header["__metadata__"] = dict(sorted(metadata.items()))
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the format wants the data aligned
    if len(text) > HEADER:
        raise FacError(
            f"a state says at most {HEADER:,} bytes of its arrays, and this one of {len(arrays):,} would say "
            f"{len(text):,}: use shorter names, or fewer layers"
        )
    length = len(text).to_bytes(8, "little")
    found = hashlib.sha256(length + text)
    found.update(content[start:])
    place = f'"{DIGEST}":"'.encode()
    text = text.replace(place + ZEROS.encode(), place + found.hexdigest().encode(), 1)
    return b"".join([length, text, content[start:]])


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
