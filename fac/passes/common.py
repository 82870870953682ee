"""Common subexpressions."""

from __future__ import annotations

from fac.passes.rewrite import Replacement, rewrite
from fac.step.ir import Function, Op, Value
from fac.step.transform import Keeps, Pass

Key = tuple[str, tuple[Value, ...], str]


def share_common(function: Function) -> Function:
    """After this pass no two ops have the same kind, operands and attributes. Every op is a pure function."""
    seen: dict[Key, Value] = {}

    def visit(op: Op) -> Replacement:
        key: Key = (op.kind, op.operands, repr(op.attributes))  # as text: 0.0 == -0.0, and 1 == True
        if key in seen:
            return seen[key]
        seen[key] = op.result
        return op

    return rewrite(function, visit)


SHARE_COMMON = Pass(
    "share_common",
    share_common,
    Keeps.BITS,
    "no two ops have the same kind, operands and attributes, such as what a loss and its error both compute",
)
