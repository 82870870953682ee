"""Parameters that groups of the update freeze: `{match: "block.*", trainable: false}`."""

from __future__ import annotations

from dataclasses import replace

from fac.program.program import Node, Program
from fac.program.tensors import Role, Tensor


def frozen(network: Program) -> tuple[Node, ...]:
    """The nodes, of which those parameters stay whose last group says so.

    A layer all of whose parameters stay does not learn, so that nobody asks for its error. It goes forward as before.
    """
    still = network.kept

    def told(tensor: Tensor) -> Tensor:
        return replace(tensor, trainable=False) if tensor.name in still and tensor.trainable else tensor

    def settled(node: Node) -> Node:
        if still.isdisjoint(tensor.name for tensor in node.state):
            return node
        state = [told(tensor) for tensor in node.state if tensor.role is Role.PARAMETER]
        return replace(
            node,
            tensors=tuple(map(told, node.tensors)),
            shared=tuple(map(told, node.shared)),
            weight=None if node.weight is None else told(node.weight),
            trainable=node.trainable and any(tensor.trainable for tensor in state),
        )

    return tuple(map(settled, network.nodes)) if still else network.nodes
