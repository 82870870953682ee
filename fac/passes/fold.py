"""Constant folding: arithmetic on known scalars, and factors, summands, signs and views that change nothing."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from fac.passes.rewrite import Replacement, rewrite
from fac.step.ir import Function, Op, Value
from fac.step.ops.maps import whole
from fac.step.ops.shapes import VIEWS
from fac.step.transform import Keeps, Pass
from fac.step.types import broadcast

ARITHMETIC: dict[str, Callable[..., float]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "pow": operator.pow,
    "neg": operator.neg,
    "sqrt": math.sqrt,
    "abs": abs,
    "maximum": max,
    "minimum": min,
}
NEUTRAL = {"add": 0.0, "sub": 0.0, "mul": 1.0, "div": 1.0, "pow": 1.0}
COMMUTATIVE = frozenset({"add", "mul"})


def fold_constants(function: Function) -> Function:
    """Fold what is known before the run.

    After this pass no scalar arithmetic has only constant operands; nothing is added to 0, multiplied by 1 or
    reshaped to its own shape; what is added is not negated; no reshape shows a reshape, and no transpose a transpose;
    and no operand of elementwise arithmetic is stretched where broadcasting does that.
    """
    known: dict[Value, float] = {}
    stretched: dict[Value, Value] = {}
    views: dict[Value, Op] = {}
    negated: dict[Value, Value] = {}

    def visit(op: Op) -> Replacement:
        if op.kind in VIEWS:
            op = views[op.result] = at_once(op, views)
            return op.operands[0] if changes_nothing(op) else op
        if op.kind == "broadcast_to":
            stretched[op.result] = op.operands[0]
        elif op.kind in NEUTRAL:
            op = unsigned(unstretched(op, stretched), negated)
        elif op.kind == "neg":
            negated[op.result] = op.operands[0]
        if op.kind == "constant":
            value = op["value"]
            assert isinstance(value, int | float)
            known[op.result] = value
            return op
        if op.kind in ARITHMETIC and all(v in known for v in op.operands):
            found = computed(op.kind, [known[v] for v in op.operands])
            return op if found is None else constant(op, found)
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


def computed(kind: str, numbers: Sequence[float]) -> float | None:
    """The number; None where Python has none, and it is for the step to say what comes of it."""
    try:
        found = ARITHMETIC[kind](*numbers)
    except (ValueError, ArithmeticError):
        return None
    return found if isinstance(found, int | float) and math.isfinite(found) else None


def at_once(op: Op, views: Mapping[Value, Op]) -> Op:
    """A view of a view as one: of what the other one shows."""
    before = views.get(op.operands[0])
    if before is None or before.kind != op.kind:
        return op
    if op.kind == "reshape":
        return replace(op, operands=before.operands)
    shown, order = whole(before, "axes"), whole(op, "axes")
    return replace(op, operands=before.operands, attributes=(("axes", tuple(shown[axis] for axis in order)),))


def changes_nothing(op: Op) -> bool:
    """Whether a view shows its operand as it is."""
    if op.kind == "reshape":
        return op.operands[0].type == op.result.type
    return whole(op, "axes") == tuple(range(len(op.result.type.shape)))


def unstretched(op: Op, stretched: Mapping[Value, Value]) -> Op:
    """The op on the operands before they were broadcast, where that makes a result of the same type."""
    for index in (0, 1):
        narrow = stretched.get(op.operands[index])
        other = op.operands[1 - index]
        if narrow is not None and broadcast(narrow.type.shape, other.type.shape) == op.result.type.shape:
            operands = (narrow, other) if index == 0 else (other, narrow)
            op = replace(op, operands=operands)
    return op


def unsigned(op: Op, negated: Mapping[Value, Value]) -> Op:
    """A difference for the sum with what was negated, and the other way round: the same number to the bit."""
    first, second = op.operands
    if op.kind == "add" and second not in negated:
        first, second = second, first
    if op.kind not in ("add", "sub") or second not in negated:
        return op
    kind = "sub" if op.kind == "add" else "add"
    return unsigned(replace(op, kind=kind, operands=(first, negated[second])), negated)


FOLD_CONSTANTS = Pass(
    "fold_constants",
    fold_constants,
    Keeps.BITS,
    "arithmetic on known numbers is done, and factors, summands, signs and views that change nothing are gone",
)
