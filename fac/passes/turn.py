"""Transposed matrices: read, or made, the other way round where that costs nothing."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from fac.passes.rewrite import Replacement, rewrite
from fac.step.ir import Function, Op, Value
from fac.step.transform import Keeps, Pass

TURNED = (1, 0)


def turn_matrices(function: Function) -> Function:
    """After this pass no product reads a transposed matrix, and none is transposed that nobody else reads."""
    made: dict[Value, Op] = {}
    reads = Counter(v for op in function.ops for v in op.operands)
    reads.update(value for _, value in function.outputs)
    reads.update(
        v for region in function.regions for v in (*region.inputs.values(), *region.outputs.values())
    )

    def turned(value: Value) -> Op | None:
        op = made.get(value)
        return op if op is not None and _turns(op) else None

    def visit(op: Op) -> Replacement:
        if op.kind == "matmul":
            flags, operands = dict(op.attributes), list(op.operands)
            for index, side in enumerate(("ta", "tb")):
                while (source := turned(operands[index])) is not None:
                    operands[index], flags[side] = source.operands[0], not flags[side]
            op = replace(op, operands=tuple(operands), attributes=tuple(sorted(flags.items())))
        elif _turns(op):
            (operand,) = op.operands
            source = made.get(operand)
            if source is not None and _turns(source):
                return source.operands[0]
            if source is not None and source.kind == "matmul" and reads[operand] == 1:
                flags = {"ta": not source["tb"], "tb": not source["ta"]}
                op = replace(
                    op,
                    kind="matmul",
                    operands=source.operands[::-1],
                    attributes=tuple(sorted(flags.items())),
                )
        made[op.result] = op
        return op

    return rewrite(function, visit)


def _turns(op: Op) -> bool:
    return op.kind == "transpose" and op["axes"] == TURNED


TURN_MATRICES = Pass(
    "turn_matrices",
    turn_matrices,
    Keeps.ROUNDING,
    "no product reads a transposed matrix, and none is transposed that nobody else reads: it is read, or made, the "
    "other way round",
)
