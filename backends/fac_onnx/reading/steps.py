"""Operations as they are handed on: under the names of PyTorch's, by which kinds of layers know them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fac.backend import Array, Ref
from fac_onnx.reading.graph import Graph, Node


@dataclass(frozen=True, slots=True)
class Form:
    """How a layer keeps an array, seen from how the file does."""

    there: Callable[[Array], Array]
    back: Callable[[Array], Array]


PLAIN = Form(lambda array: array, lambda array: array)
TURNED = Form(lambda array: np.ascontiguousarray(array.T), lambda array: np.ascontiguousarray(array.T))
"""A matrix [in, out], as `MatMul` has it."""


def shaped(have: Sequence[int], wanted: Sequence[int]) -> Form:
    """An array that the file keeps with other axes."""
    return Form(lambda array: array.reshape(wanted), lambda array: array.reshape(have))


@dataclass(frozen=True, slots=True)
class Weight:
    """An array of the file that becomes one of a layer."""

    node: Node
    slot: int
    """Which of the node's inputs it is."""
    form: Form = PLAIN
    statistic: bool = False

    @property
    def value(self) -> str:
        """Its name in the graph."""
        return self.node.inputs[self.slot]


@dataclass(frozen=True, slots=True)
class Step:
    """One operation."""

    op: str
    args: dict[str, Any]
    """With a `Ref` for each value that it reads."""
    weights: dict[str, Weight] = field(default_factory=dict)
    """Arguments that are arrays of the layer."""
    name: str = ""
    """What it makes; by default what its node makes."""
    shape: tuple[int, ...] | None = None
    """Of that, where it has another name."""
    need: str = ""
    """What would be needed, where nothing says it."""


Steps = Step | Sequence[Step] | None
"""What a node is; several, one behind the other, the last of which makes what the node makes; None: something else."""
Translator = Callable[[Graph, Node, str], Steps]
"""`translator(graph, node, value)`: the operations that make one of the node's outputs."""


class UnreadError(Exception):
    """An operation with arguments that nothing says: what would be needed."""


def plain(op: str, **args: Any) -> Translator:
    """An operation on one tensor."""
    return lambda graph, node, value: Step(op, {"self": Ref(node.inputs[0])} | args)
