"""Normalisations that a file spells out in arithmetic, found from their last operation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

from fac.backend import Ref
from fac_onnx.reading.graph import Graph, Node
from fac_onnx.reading.layers import written
from fac_onnx.reading.shapes import axes_of
from fac_onnx.reading.steps import Form, Step, Steps, Weight, shaped


def averaged(graph: Graph, node: Node, value: str) -> Steps:
    """(x - mean) weight / sqrt(var + eps) + bias of channels, by arrays alone; weight and bias may be missing."""
    slot, rest = constant(graph, node, "Add")
    at, centre = constant(graph, node if slot is None else rest, "Mul")
    product = node if slot is None else rest
    if at is None or product is None or centre is None or centre.op != "Sub":
        return None
    if centre.inputs[1] not in graph.constants:
        return None
    x, factor = centre.inputs[0], product.inputs[at]
    shape = graph.shapes[x]
    quotient = graph.made.get(graph.source(factor))
    root = graph.made.get(quotient.inputs[1]) if quotient is not None and quotient.op == "Div" else None
    added = graph.made.get(root.inputs[0]) if root is not None and root.op == "Sqrt" else None
    eps = graph.single(added.inputs[1]) if added is not None and added.op == "Add" else None
    if quotient is None or added is None or eps is None or len(shape) < 2:
        return None
    weights = {
        "running_mean": Weight(centre, 1, statistic=True),
        "running_var": Weight(added, 0, statistic=True),
    }
    if slot is not None:
        weights = {"weight": Weight(quotient, 0), "bias": Weight(node, slot)} | weights
    elif graph.single(quotient.inputs[0]) != 1:
        return None
    wide = [factor, centre.inputs[1], *([node.inputs[slot]] if slot is not None else [])]
    if not all(_per_channel(graph.shapes[name], shape) for name in wide):
        return None
    if any(prod(graph.shapes[weight.value]) != shape[1] for weight in weights.values()):
        return None
    weights = {part: _flat(graph, weight, shape[1:2]) for part, weight in weights.items()}
    args = {"input": Ref(x), "momentum": 0.1, "eps": written(eps), "training": True}
    return Step("aten.batch_norm", args, weights)


def grouped(graph: Graph, node: Node, value: str) -> Steps:
    """A normalisation of groups as one of the channels of another view, with a weight and a bias behind it."""
    slot, product = constant(graph, node, "Add")
    at, view = constant(graph, product, "Mul")
    if slot is None or at is None or product is None or view is None or view.op != "Reshape":
        return None
    inner = graph.by(view.inputs[0], "InstanceNormalization")
    first = graph.by(inner.inputs[0], "Reshape") if inner is not None else None
    if inner is None or first is None:
        return None
    x, groups = first.inputs[0], graph.shapes[first.outputs[0]][1]
    ones, zeros = (graph.constants.get(name) for name in inner.inputs[1:3])
    shape = graph.shapes[x]
    parts = {"weight": Weight(product, at), "bias": Weight(node, slot)}
    if (
        ones is None
        or zeros is None
        or (ones != 1).any()
        or zeros.any()
        or graph.shapes[view.outputs[0]] != shape
    ):
        return None
    if not all(_per_channel(graph.shapes[weight.value], shape) for weight in parts.values()):
        return None
    weights = {part: _flat(graph, weight, shape[1:2]) for part, weight in parts.items()}
    args = {"input": Ref(x), "num_groups": groups, "eps": written(inner.get("epsilon", 1e-5))}
    return Step("aten.group_norm", args, weights)


def standardised(graph: Graph, node: Node, value: str) -> Steps:
    """(x - mean) / sqrt(var + eps), times a weight, plus a bias: what stands above is part of it where it is there."""
    weights, rest = dict[str, Weight](), node
    for part, op in (("bias", "Add"), ("weight", "Mul")):
        slot, below = constant(graph, rest, op)
        if slot is not None:
            if below is None:
                return None
            weights[part] = Weight(rest, slot)
            rest = below
    found = _quotients(graph, rest)
    if found is None or ("bias" in weights and ("weight" not in weights or not found[3])):
        return None
    x, axes, eps, centred = found
    shape = graph.shapes[x]
    last, kept = tuple(shape[axis] for axis in axes), [axis for axis in range(len(shape)) if axis not in axes]
    alike = tuple(size if axis in axes else 1 for axis, size in enumerate(shape))
    if any(_wide(graph, weight, len(shape)) != alike for weight in weights.values()):
        return (
            _in_groups(graph, value, x, eps, weights) if centred and axes == [*range(2, len(shape))] else None
        )
    weights = {part: _flat(graph, weight, last) for part, weight in weights.items()}
    op = "aten.layer_norm" if centred else "aten.rms_norm"
    args = {"normalized_shape": [*last], "eps": written(eps)}
    order = kept + axes
    if order == sorted(order):
        return Step(op, {"input": Ref(x)} | args, weights)
    # the axes go to the end and back
    moved, made = f"{value} reads", f"{value} moved"
    sizes = tuple(shape[axis] for axis in order)
    return [
        Step("aten.permute", {"self": Ref(x), "dims": order}, {}, moved, sizes),
        Step(op, {"input": Ref(moved)} | args, weights, made, sizes),
        Step("aten.permute", {"self": Ref(made), "dims": [order.index(axis) for axis in range(len(order))]}),
    ]


def _in_groups(graph: Graph, value: str, x: str, eps: float, weights: dict[str, Weight]) -> Steps:
    """Of maps [N, groups, channels of each, ...] that are seen so, with a weight and a bias for each channel."""
    view, shape = graph.by(x, "Reshape"), graph.shapes[x]
    wanted = (1, *shape[1:3], *(1,) * (len(shape) - 3))
    channels = shape[1] * shape[2]
    if view is None or graph.shapes[view.inputs[0]][:2] != (shape[0], channels) or "bias" not in weights:
        return None
    if any(_wide(graph, weight, len(shape)) != wanted for weight in weights.values()):
        return None
    weights = {part: _flat(graph, weight, (channels,)) for part, weight in weights.items()}
    made, args = f"{value} normalised", {"num_groups": shape[1], "eps": written(eps)}
    before = graph.shapes[view.inputs[0]]
    return [
        Step("aten.group_norm", {"input": Ref(view.inputs[0])} | args, weights, made, before),
        Step("aten.view", {"self": Ref(made)}),
    ]


def constant(graph: Graph, node: Node | None, op: str) -> tuple[int | None, Node | None]:
    """Of a sum or a product the input that is an array, and the node that makes the other one."""
    if node is None or node.op != op:
        return None, None
    slot = next((i for i, name in enumerate(node.inputs) if name in graph.constants), None)
    return slot, None if slot is None else graph.made.get(node.inputs[1 - slot])


def _per_channel(have: Sequence[int], shape: Sequence[int]) -> bool:
    """Whether an array has one number for each channel of maps."""
    wide = (*(1,) * (len(shape) - len(have)), *have)
    return wide == tuple(size if axis == 1 else 1 for axis, size in enumerate(shape))


def _wide(graph: Graph, weight: Weight, rank: int) -> tuple[int, ...]:
    """The shape of an array with as many axes as what it is stretched to."""
    have = graph.shapes[weight.value]
    return (*(1,) * (rank - len(have)), *have)


def _flat(graph: Graph, weight: Weight, shape: Sequence[int]) -> Weight:
    form: Form = shaped(graph.shapes[weight.value], shape)
    return Weight(weight.node, weight.slot, form, weight.statistic)


def _quotients(graph: Graph, node: Node) -> tuple[str, list[int], float, bool] | None:
    """X, the axes, eps, and whether the mean is taken off, of (x - mean) / sqrt(mean((x - mean)^2) + eps)."""
    for top, bottom in _quotient(graph, node):
        root = _below(graph, bottom, "Sqrt")
        added = graph.made.get(root.inputs[0]) if root is not None else None
        if added is None:
            continue
        for variance, eps in graph.with_number(added, "Add"):
            mean = _below(graph, variance, "ReduceMean")
            if mean is None or not _squares(graph, mean.inputs[0], top):
                continue
            axes = _axes(graph, mean)
            if graph.shapes[bottom] != _kept(graph.shapes[top], axes):
                continue
            centre = graph.by(top, "Sub")
            if centre is not None:
                off = _below(graph, centre.inputs[1], "ReduceMean")
                kept = graph.shapes[centre.inputs[1]] == _kept(graph.shapes[top], axes)
                if (
                    off is not None
                    and kept
                    and off.inputs[0] == centre.inputs[0]
                    and _axes(graph, off) == axes
                ):
                    return centre.inputs[0], axes, eps, True
            return top, axes, eps, False
    return None


def _quotient(graph: Graph, node: Node) -> Iterator[tuple[str, str]]:
    """A and b of a / b, in what words ever."""
    if node.op == "Div":
        yield node.inputs[0], node.inputs[1]
    if node.op != "Mul":
        return
    for top, factor in (node.inputs, node.inputs[::-1]):
        turned = graph.made.get(factor)
        if turned is not None and turned.op == "Reciprocal":
            yield top, turned.inputs[0]
        if turned is not None and turned.op == "Div" and graph.single(turned.inputs[0]) == 1:
            yield top, turned.inputs[1]


def _below(graph: Graph, name: str, op: str) -> Node | None:
    """The node of an operation that makes a value, whether or not axes of 1 are put back behind it."""
    view = graph.by(name, "Reshape") or graph.by(name, "Unsqueeze")
    return graph.by(view.inputs[0] if view else name, op)


def _kept(shape: Sequence[int], axes: Sequence[int]) -> tuple[int, ...]:
    return tuple(1 if axis in axes else size for axis, size in enumerate(shape))


def _axes(graph: Graph, node: Node) -> list[int]:
    rank = len(graph.shapes[node.inputs[0]])
    return sorted(axis % rank for axis in axes_of(graph, node, 1))


def _squares(graph: Graph, name: str, of: str) -> bool:
    node = graph.made.get(name)
    if node is None:
        return False
    if node.op == "Mul":
        return node.inputs == (of, of)
    return node.op == "Pow" and node.inputs[0] == of and graph.single(node.inputs[1]) == 2
