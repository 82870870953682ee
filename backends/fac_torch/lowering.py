"""A step function as statements of torch code: ops, or kernels that stand for several of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from fac.step.ir import Function, Op, Origin, Phase, Value
from fac_torch.statements import SLOTS, Statement, drop_dead, is_buffered, is_outer
from fac_torch.tied import tied


def statements(function: Function) -> list[Statement]:
    """The function with its update regions as kernels, biases folded into products, and dead ops dropped.

    State outputs become kernels that work in place, or a `copy` at the end.
    """
    state = {value.name: value for value in function.inputs}
    lines = _hashed([_plain(op) for op in function.ops], function)
    kernels = _optimisers(function)
    lines += kernels
    done = {value for kernel in kernels for value in kernel.updates}
    keep = {value for name, value in function.outputs if name not in state}
    for name, value in function.outputs:
        if name in state and state[name] not in done:
            # State is called after its layer, or subspace: NODE.weight, NODE.feedback.P.
            owner = name.partition(".feedback.")[0] if ".feedback." in name else name.rpartition(".")[0]
            origin = Origin(owner, Phase.UPDATE)
            lines.append(Statement("copy", (state[name], value), {}, None, origin, (state[name],)))
    lines = _outer(tied(drop_dead(lines, keep), keep))
    return drop_dead(_addcmul(_addmm(lines)), keep)


def pure(function: Function) -> list[Statement]:
    """A function that changes no state: one statement per op, biases folded into products."""
    lines = _hashed([_plain(op) for op in function.ops], function)
    keep = {value for _, value in function.outputs}
    return drop_dead(_addcmul(_addmm(drop_dead(lines, keep))), keep)


def _plain(op: Op) -> Statement:
    return Statement(op.kind, op.operands, dict(op.attributes), op.result, op.origin)


def _hashed(lines: list[Statement], function: Function) -> list[Statement]:
    """The forty integer ops of a hash as one call of a kernel, where the last of them stood."""
    marks = {r.outputs["bits"]: r for r in function.regions if r.kind == "uniform_bits"}
    return [
        Statement("uniform_bits", (marks[v].inputs["step"],), marks[v].attributes, v, line.origin)
        if (v := line.result) is not None and v in marks
        else line
        for line in lines
    ]


def _optimisers(function: Function) -> list[Statement]:
    """The kernel of each optimiser region.

    A region whose results do not all replace the state that they come from cannot work in place: it stays ops.
    """
    moved = set(function.outputs)
    origins = {op.result: op.origin for op in function.ops}
    found: list[Statement] = []
    for region in function.regions:
        inputs, outputs = region.inputs, region.outputs
        if region.kind not in SLOTS or any((inputs[k].name, v) not in moved for k, v in outputs.items()):
            continue
        updated = (inputs["parameter"], *(inputs[slot] for slot in SLOTS[region.kind] if slot in inputs))
        scalars = [inputs[key] for key in ("lr", "step") if key in inputs]
        operands = (*updated, inputs["gradient"], *scalars)
        origin = origins[outputs["parameter"]]
        found.append(Statement(region.kind, operands, region.attributes, None, origin, updated))
    return found


def _uses(lines: Iterable[Statement]) -> Counter[Value]:
    return Counter(value for line in lines for value in line.operands)


def _outer(lines: list[Statement]) -> list[Statement]:
    """Where a kernel is the only reader of a gradient d^T h, give it d and h: the gradient is never kept."""
    uses, made = _uses(lines), {value: line for line in lines for value in line.results}
    found: list[Statement] = []
    for line in lines:
        position = len(line.updates)
        if line.kind in SLOTS:
            gradient = line.operands[position]
            product = made.get(gradient)
            if product is not None and uses[gradient] == 1 and is_outer(product):
                operands = (*line.updates, *product.operands, *line.operands[position + 1 :])
                line = Statement(
                    f"{line.kind}_outer", operands, line.attributes, None, line.origin, line.updates
                )
        found.append(line)
    return found


def _addmm(lines: list[Statement]) -> list[Statement]:
    """A product whose one reader adds a vector to it becomes `addmm`."""
    uses, made = _uses(lines), {value: line for line in lines for value in line.results}
    found: list[Statement] = []
    for line in lines:
        if line.kind == "add":
            product, bias = line.operands
            maker = made.get(product)
            if (
                maker is not None
                and maker.kind == "matmul"
                and uses[product] == 1
                and len(bias.type.shape) == 1
            ):
                line = Statement("addmm", (bias, *maker.operands), maker.attributes, line.result, line.origin)
        found.append(line)
    return found


def _addcmul(lines: list[Statement]) -> list[Statement]:
    """A product of numbers whose one reader adds it to others, or takes it from them: `addcmul`, if all are alike."""
    uses, made = _uses(lines), {value: line for line in lines for value in line.results}
    found: list[Statement] = []
    for line in lines:
        if line.kind in ("add", "sub") and line.result is not None:
            places = (1, 0) if line.kind == "add" else (1,)
            for product, other in ((line.operands[k], line.operands[1 - k]) for k in places):
                maker = made.get(product)
                if maker is None or maker.kind != "mul" or uses[product] != 1 or not is_buffered(product):
                    continue
                operands = (other, *maker.operands)
                if all(value.type == line.result.type for value in operands):
                    sign = {"value": 1 if line.kind == "add" else -1}
                    line = Statement("addcmul", operands, sign, line.result, line.origin)
                    break
        found.append(line)
    return found
