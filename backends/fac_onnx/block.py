"""A model of several steps: the step as the body of a `Scan`, over batches that lie one behind the other.

The nodes are those of the step, so the numbers are, too. What is saved is the call of onnxruntime, and what binds the
arrays to it, which for small networks costs as much as a part of the step. A `Loop` would do the same and takes 7 to
12 % longer for networks of 64 units: it copies each batch, and asks for memory for each state in each turn, where a
`Scan` reads batches where they lie and has two places for a state.
"""

from __future__ import annotations

from collections.abc import Iterable

from onnx import ModelProto, ValueInfoProto, helper

from fac.backend import Compiled
from fac_onnx.emit import IR, NEXT, OPSET, check

BEGIN, END, ALL = ".begin", ".end", ".all"
"""What names of state have behind them before and after the steps, and what names have behind them of all steps."""
COUNT = "K"


def block(made: ModelProto, compiled: Compiled) -> ModelProto:
    """The model of several steps.

    Its inputs are `NAME.all` for each array of a batch, [K, N, ...], and for `lr` and `step`, [K]; and the state, with
    `.begin` behind the names of what moves. Its outputs are the state that moves, with `.end` behind the names, and the
    losses of all steps, as `loss.all`, [K].

    Args:
        made: the model of one step; not changed.
        compiled: whose it is.
    """
    graph, state = made.graph, {slot.name for slot in compiled.state}
    given = {value.name: value for value in graph.input}
    found = {value.name: value for value in graph.output}
    moved = [name for name, _ in compiled.step.outputs if name in state]
    losses = [name for name, _ in compiled.step.outputs if name not in state]
    listed = [name for name in given if name not in state]
    begin = [_like(found[name + NEXT], name + BEGIN) for name in moved]
    end = [_like(found[name + NEXT], name + END) for name in moved]
    body = helper.make_graph(
        graph.node,
        "step",
        [*(_like(found[name + NEXT], name) for name in moved), *(given[name] for name in listed)],
        [*(found[name + NEXT] for name in moved), *(found[name] for name in losses)],
        graph.initializer,
        value_info=graph.value_info,
    )
    steps = helper.make_node(
        "Scan",
        [*_names(begin), *(name + ALL for name in listed)],
        [*_names(end), *(name + ALL for name in losses)],
        name="steps",
        body=body,
        num_scan_inputs=len(listed),
    )
    inputs = [_like(given[name], name + ALL, COUNT) for name in listed] + begin
    inputs += [value for name, value in given.items() if name in state and name not in moved]
    outputs = [*end, *(_like(found[name], name + ALL, COUNT) for name in losses)]
    whole = helper.make_model(
        helper.make_graph([steps], "steps", inputs, outputs),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR,
        producer_name="fac",
    )
    check(whole)
    return whole


def _like(value: ValueInfoProto, name: str, *before: str) -> ValueInfoProto:
    """The type of a value under another name, with axes in front."""
    kind = value.type.tensor_type
    dims = [dim.dim_param or dim.dim_value for dim in kind.shape.dim]
    return helper.make_tensor_value_info(name, kind.elem_type, [*before, *dims])


def _names(values: Iterable[ValueInfoProto]) -> list[str]:
    return [value.name for value in values]
