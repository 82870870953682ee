"""Operations that move, join, cut and count axes."""

from __future__ import annotations

from collections.abc import Mapping

from fac.backend import Ref
from fac_onnx.reading.graph import Graph, Node
from fac_onnx.reading.steps import Step, Steps, Translator, UnreadError, plain


def viewed(graph: Graph, node: Node, value: str) -> Steps:
    """Whatever leaves the numbers in their order: the shape of the result says the rest."""
    return Step("aten.view", {"self": Ref(node.inputs[0])})


def squeeze(graph: Graph, node: Node, value: str) -> Steps:
    """A view; of a part of length 1 that was cut out along that axis, one of what stands along it."""
    axes = axes_of(graph, node, 1)
    cut = graph.made.get(node.inputs[0])
    if len(axes) == 1 and cut is not None and cut.op in ("Slice", "Split"):
        found = (_slice if cut.op == "Slice" else split)(graph, cut, node.inputs[0])
        (axis,) = axes
        rank = len(graph.shapes[node.inputs[0]])
        if found.args["dim"] % rank == axis % rank and found.args["step"] == 1:
            args = {"self": found.args["self"], "dim": found.args["dim"], "index": found.args["start"]}
            return Step("aten.select", args)
    return viewed(graph, node, value)


def transpose(graph: Graph, node: Node, value: str) -> Steps:
    """The axes in another order."""
    rank = len(graph.shapes[value])
    return Step(
        "aten.permute", {"self": Ref(node.inputs[0]), "dims": list(node.get("perm", range(rank)[::-1]))}
    )


def concat(graph: Graph, node: Node, value: str) -> Steps:
    """One behind the other."""
    return Step("aten.cat", {"tensors": [Ref(name) for name in node.inputs], "dim": node.get("axis")})


def cut(graph: Graph, node: Node, value: str) -> Steps:
    """A part, of as many axes as it is cut along."""
    axes = graph.whole(node.input(3)) if node.input(3) else None
    starts, ends = graph.whole(node.input(1)), graph.whole(node.input(2))
    steps = graph.whole(node.input(4)) if node.input(4) else None
    if starts is None or ends is None:
        raise UnreadError("a part whose place does not depend on the data")
    axes = [*range(len(starts))] if axes is None else axes
    found, x = list[Step](), node.inputs[0]
    shape = [*graph.shapes[x]]
    for i, axis in enumerate(axes):
        step = steps[i] if steps else 1
        if step < 1:
            raise UnreadError("a part that is read forwards")
        size = shape[axis]
        first, last, _ = slice(starts[i], ends[i]).indices(size)
        shape[axis] = len(range(first, last, step))
        args = {"self": Ref(x), "dim": axis, "start": first, "end": last, "step": step}
        x = f"{value} along {axis}" if i < len(axes) - 1 else ""
        found.append(Step("aten.slice", args, {}, x, tuple(shape)))
    return found


def _slice(graph: Graph, node: Node, value: str) -> Step:
    found = cut(graph, node, value)
    assert isinstance(found, list)
    return (
        found[0]
        if len(found) == 1
        else Step("aten.slice", {"self": Ref(value), "dim": 0, "start": 0, "step": 0})
    )


def split(graph: Graph, node: Node, value: str) -> Step:
    """One of the parts, side by side."""
    axis = node.get("axis", 0)
    sizes = [graph.shapes[name][axis] for name in node.outputs]
    at = node.outputs.index(value)
    start = sum(sizes[:at])
    args = {"self": Ref(node.inputs[0]), "dim": axis, "start": start, "end": start + sizes[at], "step": 1}
    return Step("aten.slice", args)


def expand(graph: Graph, node: Node, value: str) -> Steps:
    """Stretched along axes of length 1."""
    return Step("aten.expand", {"self": Ref(node.inputs[0]), "size": list(graph.shapes[value])})


def reduced(op: str) -> Translator:
    """What is left along the other axes."""
    return lambda graph, node, value: _reduced(graph, node, value, op)


def _reduced(graph: Graph, node: Node, value: str, op: str) -> Steps:
    axes = axes_of(graph, node, 1)
    if not axes and node.get("noop_with_empty_axes", 0):
        return viewed(graph, node, value)
    axes = axes or [*range(len(graph.shapes[node.inputs[0]]))]
    return Step(op, {"self": Ref(node.inputs[0]), "dim": axes, "keepdim": bool(node.get("keepdims", 1))})


def axes_of(graph: Graph, node: Node, slot: int) -> list[int]:
    """Axes, which older opsets have as an attribute; none if none are given.

    Raises:
        UnreadError: they depend on the data.
    """
    if not node.input(slot):
        return list(node.get("axes", ()))
    found = graph.whole(node.input(slot))
    if found is None:
        raise UnreadError("axes that do not depend on the data")
    return found


def pad(graph: Graph, node: Node, value: str) -> Steps:
    """Zeros around."""
    pads = graph.whole(node.input(1))
    filled = graph.single(node.input(2)) if node.input(2) else 0.0
    if node.get("mode", "constant") != "constant" or filled:
        raise UnreadError("a `pad` with zeros")
    rank = len(graph.shapes[value])
    axes = graph.whole(node.input(3)) if node.input(3) else [*range(rank)]
    if pads is None or axes is None or any(end < 0 for end in pads):
        raise UnreadError("a `pad` whose sizes do not depend on the data and cut nothing off")
    ends = {axis % rank: (pads[i], pads[len(axes) + i]) for i, axis in enumerate(axes)}
    flat = [end for axis in reversed(range(rank)) for end in ends.get(axis, (0, 0))]
    while flat and not flat[-1] and not flat[-2]:
        del flat[-2:]
    args = {"self": Ref(node.inputs[0]), "pad": flat, "mode": "constant", "value": None}
    return Step("aten.pad", args) if flat else viewed(graph, node, value)


def cast(graph: Graph, node: Node, value: str) -> Steps:
    """From one precision to another: the network has one."""
    return Step("aten.to", {"self": Ref(node.inputs[0])})


TRANSLATORS: Mapping[str, Translator] = {
    **dict.fromkeys(("Reshape", "Flatten", "Unsqueeze"), viewed),
    "Squeeze": squeeze,
    "Transpose": transpose,
    "Concat": concat,
    "Slice": cut,
    "Split": split,
    "Expand": expand,
    "ReduceMean": reduced("aten.mean"),
    "ReduceMax": reduced("aten.amax"),
    "ReduceSum": reduced("aten.sum"),
    "Pad": pad,
    "Identity": plain("aten.alias"),
    "Cast": cast,
}
