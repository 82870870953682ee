"""A model of several steps: the step as the body of a `Loop`, over batches that lie one behind the other.

The nodes are those of the step, so the numbers are, too. What is saved is the call of onnxruntime, and what binds the
arrays to it, which for small networks takes longer than the step.
"""

from __future__ import annotations

from collections.abc import Iterable

from onnx import ModelProto, TensorProto, ValueInfoProto, helper

from fac.backend import Compiled
from fac_onnx.emit import IR, NEXT, OPSET, check

BEGIN, END, ALL = ".begin", ".end", ".all"
"""What names of state have behind them before and after the steps, and what names have behind them of all steps."""
COUNT, TURN, GO = "K", "turn", "go"


def block(made: ModelProto, compiled: Compiled) -> ModelProto:
    """The model of several steps.

    Its inputs are `NAME.all` for each array of a batch, [K, N, ...], and for `lr`, [K]; `step.begin`, the number of
    steps before; and the state, with `.begin` behind the names of what moves. Its outputs are the state that moves,
    with `.end` behind the names, and the losses of all steps, as `loss.all`, [K].

    Args:
        made: the model of one step; not changed.
        compiled: whose it is.
    """
    graph, state = made.graph, {slot.name for slot in compiled.state}
    given = {value.name: value for value in graph.input}
    found = {value.name: value for value in graph.output}
    moved = [name for name, _ in compiled.step.outputs if name in state]
    losses = [name for name, _ in compiled.step.outputs if name not in state]
    listed = [name for name in (*(feed.name for feed in compiled.feeds), "lr") if name in given]
    begin = [_like(found[name + NEXT], name + BEGIN) for name in moved]
    end = [_like(found[name + NEXT], name + END) for name in moved]
    number = [_like(given["step"], "step" + BEGIN)] if "step" in given else []
    taken = [
        helper.make_node("Gather", [name + ALL, TURN], [name], name=f"{name}.taken", axis=0)
        for name in listed
    ]
    if number:
        taken.append(helper.make_node("Add", ["step" + BEGIN, TURN], ["step"], name="step.now"))
    carried = [helper.make_tensor_value_info(TURN, TensorProto.INT64, [])]
    carried.append(helper.make_tensor_value_info(GO, TensorProto.BOOL, []))
    on = helper.make_tensor_value_info(GO + NEXT, TensorProto.BOOL, [])
    body = helper.make_graph(
        [*taken, *graph.node, helper.make_node("Identity", [GO], [GO + NEXT], name=GO + NEXT)],
        "step",
        [*carried, *(_like(found[name + NEXT], name) for name in moved)],
        [on, *(found[name + NEXT] for name in moved), *(found[name] for name in losses)],
        graph.initializer,
        value_info=graph.value_info,
    )
    steps = helper.make_node(
        "Loop",
        [COUNT, "", *_names(begin)],
        [*_names(end), *(name + ALL for name in losses)],
        name="steps",
        body=body,
    )
    first = listed[0] + ALL
    nodes = [
        helper.make_node("Shape", [first], ["K.vector"], name="K.vector", start=0, end=1),
        helper.make_node("Squeeze", ["K.vector"], [COUNT], name=COUNT),
        steps,
    ]
    inputs = [_like(given[name], name + ALL, COUNT) for name in listed] + number + begin
    inputs += [value for name, value in given.items() if name in state and name not in moved]
    outputs = [*end, *(_like(found[name], name + ALL, COUNT) for name in losses)]
    whole = helper.make_model(
        helper.make_graph(nodes, "steps", inputs, outputs),
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
