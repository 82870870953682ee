"""Layers that share parameters: whose each array is, and whether it learns.

An array belongs to the layer that others name in `tie:`. They read it by its name, so that it stands once in the
state, and its gradient is the sum of what all of them say.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from fac.program.kinds import ShapeError
from fac.program.program import Node
from fac.program.tensors import Tensor
from fac.spec.layers import ParametricLayer


def tied(nodes: Sequence[Node], kind_of: Any) -> tuple[Node, ...]:
    """Nodes that read the parameters of those that they name. One that cannot keeps its own; see `misfit`.

    Args:
        nodes: with parameters of their own.
        kind_of: the kind of a layer.
    """
    if all(node.tie is None for node in nodes):
        return tuple(nodes)
    above: dict[str, Node] = {}
    found: list[Node] = []
    for node in nodes:
        found.append(_sharing(node, above, kind_of))
        above.setdefault(node.name, found[-1])
    return tuple(found)


def misfit(node: Node, owner: Node, kind_of: Any) -> ShapeError | None:
    """Why a node cannot share the parameters of another one, if it cannot.

    Nothing is wrong where a shape is unknown.
    """
    kind, other = kind_of(node.layer), kind_of(owner.layer)
    able = kind.name == other.name or other.name in getattr(kind, "ties", ())
    if not able and isinstance(owner.layer, ParametricLayer):
        return ShapeError(
            f"`{node.name}`, a `{kind.name}`, cannot share the parameters of `{owner.name}`, a `{other.name}`",
            "name a layer of the same kind",
        )
    if node.shape is None or owner.shape is None:
        return None
    known = {tensor.part: tensor for tensor in owner.state}
    both = [tensor for tensor in node.tensors if tensor.part in known]
    if not both:
        return ShapeError(
            f"`{owner.name}` has no parameters that `{node.name}` could share",
            "name a layer with parameters, or remove `tie`",
        )
    for tensor in both:
        theirs = known[tensor.part]
        if theirs.shape != tensor.shape:
            return ShapeError(
                f"`{tensor.name}` would be {list(tensor.shape)}, and `{theirs.name}` is {list(theirs.shape)}: "
                "only equal shapes can be shared",
                "make the layers, and what they read, equal",
            )
    return None


def settled(nodes: Sequence[Node], frozen: Iterable[str]) -> tuple[Node, ...]:
    """Nodes whose arrays learn if one of the layers that read them does.

    Args:
        nodes: with all arrays that could learn.
        frozen: names of those that a rule freezes, beside those that are frozen already.
    """
    still = set(frozen)
    nodes = tuple(replace(node, trainable=False) if node.name in still else node for node in nodes)
    taught = {t.name for node in nodes if node.trainable for t in node.state if t.trainable}

    def told(tensor: Tensor) -> Tensor:
        return tensor if tensor.name in taught or not tensor.trainable else replace(tensor, trainable=False)

    def settle(node: Node) -> Node:
        tensors, shared = tuple(map(told, node.tensors)), tuple(map(told, node.shared))
        if (
            tensors == node.tensors and shared == node.shared
        ):  # as mostly: thousands of layers stay as they are
            return node
        weight = None if node.weight is None else told(node.weight)
        return replace(node, tensors=tensors, shared=shared, weight=weight)

    return tuple(map(settle, nodes))


def _sharing(node: Node, above: Mapping[str, Node], kind_of: Any) -> Node:
    owner = None if node.tie is None else above.get(node.tie)
    if owner is None or owner.tie is not None or node.shape is None or owner.shape is None:
        return node
    if misfit(node, owner, kind_of) is not None:
        return node
    theirs = {tensor.part: tensor for tensor in owner.tensors}
    own = tuple(tensor for tensor in node.tensors if tensor.part not in theirs)
    shared = tuple(theirs[tensor.part] for tensor in node.tensors if tensor.part in theirs)
    weight = node.weight
    if weight is not None and weight.part in theirs:
        kept = theirs[weight.part]
        weight = replace(weight, name=kept.name, init=kept.init)
    return replace(node, tensors=own, shared=shared, weight=weight)
