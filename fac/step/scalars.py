"""Scalars that are known before any tensor is: backends compute them in double precision."""

from __future__ import annotations

from fac.step.ir import Function, Value


def host_scalars(function: Function, *, inputs: bool = True) -> frozenset[Value]:
    """Values that depend on constants and scalar inputs alone.

    In float32 `1 - beta ** t` would lose the digits that Adam's first steps need.

    Args:
        function: whose values.
        inputs: whether scalar inputs count; else constants alone.
    """
    host = {value for value in function.inputs if inputs and value.type.shape == ()}
    for op in function.ops:
        if op.result.type.shape == () and all(v in host for v in op.operands):
            host.add(op.result)
    return frozenset(host)


def constants(function: Function) -> dict[Value, float]:
    """The numbers that constant ops stand for."""
    found: dict[Value, float] = {}
    for op in function.ops:
        if op.kind == "constant":
            value = op["value"]
            assert isinstance(value, int | float)
            found[op.result] = value
    return found
