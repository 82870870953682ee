"""Dead code."""

from __future__ import annotations

from dataclasses import replace

from fac.step.ir import Function, Op, Value
from fac.step.transform import Keeps, Pass


def drop_dead(function: Function) -> Function:
    """After this pass every op's result is an output or is read by a later op.

    A region stays if all its outputs do; its inputs count as read only by the ops themselves.
    """
    live: set[Value] = {value for _, value in function.outputs}
    kept: list[Op] = []
    for op in reversed(function.ops):
        if op.result in live:
            live.update(op.operands)
            kept.append(op)
    alive = live | set(function.inputs)
    regions = tuple(
        region
        for region in function.regions
        if alive.issuperset(region.outputs.values()) and alive.issuperset(region.inputs.values())
    )
    return replace(function, ops=tuple(reversed(kept)), regions=regions)


DROP_DEAD = Pass(
    "drop_dead", drop_dead, Keeps.BITS, "every op's result is an output or is read by a later op"
)
