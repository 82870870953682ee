"""An ONNX model as a module: what it computes, and what it computes with other arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, numpy_helper

from fac.backend import Array, File, Precision, Ran, Traced
from fac.diagnostics import FacError
from fac_onnx.reading.batch import freed, require_same
from fac_onnx.reading.file import WHOLE, entry, parsed, shape
from fac_onnx.reading.graph import Graph, run
from fac_onnx.reading.trace import Trace, trace

TYPES: Mapping[int, Any] = {
    TensorProto.FLOAT: np.float32,
    TensorProto.DOUBLE: np.float64,
    TensorProto.INT64: np.int64,
    TensorProto.INT32: np.int32,
}


class OnnxModule:
    """A model, traced on a batch. It has no training of its own."""

    training: Traced | None = None

    def __init__(self, model: ModelProto, batch: Array) -> None:
        value, output = entry(model, "the model")
        self.fed, self.output = value.name, output.name
        self.dtype = TYPES[value.type.tensor_type.elem_type]
        self.model = freed(model)
        self.precision: Precision = (
            "float64" if output.type.tensor_type.elem_type == TensorProto.DOUBLE else "float32"
        )
        graph = Graph(self.model, {self.fed: batch.astype(self.dtype)})
        require_same(model, self.model, batch.astype(self.dtype))
        found = trace(graph, self.fed)
        self.evaluation: Traced = found.traced
        self.uses = found.uses
        self.arrays = {key: _floats(array) for key, array in found.arrays.items()}
        for key, owner in found.shared.items():
            raise FacError(
                f"`{key}` and `{owner}` are one array of the file, which they read with its axes in another order; an "
                "array here has one form: give each its own"
            )
        self.notes = tuple(_notes(found))

    def state(self) -> dict[str, Array]:
        """See `fac.backend.Module`."""
        return dict(self.arrays)

    def run(self, state: Mapping[str, Array], x: Array, training: bool, target: Array | None = None) -> Ran:
        """See `fac.backend.Module`; it has no gradients, and runs in evaluation alone."""
        assert not training
        assert target is None
        model = ModelProto()
        model.CopyFrom(self.model)
        for key, array in state.items():
            for use in self.uses[key]:
                name = f"{key} for {use.slot} of {use.node.index}"
                content = use.form.back(array).astype(self.precision)
                model.graph.initializer.append(numpy_helper.from_array(content, name))
                model.graph.node[use.node.index].input[use.slot] = name
        made = run(model, {self.fed: x.astype(self.dtype)}, [self.output])
        return Ran(made[self.output], {}, {})


def opened(file: File, given: Sequence[int] | None) -> tuple[ModelProto, tuple[int, ...], bool]:
    """A model, the shape of a sample, and whether it reads whole numbers.

    Raises:
        FacError: it cannot be read, or leaves something open.
    """
    model = parsed(file.content, file.place, file.beside)
    _require_inference(model, file.place)
    value, _ = entry(model, file.place)
    return model, shape(value, given, file.place), value.type.tensor_type.elem_type in WHOLE


def _require_inference(model: ModelProto, place: str) -> None:
    """Refuse a graph that trains: its normalisations go by the batch, and its dropout draws.

    Raises:
        FacError: it is one.
    """
    constants = {
        value.name: numpy_helper.to_array(value) for value in model.graph.initializer if not value.dims
    }
    for node in model.graph.node:
        given = any(attribute.name == "training_mode" and attribute.i for attribute in node.attribute)
        drawn = (
            node.op_type == "Dropout" and len(node.input) > 2 and bool(constants.get(node.input[2], False))
        )
        if given or drawn:
            raise FacError(
                f"{place} was exported in training mode, as `{node.op_type}` of it says, and is no network for "
                "inference: call `.eval()` on the module and export it again"
            )


def _floats(array: Array) -> Array:
    """In a precision that a state has."""
    return array.astype(np.float32) if array.dtype.itemsize < 4 else array


def _notes(found: Trace) -> Iterator[str]:
    if found.folded:
        yield (
            f"{found.folded} layers hold a batch normalisation that the exporter has folded into them: the network "
            "that was trained had it beside them; export it, after `.eval()`, with "
            "`training=torch.onnx.TrainingMode.PRESERVE` and "
            "`do_constant_folding=False` to keep it"
        )
    if found.apart:
        yield (
            f"{found.apart} arrays stand once in the file for several layers; here each layer has its own, because "
            "their numbers are all one"
        )
