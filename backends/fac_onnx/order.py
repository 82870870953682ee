"""The order in which a model lists its nodes: onnxruntime opens a model of thousands of them much faster in it.

onnxruntime sorts all nodes anew for each pass over a graph, about twenty times while it opens one. It keeps those
that are ready in a list, in the order of the file, and searches that from its head for each node: what waits there for
long is paid for by everything that comes by. A training step has thousands of such nodes, a factor times each state of
an optimiser, which the file lists last. Here every node comes as soon as it can, those first that are nearest to the
end, so that next to nothing waits. onnxruntime runs nodes in an order of its own, by what outputs need; the numbers
are the same, to the bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heapify, heappop, heappush

from onnx import GraphProto, NodeProto


def ordered(graph: GraphProto) -> None:
    """List the nodes of a graph in that order, in place.

    Args:
        graph: whose nodes stand behind those that make their inputs.
    """
    nodes = list(graph.node)
    maker = {name: index for index, node in enumerate(nodes) for name in node.output}
    before = [{maker[name] for name in _read(node) if name in maker} for node in nodes]
    after: list[list[int]] = [[] for _ in nodes]
    height = [0] * len(nodes)  # of the longest path to an end
    for index in reversed(range(len(nodes))):
        for source in before[index]:
            after[source].append(index)
            height[source] = max(height[source], height[index] + 1)
    waits = [len(sources) for sources in before]
    ready = [(height[index], index) for index, count in enumerate(waits) if count == 0]
    heapify(ready)
    order = []
    while ready:
        _, index = heappop(ready)
        order.append(nodes[index])
        for reader in after[index]:
            waits[reader] -= 1
            if waits[reader] == 0:
                heappush(ready, (height[reader], reader))
    assert len(order) == len(nodes), "a node reads what no node before it makes"
    listed = GraphProto(node=order)
    graph.ClearField("node")
    graph.MergeFrom(listed)


def _read(node: NodeProto) -> Iterator[str]:
    """What a node reads, also in the graphs that it holds, such as the body of a loop."""
    yield from node.input
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            for inner in graph.node:
                yield from _read(inner)
