"""A function as statements of torch code, one for each op: what the passes of this backend begin with."""

from __future__ import annotations

from collections.abc import Container

from fac.step.ir import Function, Origin, Phase, Value
from fac_torch.draft import Draft
from fac_torch.statements import Statement, drop_dead


def drafted(function: Function, literals: Container[Value], *, moves: bool) -> Draft:
    """The function with dead ops dropped.

    Args:
        function: in ops that have templates.
        literals: values that are written as Python numbers where they are read.
        moves: whether it is a step: then outputs that are state end as a `copy` into it.
    """
    state = {value.name: value for value in function.inputs} if moves else {}
    keep = {value for name, value in function.outputs if name not in state}
    lines = [
        Statement(op.kind, op.operands, dict(op.attributes), op.result, op.origin)
        for op in function.ops
        if op.result not in literals
    ]
    for name, value in function.outputs:
        if name in state:
            # State is called after its layer, or subspace: NODE.weight, NODE.feedback.P.
            owner = name.partition(".feedback.")[0] if ".feedback." in name else name.rpartition(".")[0]
            origin = Origin(owner, Phase.UPDATE)
            lines.append(Statement("copy", (state[name], value), {}, None, origin, (state[name],)))
    return Draft(function, drop_dead(lines, keep), keep, moves)
