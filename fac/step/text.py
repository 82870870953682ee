"""The text form of a function: what golden tests compare and `fac show --after PASS` prints."""

from __future__ import annotations

from fac.step.ir import Attribute, Function, Op


def to_text(function: Function) -> str:
    """One line per op; the right-hand comment names the node and the phase that it belongs to."""
    inputs = "".join(f"    {v.name}: {v.type},\n" for v in function.inputs)
    body = "".join(f"    {_line(op)}\n" for op in function.ops)
    outputs = "".join(f"    return {name} = %{value.name}\n" for name, value in function.outputs)
    return f"function {function.name}(\n{inputs}) {{\n{body}{outputs}}}\n"


def _line(op: Op) -> str:
    operands = ", ".join(f"%{v.name}" for v in op.operands)
    attributes = ", ".join(f"{k}={_attribute(v)}" for k, v in op.attributes if v is not False)
    attributes = f" {{{attributes}}}" if attributes else ""
    comment = f"  # {op.origin.node} {op.origin.phase}" if op.origin.node else ""
    return f"%{op.result.name} = {op.kind}({operands}){attributes} : {op.result.type}{comment}"


def _attribute(value: Attribute) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(str, value))}]"
    return repr(value) if isinstance(value, float) else str(value)
