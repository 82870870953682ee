"""Ops that a backend has no kernel for, made of finer ones."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import replace

from fac.step.builder import Builder
from fac.step.ir import Function, Op
from fac.step.ops import OPS


def decompose(function: Function, kinds: Container[str]) -> Function:
    """After this pass an op is of one of `kinds`, or there is nothing finer to make it of."""
    while any(_coarse(op, kinds) for op in function.ops):
        function = _once(function, kinds)
    return function


def _coarse(op: Op, kinds: Container[str]) -> bool:
    return op.kind not in kinds and OPS[op.kind].finer is not None


def _once(function: Function, kinds: Container[str]) -> Function:
    """One level: what the finer ops are made of in turn waits for the next."""
    b = Builder()
    b.reserve(v.name for v in (*function.inputs, *(op.result for op in function.ops)))
    for op in function.ops:
        finer = OPS[op.kind].finer
        if finer is None or not _coarse(op, kinds):
            b.ops.append(op)
            continue
        with b.at(op.origin.node, op.origin.phase):
            last = finer(b, op)
        made = b.ops.pop()
        assert made.result is last, f"the last op of a finer `{op.kind}` makes its result"
        # The value stays what it was: its name, its readers, and the marks that mention it.
        b.ops.append(replace(made, result=op.result))
    return replace(function, ops=tuple(b.ops))
