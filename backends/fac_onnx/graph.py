"""A graph under construction: nodes, the type of every value, and constants, each of which is written once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import GraphProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

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
    return helper.make_tensor_value_info(name, dtype, [symbolic(dim) for dim in shape])


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
        self.nodes.append(
            helper.make_node(op, list(inputs), names, name=name, doc_string=self.note, **attributes)
        )
        self.infos |= {output: info(output, kind, sizes) for output, kind, sizes in outputs}
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
