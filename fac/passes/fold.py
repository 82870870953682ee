"""Constant folding: arithmetic on scalars that are known, and factors and summands that change nothing."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import replace

from fac.passes.rewrite import Replacement, rewrite
from fac.step.ir import Function, Op, Value

ARITHMETIC: dict[str, Callable[..., float]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "pow": operator.pow,
    "neg": operator.neg,
    "sqrt": math.sqrt,
    "maximum": max,
    "minimum": min,
}
NEUTRAL = {"add": 0.0, "sub": 0.0, "mul": 1.0, "div": 1.0, "pow": 1.0}
COMMUTATIVE = frozenset({"add", "mul"})


def fold_constants(function: Function) -> Function:
    """After this pass no scalar arithmetic has only constant operands, and nothing is added to 0 or multiplied by 1."""
    known: dict[Value, float] = {}

    def visit(op: Op) -> Replacement:
        if op.kind == "constant":
            value = op["value"]
            assert isinstance(value, int | float)
            known[op.result] = value
            return op
        if op.kind in ARITHMETIC and all(v in known for v in op.operands):
            return constant(op, ARITHMETIC[op.kind](*(known[v] for v in op.operands)))
        for index in (1, 0) if op.kind in COMMUTATIVE else (1,):
            if op.kind in NEUTRAL and known.get(op.operands[index]) == NEUTRAL[op.kind]:
                other = op.operands[1 - index]
                if other.type == op.result.type:
                    return other
        return op

    def constant(op: Op, value: float) -> Op:
        known[op.result] = value
        attributes = (("dtype", str(op.result.type.dtype)), ("value", value))
        return replace(op, kind="constant", operands=(), attributes=attributes)

    return rewrite(function, visit)
