"""The hash behind dropout in 32 bits, which wrap by themselves and move half the bytes."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import replace

from fac.step.ir import Function, Op, Value
from fac.step.transform import Keeps, Pass
from fac_onnx.draft import Draft


def narrow(function: Function) -> frozenset[Value]:
    """Integers that may be computed modulo 2^32: those of the hash, which cuts every number to 32 bits anyway.

    Only its results fit into 32 bits by themselves. What somebody outside reads on the way there has to be whole,
    and so has everything that it is made of; and so has what is shifted out of the number of the step.
    """
    made = {op.result: op for op in function.ops}
    found: set[Value] = set()
    for region in function.regions:
        if region.kind == "uniform_bits":
            stop, wait = set(region.inputs.values()), list(region.outputs.values())
            while wait:
                value = wait.pop()
                whole = value in stop or value not in made or _halves(made[value], stop)
                if value not in found and not whole:
                    found.add(value)
                    wait += made[value].operands
    bits = {
        v for region in function.regions for v in region.outputs.values() if region.kind == "uniform_bits"
    }
    readers: dict[Value, list[Value]] = {value: [] for value in found}
    for op in function.ops:
        for value in op.operands:
            if value in readers:
                readers[value].append(op.result)
    outputs = {value for _, value in function.outputs}
    wide = [v for v in found - bits if v in outputs or not found.issuperset(readers[v])]
    while wide:
        value = wide.pop()
        if value in found:
            found.discard(value)
            wide += [v for v in made[value].operands if v in found and v not in bits]
    return frozenset(found)


def _halves(op: Op, whole: Container[Value]) -> bool:
    """Whether an op takes the upper bits of a number that has more than 32."""
    return op.kind == "shift_right" and op.operands[0] in whole


def _narrowed(draft: Draft) -> Draft:
    return replace(draft, narrow=narrow(draft.function))


NARROW_HASH = Pass(
    "narrow_hash", _narrowed, Keeps.BITS, "integers of a hash are uint32, which wrap by themselves"
)
