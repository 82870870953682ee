"""A graph under construction: nodes, the type of every value, and constants, each of which is written once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from onnx import (
    AttributeProto,
    GraphProto,
    NodeProto,
    TensorProto,
    TypeProto,
    ValueInfoProto,
    helper,
    numpy_helper,
)

from fac.step.types import Batch, Dim

FLOAT: int = TensorProto.FLOAT
DOUBLE: int = TensorProto.DOUBLE
INT64: int = TensorProto.INT64
UINT32: int = TensorProto.UINT32
UINT64: int = TensorProto.UINT64
BOOL: int = TensorProto.BOOL
BFLOAT16: int = TensorProto.BFLOAT16
NUMPY: dict[int, Any] = {
    FLOAT: np.float32,
    DOUBLE: np.float64,
    INT64: np.int64,
    UINT32: np.uint32,
    BOOL: np.bool_,
}
Output = tuple[str, int, Sequence[Dim]]
"""A value that a node makes: its name, element type and shape."""
SHORT = {FLOAT: "f32", DOUBLE: "f64", INT64: "i64", UINT32: "u32", BOOL: "bool"}


def symbolic(dim: Dim) -> int | str:
    """A dimension as ONNX writes it: a number, `N`, or `4N`."""
    return str(dim) if isinstance(dim, Batch) else dim


def info(name: str, dtype: int, shape: Sequence[Dim]) -> ValueInfoProto:
    """The declared type of a value."""
    return ValueInfoProto(name=name, type=_type(dtype, tuple(shape)))


@lru_cache(1024)
def _type(dtype: int, shape: tuple[Dim, ...]) -> TypeProto:
    """A graph of thousands of values has a few types. To make one takes longer than to make a node."""
    return helper.make_tensor_type_proto(dtype, [symbolic(dim) for dim in shape])


@lru_cache(1024)
def _attribute(name: str, number: int) -> AttributeProto:
    """Likewise: flags and axes, of which there are few."""
    return helper.make_attribute(name, number)


@dataclass
class Graph:
    """Collects nodes. Names are those of the step IR; what a template needs beside its result hangs below it."""

    taken: set[str] = field(default_factory=set)
    nodes: list[NodeProto] = field(default_factory=list)
    infos: dict[str, ValueInfoProto] = field(default_factory=dict)
    constants: dict[tuple[int, bytes, tuple[int, ...]], TensorProto] = field(default_factory=dict)
    note: str = ""
    """For the `doc_string` of the nodes that are made now: viewers show it."""

    def unique(self, name: str) -> str:
        """The name, or the first of `name.1`, `name.2`, ... that is free; it is taken from now on."""
        free, count = name, 0
        while free in self.taken:
            count += 1
            free = f"{name}.{count}"
        self.taken.add(free)
        return free

    def node(
        self,
        op: str,
        inputs: Iterable[str],
        name: str,
        dtype: int,
        shape: Sequence[Dim],
        also: Sequence[Output] = (),
        **attributes: Any,
    ) -> str:
        """One node, whose output has the node's name and the type of the step IR; `also` are more of its outputs."""
        outputs: list[Output] = [(name, dtype, shape), *also]
        names = [output for output, _, _ in outputs]
        node = NodeProto(op_type=op, input=inputs, output=names, name=name)
        if self.note:
            node.doc_string = self.note
        for key, value in sorted(attributes.items()):
            whole = type(value) is int
            node.attribute.append(_attribute(key, value) if whole else helper.make_attribute(key, value))
        self.nodes.append(node)
        for output, kind, sizes in outputs:
            self.infos[output] = info(output, kind, sizes)
        return name

    def constant(self, value: Any, dtype: int) -> str:
        """An initializer, named after what it holds."""
        array = np.asarray(value, NUMPY[dtype])
        key = (dtype, array.tobytes(), array.shape)
        if key not in self.constants:
            numbers = [str(number) for number in array.ravel()]
            text = ",".join(numbers) if len(numbers) <= 8 else f"{numbers[0]}..{numbers[-1]}"
            name = self.unique(f"{f'[{text}]' if array.ndim else text}:{SHORT[dtype]}")
            self.constants[key] = numpy_helper.from_array(array, name)
        return self.constants[key].name

    def finish(self, name: str, inputs: Sequence[ValueInfoProto], outputs: Sequence[str]) -> GraphProto:
        """The graph; outputs are named values of it."""
        public = set(outputs)
        return helper.make_graph(
            self.nodes,
            name,
            list(inputs),
            [self.infos[output] for output in outputs],
            list(self.constants.values()),
            value_info=[v for key, v in self.infos.items() if key not in public],
        )
