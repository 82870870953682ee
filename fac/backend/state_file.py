"""A state as a safetensors file: the same bytes for the same arrays and metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
from safetensors.numpy import save

from fac.backend.compiled import Array

FORMAT = "1"
"""Value of the metadata key `fac_checkpoint`, by which a file is known as one of ours."""


def to_bytes(state: Mapping[str, Array], metadata: Mapping[str, str]) -> bytes:
    """The file's content.

    safetensors writes the metadata in an order that differs from process to process, which would make equal states
    look different: the header is written anew with the keys in order.
    """
    # In row-major order: safetensors stores the memory as it lies, so a transposed array would come back scrambled.
    arrays = {name: np.asarray(array, order="C") for name, array in state.items()}
    metadata = {"fac_checkpoint": FORMAT, **metadata}
    content = memoryview(save(arrays, dict(metadata)))
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(bytes(content[8:start]))
    header["__metadata__"] = dict(sorted(metadata.items()))
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the format wants the data aligned
    return b"".join([len(text).to_bytes(8, "little"), text, content[start:]])
