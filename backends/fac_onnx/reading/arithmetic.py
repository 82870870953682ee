"""Sums, products and other functions of numbers, as far as no pattern says what they are a part of."""

from __future__ import annotations

from collections.abc import Mapping

from fac.backend import Ref
from fac_onnx.reading.graph import Graph, Node
from fac_onnx.reading.steps import Step, Steps, Translator, plain


def two(op: str) -> Translator:
    """An operation on two tensors, or one and a number, which comes second where the order does not matter."""

    def read(graph: Graph, node: Node, value: str) -> Steps:
        a, b = node.inputs
        if op in ("aten.add", "aten.mul") and graph.single(a) is not None:
            a, b = b, a
        number = graph.single(b) if a not in graph.constants else None
        args = {"self": Ref(a), "other": Ref(b) if number is None else number}
        return Step(op, args | ({"alpha": 1} if op in ("aten.add", "aten.sub") else {}))

    return read


def clip(graph: Graph, node: Node, value: str) -> Steps:
    """Limits, each of which may be left out."""
    limits = [graph.single(name) if (name := node.input(slot)) else None for slot in (1, 2)]
    return Step("aten.clamp", {"self": Ref(node.inputs[0]), "min": limits[0], "max": limits[1]})


TRANSLATORS: Mapping[str, Translator] = {
    "Add": two("aten.add"),
    "Sub": two("aten.sub"),
    "Mul": two("aten.mul"),
    "Div": two("aten.div"),
    "Pow": two("aten.pow"),
    "Clip": clip,
    "Sqrt": plain("aten.sqrt"),
    "Reciprocal": plain("aten.reciprocal"),
    "Exp": plain("aten.exp"),
    "Abs": plain("aten.abs"),
    "Neg": plain("aten.neg"),
    "Erf": plain("aten.erf"),
}
