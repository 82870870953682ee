"""Models for batches of any size, of such as were exported for one sample.

What is written here is a guess at what that number meant. So the two are run: with several samples the model has to do
with each what the file does with it.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from onnx import AttributeProto, ModelProto, NodeProto, helper, numpy_helper

from fac.backend import Array
from fac.diagnostics import FacError
from fac_onnx.reading.file import entry
from fac_onnx.reading.graph import SIZES, run

SAME = 1e-4
"""Relative to the largest number: sums go in another order where there are more samples."""
FIRST, REST = "first of the batch", "rest of a shape"
"""Arrays that are added: where a shape is cut."""


def freed(model: ModelProto) -> ModelProto:
    """A model that declares no size of its batch."""
    made = ModelProto()
    made.CopyFrom(model)
    value, output = entry(made, "the model")
    fixed = value.type.tensor_type.shape.dim[0].dim_value
    del made.graph.value_info[:]
    for end in (value, output):
        for dim in end.type.tensor_type.shape.dim:
            dim.Clear()
    if fixed:
        _keep(made, fixed)
    if fixed == 1:
        _stretch(made, value.name)
    return made


def require_same(model: ModelProto, made: ModelProto, batch: Array) -> None:
    """Refuse a model for any batch that is not the one that was fixed.

    Args:
        model: as it is in the file.
        made: the other one.
        batch: of several samples.

    Raises:
        FacError: the two differ.
    """
    value, output = entry(model, "the model")
    fixed = value.type.tensor_type.shape.dim[0].dim_value
    if not fixed:
        return
    rows = batch[np.arange(max(fixed, len(batch)) // fixed * fixed) % len(batch)]
    parts = [rows[i : i + fixed] for i in range(0, len(rows), fixed)]
    one = [run(model, {value.name: part}, [output.name])[output.name] for part in parts]
    (all_,) = run(made, {value.name: rows}, [output.name]).values()
    together = np.concatenate(one) if one[0].ndim else all_ * np.nan
    if together.shape != all_.shape or not np.abs(all_ - together).max() <= SAME * np.abs(together).max():
        raise FacError(
            f"the batch of the file is fixed at {fixed}, and how it would be another one is not clear: export it with "
            "an open one (`dynamic_axes`, `dynamic_shapes`)"
        )


def _keep(model: ModelProto, fixed: int) -> None:
    """Let `Reshape` keep a first axis of the size of the batch: 0 stands for the size that it had."""
    graph = model.graph
    sizes = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    sizes |= {
        n.output[0]: numpy_helper.to_array(a.t) for n in graph.node for a in n.attribute if _is_constant(n, a)
    }
    for node in graph.node:
        wanted = sizes.get(node.input[1]) if node.op_type == "Reshape" else None
        if wanted is None or wanted.size < 2 or wanted[0] != fixed or (wanted == 0).any():
            continue
        name = f"{node.output[0]} kept"
        graph.initializer.append(numpy_helper.from_array(np.array([0, *wanted[1:]], np.int64), name))
        node.input[1] = name
        kept = [attribute for attribute in node.attribute if attribute.name != "allowzero"]
        del node.attribute[:]
        node.attribute.extend(kept)


def _stretch(model: ModelProto, fed: str) -> None:
    """Have an array that stands beside one sample, such as a class token, stand beside each."""
    graph, live, nodes = model.graph, {fed}, list[NodeProto]()
    for node in graph.node:
        if live.intersection(node.input) and node.op_type not in SIZES:
            if node.op_type == "Concat" and helper.get_node_attr_value(node, "axis"):
                for slot, name in enumerate(node.input):
                    if name not in live:
                        node.input[slot] = f"{name} for {node.output[0]}"
                        nodes += _stretched(fed, name, node.input[slot])
            live.update(node.output)
        nodes.append(node)
    if len(nodes) > len(graph.node):
        for name, numbers in ((FIRST, [0, 1]), (REST, [1, 2**31])):
            ends = (numpy_helper.from_array(np.array([n]), f"{name}: {i}") for i, n in enumerate(numbers))
            graph.initializer.extend(ends)
        kept = [*map(_copy, nodes)]
        del graph.node[:]
        graph.node.extend(kept)


def _stretched(fed: str, name: str, made: str) -> Iterable[NodeProto]:
    """An array with its first axis as long as the batch."""
    for of, part in ((fed, FIRST), (name, REST)):
        yield helper.make_node("Shape", [of], [f"{made}: {part} of"])
        cut = [f"{made}: {part} of", f"{part}: 0", f"{part}: 1"]
        yield helper.make_node("Slice", cut, [f"{made}: {part}"])
    yield helper.make_node("Concat", [f"{made}: {FIRST}", f"{made}: {REST}"], [f"{made}: shape"], axis=0)
    yield helper.make_node("Expand", [name, f"{made}: shape"], [made])


def _copy(node: NodeProto) -> NodeProto:
    found = NodeProto()
    found.CopyFrom(node)
    return found


def _is_constant(node: NodeProto, attribute: AttributeProto) -> bool:
    return node.op_type == "Constant" and attribute.name == "value"
