"""What passes share: replacing values while walking a function once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from fac.step.ir import Function, Op, Value

Replacement = Op | Value
"""What becomes of an op: another op with the same result, or a value that is already there."""


def rewrite(function: Function, visit: Callable[[Op], Replacement]) -> Function:
    """Visit each op, with its operands already replaced; a returned value stands for the op's result from then on."""
    standing: dict[Value, Value] = {}

    def now(value: Value) -> Value:
        return standing.get(value, value)

    ops: list[Op] = []
    for op in function.ops:
        if not standing.keys().isdisjoint(op.operands):
            op = Op(op.kind, tuple(map(now, op.operands)), op.attributes, op.result, op.origin)
        found = visit(op)
        if isinstance(found, Value):
            standing[op.result] = found
        else:
            ops.append(found)
    return replace(
        function,
        ops=tuple(ops),
        outputs=tuple((name, now(value)) for name, value in function.outputs),
        regions=tuple(
            replace(
                region,
                inputs={k: now(v) for k, v in region.inputs.items()},
                outputs={k: now(v) for k, v in region.outputs.items()},
            )
            for region in function.regions
        ),
    )
