"""Parameters as constants of a model: in its file, or beside it where they are more than one file may hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import prod
from typing import BinaryIO

import numpy as np
from onnx import ModelProto, TensorProto

from fac.backend import Array, Content
from fac_onnx.graph import NUMPY

LIMIT = 2_000_000_000
"""Bytes of parameters in a model's own file. Protobuf reads no message of 2 GiB, and the graph needs room too."""
SMALL = 1024
"""Bytes of an array that stays in the model's file in any case, as ONNX's own tools have it."""
PAGE = 4096
"""Where arrays begin in a companion file, so that a runtime can map them into memory."""


def closed(made: ModelProto, arrays: Mapping[str, Array], name: str) -> dict[str, Content]:
    """The files of a model whose inputs become constants as far as there are arrays for them.

    Args:
        made: with symbolic batch and those inputs; it is changed.
        arrays: by the names of inputs, with the inputs' shapes. Those that go beside the model are asked for one after
            the other, when they are written.
        name: of the model's file; the companion is `NAME.data`.
    """
    given = {v.name: v.type.tensor_type.elem_type for v in made.graph.input if v.name in arrays}
    shapes = {
        v.name: tuple(dim.dim_value for dim in v.type.tensor_type.shape.dim)
        for v in made.graph.input
        if v.name in given
    }
    sizes = {key: prod(shape) * np.dtype(NUMPY[given[key]]).itemsize for key, shape in shapes.items()}

    def array(key: str) -> Array:
        return np.asarray(arrays[key], np.dtype(NUMPY[given[key]]).newbyteorder("<"), order="C")

    kept = [value for value in made.graph.input if value.name not in given]
    del made.graph.input[:]
    made.graph.input.extend(kept)
    large = sum(sizes.values()) > LIMIT
    companion = f"{name}.data"
    outside: list[str] = []
    end = 0
    for key, size in sizes.items():
        tensor = made.graph.initializer.add(name=key, data_type=given[key], dims=shapes[key])
        if large and size > SMALL:
            start = _aligned(end)
            end = start + size
            _point(tensor, location=companion, offset=start, length=size)
            outside.append(key)
        else:
            tensor.raw_data = array(key).tobytes()
    # the model comes last: where it is complete, so is what it points to
    first: dict[str, Content] = {companion: lambda file: _write(file, map(array, outside))} if outside else {}
    return first | {name: made.SerializeToString(deterministic=True)}


def _point(tensor: TensorProto, **place: object) -> None:
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in place.items():
        tensor.external_data.add(key=key, value=str(value))


def _write(file: BinaryIO, arrays: Iterable[Array]) -> None:
    for array in arrays:
        file.seek(_aligned(file.tell()))
        file.write(array.data)


def _aligned(offset: int) -> int:
    return -(-offset // PAGE) * PAGE
