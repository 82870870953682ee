"""Mixed precision: the products of a step from rounded numbers (Micikevicius et al. 2018, arXiv 1710.03740).

Not one of `PASSES`, because it changes numbers: a spec asks for it (`train.mixed_precision`). What it does is a part of
what a step means, so that every backend computes the same, and the oracle can be asked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from fac.step.ir import Function, Op, Phase, Value
from fac.step.ops import OPS
from fac.step.types import DType

PHASES = frozenset({Phase.FORWARD, Phase.ERROR, Phase.GRADIENT})
"""What feedback learns by, and what an update does with a gradient, is computed as precisely as state is kept."""


def narrow(function: Function, to: str) -> Function:
    """The function with the operands and the result of each product rounded to that type.

    A bias is added before the result is rounded, as libraries do it within the product, also one that is shown as
    [C, 1, 1] for a map. What is rounded already, or only chosen from rounded numbers (`selects`), is not rounded again.

    Args:
        function: after the passes; those are run again on what this makes.
        to: one of `fac.step.ops.rounding.NARROW`.
    """
    reads = Counter(v for op in function.ops for v in op.operands)
    reads.update(value for _, value in function.outputs)
    biases = _biases(function, reads)
    rounded: dict[Value, Value] = {}
    fits: set[Value] = set()
    """Values whose numbers all are of the type."""
    ops: list[Op] = []
    taken = {v.name for v in (*function.inputs, *(op.result for op in function.ops))}

    def named(name: str, like: Value) -> Value:
        """A new value; a layer may have any name that ours could have."""
        while name in taken:
            name = f"{name}_"
        taken.add(name)
        return Value(name, like.type)

    def round_to(value: Value, op: Op) -> Value:
        if value in fits:
            return value
        if value not in rounded:
            rounded[value] = named(f"{value.name}.{to}", value)
            fits.add(rounded[value])
            ops.append(Op("round_to", (value,), (("to", to),), rounded[value], op.origin))
        return rounded[value]

    def finish(op: Op) -> None:
        """The op, of which the result holds rounded numbers: those before are called `exact`."""
        exact = named(f"{op.result.name}.exact", op.result)
        ops.append(replace(op, result=exact))
        ops.append(Op("round_to", (exact,), (("to", to),), op.result, op.origin))
        fits.add(op.result)

    late = {product for product, _ in biases.values()}
    for op in function.ops:
        if op.result in biases:
            product, bias = biases[op.result]
            given = {product: product, bias: round_to(bias, op)}
            finish(replace(op, operands=tuple(given[v] for v in op.operands)))
        elif _narrows(op):
            op = replace(op, operands=tuple(round_to(v, op) for v in op.operands))
            if op.result in late:
                ops.append(op)
            else:
                finish(op)
        else:
            ops.append(op)
            numbers = [v for v in op.operands if v.type.dtype is DType.FLOAT]
            if numbers and OPS[op.kind].selects and fits.issuperset(numbers):
                fits.add(op.result)
    return replace(function, ops=tuple(ops))


def _narrows(op: Op) -> bool:
    return OPS[op.kind].narrows and op.origin.phase in PHASES


def _biases(function: Function, reads: Counter[Value]) -> dict[Value, tuple[Value, Value]]:
    """By their sum: a product that only this sum reads, and the vector of the state, as it is shown, that is added."""
    made = {op.result: op for op in function.ops}
    state = {v for v in function.inputs if len(v.type.shape) == 1}
    found = dict[Value, tuple[Value, Value]]()
    for op in function.ops:
        if op.kind != "add" or op.origin.phase is not Phase.FORWARD:
            continue
        for product, bias in (op.operands, op.operands[::-1]):
            maker = made.get(product)
            if maker is not None and _narrows(maker) and reads[product] == 1 and _vector(bias, made) in state:
                found[op.result] = (product, bias)
    return found


def _vector(value: Value, made: Mapping[Value, Op]) -> Value:
    """What a value shows in another shape."""
    while value in made and made[value].kind == "reshape":
        (value,) = made[value].operands
    return value
