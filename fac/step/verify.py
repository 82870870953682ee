"""The verifier: what must hold of every function, after every pass."""

from __future__ import annotations

from fac.step.ir import Function, Value
from fac.step.ops import OPS


class VerifyError(AssertionError):
    """A function that a pass or the builder should never have made."""


def verify(function: Function) -> None:
    """Each value is defined once and before it is read; names are unique; types follow the ops' rules.

    Raises:
        VerifyError: one of these does not hold.
    """
    known: set[Value] = set()
    names: set[str] = set()

    def define(value: Value) -> None:
        if value in known or value.name in names:
            raise VerifyError(f"{function.name}: `{value.name}` is defined twice")
        known.add(value)
        names.add(value.name)

    def read(value: Value, by: str) -> None:
        if value not in known:
            raise VerifyError(f"{function.name}: {by} reads `{value.name}` before it is defined")

    for value in function.inputs:
        define(value)
    for op in function.ops:
        for operand in op.operands:
            read(operand, f"`{op.result.name}`")
        type = OPS[op.kind].type(tuple(v.type for v in op.operands), dict(op.attributes))
        if type != op.result.type:
            raise VerifyError(f"{function.name}: `{op.result.name}` is {op.result.type}, its op makes {type}")
        define(op.result)
    for name, value in function.outputs:
        read(value, f"output `{name}`")
    for region in function.regions:
        for value in (*region.inputs.values(), *region.outputs.values()):
            read(value, f"region `{region.kind}`")
