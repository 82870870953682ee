"""Sums, products and other functions of numbers, as far as no pattern says what they are a part of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from fac.backend import Ref
from fac_onnx.reading.graph import Graph, Node
from fac_onnx.reading.steps import Form, Step, Steps, Translator, UnreadError, Weight, plain

INVERSE = Form(lambda array: 1 / array, lambda array: 1 / array)
"""An array of divisors, as factors."""


def two(op: str) -> Translator:
    """An operation on two tensors, or one and a number, which comes second where the order does not matter."""

    def read(graph: Graph, node: Node, value: str) -> Steps:
        a, b = node.inputs
        if op in ("aten.add", "aten.mul") and graph.single(a) is not None:
            a, b = b, a
        if op == "aten.sub" and b not in graph.constants and (number := graph.single(a)) is not None:
            return Step("aten.rsub", {"self": Ref(b), "other": number, "alpha": 1})
        number = graph.single(b) if a not in graph.constants else None
        args = {"self": Ref(a), "other": Ref(b) if number is None else number}
        return Step(op, args | ({"alpha": 1} if op in ("aten.add", "aten.sub") else {}))

    return read


def divide(graph: Graph, node: Node, value: str) -> Steps:
    """By an array of the file: a product with what it divides by, turned upside down; a number by a tensor likewise."""
    a, b = node.inputs
    if a in graph.constants and b not in graph.constants:
        top, under = graph.single(a), Step("aten.reciprocal", {"self": Ref(b)})
        if top == 1 and graph.shapes[value] == graph.shapes[b]:
            return under
        turned = f"{value} turned"
        under = replace(under, name=turned, shape=graph.shapes[b])
        return [under, Step("aten.mul", {"self": Ref(turned), "other": Ref(a) if top is None else top})]
    if b not in graph.constants or a in graph.constants or graph.single(b) is not None:
        return two("aten.div")(graph, node, value)
    if not graph.constants[b].all():
        raise UnreadError("an array without zeros, by which it divides")
    return Step("aten.mul", {"self": Ref(a), "other": Weight(node, 1, INVERSE)})


def where(graph: Graph, node: Node, value: str) -> Steps:
    """One of two where a mask of the file is true, which may be a number."""
    mask, one, other = node.inputs
    numbers = {name: graph.single(name) for name in (one, other)}
    given = {name: Ref(name) if number is None else number for name, number in numbers.items()}
    return Step("aten.where", {"condition": Ref(mask), "self": given[one], "other": given[other]})


def clip(graph: Graph, node: Node, value: str) -> Steps:
    """Limits, each of which may be left out."""
    limits = [graph.single(name) if (name := node.input(slot)) else None for slot in (1, 2)]
    return Step("aten.clamp", {"self": Ref(node.inputs[0]), "min": limits[0], "max": limits[1]})


TRANSLATORS: Mapping[str, Translator] = {
    "Add": two("aten.add"),
    "Sub": two("aten.sub"),
    "Mul": two("aten.mul"),
    "Div": divide,
    "Pow": two("aten.pow"),
    "Where": where,
    "Clip": clip,
    "Sqrt": plain("aten.sqrt"),
    "Reciprocal": plain("aten.reciprocal"),
    "Exp": plain("aten.exp"),
    "Abs": plain("aten.abs"),
    "Neg": plain("aten.neg"),
    "Erf": plain("aten.erf"),
}
