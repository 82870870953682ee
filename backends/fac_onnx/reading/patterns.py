"""Layers that a file spells out in arithmetic, found from their last operation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import prod, sqrt

import numpy as np

from fac.backend import Array, Ref
from fac_onnx.reading.graph import Graph, Node
from fac_onnx.reading.layers import CONVOLUTIONS, near
from fac_onnx.reading.spelled import averaged, grouped, standardised
from fac_onnx.reading.steps import TURNED, Step, Steps, Translator, UnreadError, Weight, shaped

DEEP = 4
"""How many products stand on top of each other in a spelled-out activation, at most."""


def gelu(graph: Graph, node: Node, value: str) -> Steps:
    """X / 2 (1 + erf(x / sqrt 2)), whichever product comes first."""
    for erf in _below(graph, node.outputs[0], "Mul", "Add", DEEP):
        for inner, one in graph.with_number(erf, "Add"):
            found = graph.by(inner, "Erf")
            if found is None or one != 1:
                continue
            x, factor = graph.scaled(found.inputs[0])
            if near(factor, 1 / sqrt(2)) and _product(graph, node, {x, erf.outputs[0]}, 0.5):
                return Step("aten.gelu", {"self": Ref(x), "approximate": "none"})
    return None


def silu(graph: Graph, node: Node, value: str) -> Steps:
    """X sigmoid(x), and x hardsigmoid(x)."""
    for op, name in (("Sigmoid", "aten.silu"), ("HardSigmoid", "aten.hardswish")):
        for x, gate in (node.inputs, node.inputs[::-1]):
            found = graph.by(gate, op)
            if found is None or found.inputs[0] != x:
                continue
            if op == "Sigmoid" or (
                near(found.get("alpha", 0.2), 1 / 6) and near(found.get("beta", 0.5), 0.5)
            ):
                return Step(name, {"self": Ref(x)})
    return None


def hard(graph: Graph, node: Node, value: str) -> Steps:
    """Min(max(x + 3, 0), 6) / 6, and x times that."""
    for clip in _below(graph, node.outputs[0], ("Mul", "Div"), "Clip", DEEP):
        limits = graph.single(clip.input(1)), graph.single(clip.input(2))
        shifted = graph.made.get(clip.inputs[0])
        if limits != (0, 6) or shifted is None:
            continue
        for x, three in graph.with_number(shifted, "Add"):
            if three != 3:
                continue
            if _product(graph, node, {clip.outputs[0]}, 1 / 6):
                return Step("aten.hardsigmoid", {"self": Ref(x)})
            if _product(graph, node, {x, clip.outputs[0]}, 1 / 6):
                return Step("aten.hardswish", {"self": Ref(x)})
    return None


def _below(graph: Graph, value: str, through: str | Sequence[str], op: str, deep: int) -> Iterator[Node]:
    """Nodes of an operation, of whose results products are made in the end."""
    node = graph.made.get(value)
    if node is None or value in graph.constants:
        return
    if node.op == op:
        yield node
    elif deep and node.op in ((through,) if isinstance(through, str) else through):
        for name in node.inputs:
            yield from _below(graph, name, through, op, deep - 1)


def _product(graph: Graph, node: Node, wanted: set[str], number: float) -> bool:
    """Whether a node makes the product of these values and a number, each of them once."""
    factors, found = 1.0, list[str]()

    def walk(name: str, deep: int) -> bool:
        nonlocal factors
        if name in wanted:
            found.append(name)
            return True
        single, made = graph.single(name), graph.made.get(name)
        if single is not None:
            factors *= single
            return True
        if made is None or not deep or name in graph.constants:
            return False
        if made.op == "Div" and (divisor := graph.single(made.inputs[1])):
            factors /= divisor
            return walk(made.inputs[0], deep - 1)
        return made.op == "Mul" and all(walk(other, deep - 1) for other in made.inputs)

    return walk(node.outputs[0], DEEP) and sorted(found) == sorted(wanted) and near(factors, number)


def linear(graph: Graph, node: Node, value: str) -> Steps:
    """A product with a matrix of the file, and a summand for each column."""
    for slot, name in enumerate(node.inputs):
        product = graph.by(node.inputs[1 - slot], "MatMul")
        if name not in graph.constants or product is None or product.inputs[1] not in graph.constants:
            continue
        shape, sizes = graph.shapes[product.inputs[1]], graph.shapes[name]
        if len(shape) != 2 or prod(sizes) != shape[1] or (sizes and sizes[-1] != shape[1]):
            continue
        if len(graph.read[product.outputs[0]]) > 1:
            continue
        weights = {"weight": Weight(product, 1, TURNED), "bias": Weight(node, slot, shaped(sizes, shape[1:]))}
        return Step("aten.linear", {"input": Ref(product.inputs[0])}, weights)
    return None


def convolution(graph: Graph, node: Node, value: str) -> Steps:
    """A convolution without a bias, and a summand for each of its channels."""
    for slot, name in enumerate(node.inputs):
        made = graph.made.get(node.inputs[1 - slot])
        if name not in graph.constants or made is None or made.op not in CONVOLUTIONS or made.input(2):
            continue
        sizes, shape = graph.shapes[name], graph.shapes[made.outputs[0]]
        channels = tuple(size if axis == 1 else 1 for axis, size in enumerate(shape))
        if len(graph.read[made.outputs[0]]) > 1 or (*(1,) * (len(shape) - len(sizes)), *sizes) != channels:
            continue
        found = CONVOLUTIONS[made.op](graph, made, made.outputs[0])
        bias = Weight(node, slot, shaped(sizes, (shape[1],)))
        *before, last = [found] if isinstance(found, Step) else found or ()
        return [*before, replace(last, weights=last.weights | {"bias": bias})]
    return None


def attention(graph: Graph, node: Node, value: str) -> Steps:
    """Softmax(q k^T / sqrt(d)) v, wherever the factor stands, with a mask that is causal or without one."""
    shares = graph.by(_regrouped(graph, node.inputs[0]), "Softmax")
    if shares is None or node.inputs[1] in graph.constants:
        return None
    rank = len(graph.shapes[shares.outputs[0]])
    if shares.get("axis", -1) % rank != rank - 1:
        return None
    scores, causal = _regrouped(graph, shares.inputs[0]), False
    added = graph.by(scores, "Add")
    if added is not None:
        slot = next((i for i, name in enumerate(added.inputs) if name in graph.constants), None)
        if slot is None or not _causal(graph.constants[added.inputs[slot]], graph.shapes[scores]):
            raise UnreadError("attention without a mask that is added, or with a causal one")
        scores, causal = _regrouped(graph, added.inputs[1 - slot]), True
    scores, scale = graph.scaled(scores)
    product = graph.by(_regrouped(graph, scores), "MatMul")
    if product is None or graph.shapes[product.outputs[0]] != graph.shapes[node.inputs[0]]:
        return None
    (queries, first), (turned, second) = (graph.scaled(name) for name in product.inputs)
    scale *= first * second
    width = graph.shapes[queries][-1]
    keys = f"{value} keys"
    shape = graph.shapes[turned]
    args = {
        "query": Ref(queries),
        "key": Ref(keys),
        "value": Ref(node.inputs[1]),
        "attn_mask": None,
        "dropout_p": 0.0,
        "is_causal": causal,
        "scale": None if near(scale, 1 / sqrt(width)) else scale,
        "enable_gqa": False,
    }
    swapped = (*shape[:-2], shape[-1], shape[-2])
    return [
        Step("aten.transpose", {"self": Ref(turned), "dim0": -2, "dim1": -1}, {}, keys, swapped),
        Step("aten.scaled_dot_product_attention", args),
    ]


def _regrouped(graph: Graph, name: str) -> str:
    """The value of which another is a view with other axes before the last two."""
    while (node := graph.made.get(name)) is not None and node.op in ("Reshape", "Squeeze", "Unsqueeze"):
        if name in graph.constants or graph.shapes[name][-2:] != graph.shapes[node.inputs[0]][-2:]:
            break
        name = node.inputs[0]
    return name


def _causal(mask: Array, shape: Sequence[int]) -> bool:
    """Whether a mask leaves each place those before it and itself, and nothing else."""
    rows, columns = shape[-2:]
    if mask.shape[-2:] != (rows, columns) or mask.size != rows * columns:
        return False
    seen = np.arange(columns) <= np.arange(rows)[:, None]
    return bool(np.where(seen, mask == 0, mask <= -1e30).all())


PATTERNS: Mapping[str, Sequence[Translator]] = {
    "Mul": (gelu, silu, hard, averaged, standardised),
    "Div": (hard, standardised),
    "Add": (linear, convolution, averaged, grouped, standardised),
    "MatMul": (attention,),
}
"""By the last operation."""
