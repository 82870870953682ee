"""The floor of a step: its products, and the bytes that no fusion can spare, read off the built function.

Ops whose multiply-adds are counted are products. All others are taken to be fused as far as data allow: ops between
the same products, one of which reads what another makes or reads, are one pass, which reads what came from elsewhere
once and writes once what is read elsewhere. So an update reads gradient, weight and velocity and writes the latter
two, and an activation is read and written once, whatever it is made of. Views are free, and so are scalars.

Nothing is declared for it: a new layer or rule has a floor because it has a step.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass

from fac.step.cost import FLOAT_BYTES, SHOWING
from fac.step.ir import Function, Op, Value
from fac.step.ops import OPS
from fac.step.types import DType, numel

WIDTHS = {DType.FLOAT: FLOAT_BYTES, DType.INT: 8, DType.BOOL: 1}


@dataclass(frozen=True, slots=True)
class Product:
    """Ops that one kernel makes: a single one, or all derivatives of an attention."""

    ops: tuple[Op, ...]
    macs: int


@dataclass(frozen=True, slots=True)
class Pass:
    """Ops that go over memory once."""

    ops: tuple[Op, ...]
    bytes: int
    """Read and written."""


Work = Product | Pass


def floor(function: Function, n: int) -> list[Work]:
    """What a step cannot do without, in an order in which it can be done.

    Args:
        function: a step after all passes.
        n: samples in the batch.
    """
    shown = {op.result: op.operands[0] for op in function.ops if op.kind in SHOWING}

    def base(value: Value) -> Value:
        while value in shown:
            value = shown[value]
        return value

    ops = [op for op in function.ops if op.kind not in SHOWING]
    groups = _grouped(ops, base, _turns(ops, base, {base(value) for _, value in function.outputs}))
    owner = {op: key for key, members in groups.items() for op in members}
    readers: dict[Value, set[Hashable]] = {base(value): {None} for _, value in function.outputs}
    for op in ops:
        for operand in op.operands:
            readers.setdefault(base(operand), set()).add(owner[op])
    found: list[Work] = []
    for key, members in groups.items():
        if _is_product(members[0]):
            found.append(Product(members, sum(_macs(op, n) for op in members)))
            continue
        made = {op.result for op in members}
        read = {base(v) for op in members for v in op.operands} - made
        written = {v for v in made if readers.get(v, set()) - {key}}
        moved = sum(_bytes(v, n) for v in (*read, *written))
        if moved:
            found.append(Pass(members, moved))
    return found


def totals(works: list[Work]) -> tuple[int, int]:
    """Multiply-adds, and bytes beside products."""
    macs = sum(work.macs for work in works if isinstance(work, Product))
    return macs, sum(work.bytes for work in works if isinstance(work, Pass))


def _turns(ops: list[Op], base: Callable[[Value], Value], kept: set[Value]) -> dict[Op, int]:
    """Of each op how many products, one behind the other, come before it; what waits for none waits for its reader."""
    below: dict[Value, int] = {}
    turn: dict[Op, int] = {}
    for op in ops:
        turn[op] = max((below.get(base(v), 0) for v in op.operands), default=0)
        below[op.result] = turn[op] + _is_product(op)
    first: dict[Value, int] = {}
    for op in reversed(ops):
        if not _is_product(op) and op.result in first and op.result not in kept:
            turn[op] = first[op.result]
        for operand in map(base, op.operands):
            first[operand] = min(first.get(operand, turn[op]), turn[op])
    return turn


def _grouped(
    ops: list[Op], base: Callable[[Value], Value], turn: dict[Op, int]
) -> dict[Hashable, tuple[Op, ...]]:
    """Ops by the kernel or the pass that they are part of, in an order in which those can run."""
    makes = {op.result: op for op in ops}
    parent = {op: op for op in ops}

    def root(op: Op) -> Op:
        while parent[op] is not op:
            op = parent[op]
        return op

    reads: dict[tuple[int, Value], Op] = {}
    for op in ops:
        for value in () if _is_product(op) else map(base, op.operands):
            source = makes.get(value)
            if source is not None and not _is_product(source) and turn[source] == turn[op]:
                parent[root(source)] = root(op)
            elif value.type.shape:
                parent[root(reads.setdefault((turn[op], value), op))] = root(op)
    groups: dict[Hashable, tuple[Op, ...]] = {}
    for op in sorted(ops, key=lambda op: (turn[op], _is_product(op))):
        key = (ATTENDING, *op.operands) if op.kind.startswith(ATTENDING) else root(op)
        groups[key] = (*groups.get(key, ()), op)
    return groups


ATTENDING = "attend_"
"""How the derivatives of attention begin, which one kernel makes together."""


def _is_product(op: Op) -> bool:
    return OPS[op.kind].macs is not None


def _macs(op: Op, n: int) -> int:
    macs = OPS[op.kind].macs
    assert macs is not None
    return macs(op, n)


def _bytes(value: Value, n: int) -> int:
    return numel(value.type.shape, n) * WIDTHS[value.type.dtype] if value.type.shape else 0
