"""ONNX files made by hand: nodes and arrays in, a file out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

Given = Sequence[int | str]


def node(op: str, inputs: str, output: str, **attributes: Any) -> NodeProto:
    """A node; its inputs in one text, `_` for one that is left out."""
    names = ["" if name == "_" else name for name in inputs.split()]
    return helper.make_node(op, names, output.split(), name=attributes.pop("name", ""), **attributes)


def model(
    nodes: Sequence[NodeProto],
    arrays: Mapping[str, Any],
    shape: Given,
    *,
    opset: int = 17,
    kind: int = TensorProto.FLOAT,
    out: Sequence[str] = ("out",),
) -> ModelProto:
    """A model that reads `in` [N, *shape] and returns `out`; numbers of Python are float32 or int64."""
    kept = [numpy_helper.from_array(_array(value), name) for name, value in arrays.items()]
    graph = helper.make_graph(
        [*nodes],
        "made",
        [helper.make_tensor_value_info("in", kind, ["N", *shape])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in out],
        kept,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


def written(folder: Path, made: ModelProto, name: str = "net.onnx") -> Path:
    """The model in a file."""
    path = folder / name
    path.write_bytes(made.SerializeToString())
    return path


def draw(*shape: int, seed: int = 0) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Normal numbers."""
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


def _array(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value
    found = np.asarray(value)
    return found.astype(np.int64 if found.dtype.kind == "i" else np.float32)
