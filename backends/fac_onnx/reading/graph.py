"""An ONNX graph as it is read: nodes, what they make of a batch, and what does not depend on the batch.

Shape arithmetic is not interpreted: onnxruntime computes every value once, and those that no sample has a part in are
numbers from then on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, ValueInfoProto, helper, numpy_helper

from fac.backend import Array
from fac.diagnostics import FacError
from fac_onnx.device import first_line, session
from fac_onnx.runtime import ort

SIZES = frozenset({"Shape", "Size"})
"""Operations whose results depend on shapes alone."""

VIEWS = frozenset({"Cast", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"})
"""Operations whose results hold the numbers of what they read."""
FATAL = 4
"""Of what onnxruntime prints by itself."""


@dataclass(frozen=True, eq=False, slots=True)
class Node:
    """One node."""

    index: int
    """In the graph."""
    op: str
    inputs: tuple[str, ...]
    """Values; empty for one that is left out."""
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    proto: NodeProto

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute; text as `str`."""
        value = self.attributes.get(name, default)
        return value.decode(errors="replace") if isinstance(value, bytes) else value

    def input(self, slot: int) -> str:
        """A value that it reads; empty if it is left out."""
        return self.inputs[slot] if slot < len(self.inputs) else ""


class Graph:
    """Nodes by what they make, and the numbers of what depends on no sample."""

    def __init__(self, model: ModelProto, batch: Mapping[str, Array]) -> None:
        self.nodes = [
            Node(
                index,
                proto.op_type,
                tuple(proto.input),
                tuple(proto.output),
                {a.name: helper.get_attribute_value(a) for a in proto.attribute},
                proto,
            )
            for index, proto in enumerate(model.graph.node)
        ]
        self.made = {name: node for node in self.nodes for name in node.outputs if name}
        self.read: dict[str, list[Node]] = {}
        for node in self.nodes:
            for name in node.inputs:
                self.read.setdefault(name, []).append(node)
        self.outputs = tuple(value.name for value in model.graph.output)
        self.constants: dict[str, Array] = {}
        """What depends on no sample. A token that is stretched to the batch is a value like others."""
        live, sized = self._dependent(batch)
        still, shapes = _values(model, batch, [name for name in self.made if name not in live], live)
        self.shapes = shapes | {name: array.shape for name, array in (still | dict(batch)).items()}
        for name, array in still.items():
            stretched = name in sized and array.size > 1 and array.dtype.kind == "f"
            if not stretched:
                self.constants[name] = array

    def single(self, name: str) -> float | None:
        """The one number that a value is, if it is one that depends on no sample."""
        array = self.constants.get(name)
        return None if array is None or array.size != 1 else float(array.reshape(())[()])

    def whole(self, name: str) -> list[int] | None:
        """The whole numbers that a value is, if they depend on no sample."""
        array = self.constants.get(name)
        return None if array is None or array.dtype.kind not in "iu" else [int(i) for i in array.ravel()]

    def source(self, name: str) -> str:
        """The array of the file that a constant is a view of; itself if it is none."""
        while (node := self.made.get(name)) is not None and node.op in VIEWS:
            name = node.inputs[0]
        return name

    def by(self, name: str, op: str) -> Node | None:
        """The node that makes a value, if it is one of that operation, and the value no constant."""
        node = self.made.get(name)
        return node if node is not None and node.op == op and name not in self.constants else None

    def scaled(self, name: str) -> tuple[str, float]:
        """A value as another one times a number, or itself."""
        node = self.made.get(name)
        if node is None or name in self.constants:
            return name, 1.0
        for value, number in self.with_number(node, "Mul"):
            return value, number
        divisor = self.single(node.input(1)) if node.op == "Div" else None
        return (node.input(0), 1 / divisor) if divisor else (name, 1.0)

    def with_number(self, node: Node, op: str) -> Iterator[tuple[str, float]]:
        """What a sum or a product with one number adds to, or multiplies with, and the number."""
        if node.op != op:
            return
        for value, other in (node.inputs, node.inputs[::-1]):
            number = self.single(other)
            if number is not None and value not in self.constants:
                yield value, number

    def _dependent(self, batch: Mapping[str, Array]) -> tuple[set[str], set[str]]:
        """Which values depend on numbers of samples, and which on how many samples there are."""
        live, sized = set(batch), set[str]()
        for node in self.nodes:
            if node.op in SIZES and live.intersection(node.inputs):
                sized.update(node.outputs)
            elif live.intersection(node.inputs):
                live.update(node.outputs)
            elif sized.intersection(node.inputs):
                sized.update(node.outputs)
        return live, sized


def _values(
    model: ModelProto, batch: Mapping[str, Array], still: Sequence[str], live: Iterable[str]
) -> tuple[dict[str, Array], dict[str, tuple[int, ...]]]:
    """Of a batch the values that depend on no sample, arrays of the file among them, and the shapes of the others."""
    wide = ModelProto()
    wide.CopyFrom(model)
    shapes = {f"{name} shape": name for name in live if name not in batch}
    del wide.graph.output[:]
    wide.graph.node.extend(helper.make_node("Shape", [name], [shape]) for shape, name in shapes.items())
    wide.graph.output.extend(ValueInfoProto(name=name) for name in (*still, *shapes))
    found = run(wide, batch, [*still, *shapes])
    arrays = {t.name: np.asarray(numpy_helper.to_array(t)) for t in model.graph.initializer}
    return (
        arrays | {name: found[name] for name in still},
        {name: tuple(int(size) for size in found[shape]) for shape, name in shapes.items()},
    )


def run(model: ModelProto, batch: Mapping[str, Array], names: Sequence[str]) -> dict[str, Array]:
    """What onnxruntime makes of a batch.

    Raises:
        FacError: it cannot run the graph, or fails on the batch.
    """
    runner = session(model.SerializeToString(), "cpu")
    quiet = ort.RunOptions()
    quiet.log_severity_level = FATAL  # what fails is told below
    try:
        found = runner.run([*names], dict(batch), quiet)
    except Exception as error:  # its exceptions share no base class but this one
        sizes = ", ".join(str([*array.shape]) for array in batch.values())
        raise FacError(
            f"onnxruntime fails on a batch {sizes}: {first_line(error)}; is that the shape which the file reads? One "
            "whose batch is fixed has to be exported with an open one (`dynamic_axes`, `dynamic_shapes`)"
        ) from error
    return {name: np.asarray(array) for name, array in zip(names, found, strict=True)}
