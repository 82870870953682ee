"""Forward mode, driven by demand: what a small change of some values does to others.

`tangent(v)` is J t, J the Jacobian of v in the values that have a direction t: the sum, over the operands of the op
that makes v, of its Jacobian-vector products. No op states any. In g the vector-Jacobian product of an operand is
linear, J^T g, and it is written in ops that say their own derivatives: to go back through these, from J^T g to g, is to
multiply with (J^T)^T = J. What in J^T is no function of g, such as a mask, is written once and kept; what is one is
never run.

So a product with a weight is differentiated as the same product: no weight is read the other way round. Where an op's
derivative is one that nobody goes back through, the finer ops that the op is made of are differentiated instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from fac.step.builder import Builder
from fac.step.ir import Op, Value
from fac.step.ops import OPS
from fac.step.ops.base import DISCRETE, STOP, Vjp, Without
from fac.step.reverse import NoDerivativeError


class Forward:
    """One forward sweep over some ops."""

    def __init__(self, b: Builder, directions: Mapping[Value, Value], ops: Mapping[Value, Op]) -> None:
        """Nothing is built until a tangent is asked for.

        Args:
            b: receives the ops of the sweep, at its node and in its phase.
            directions: by value what it moves along, of the same type. What made the value is of no account.
            ops: those to sweep over, by their results (see `makers`).
        """
        self.b, self.memo, self.made = b, dict[Value, Value | None](directions), ops

    def tangent(self, value: Value) -> Value | None:
        """How `value` moves, or None if nothing that moves has a say in it. An explicit stack: depth is no limit.

        Raises:
            NoDerivativeError: what moves has a say in it through an op without a derivative.
        """
        stack = [value]
        while stack:
            top = stack[-1]
            if top in self.memo:
                stack.pop()
                continue
            op = self.made.get(top)
            missing = [v for v in _smooth(op) if v not in self.memo] if op else []
            if missing:
                stack += missing
                continue
            self.memo[top] = self._moved(op) if op else None
            stack.pop()
        return self.memo[value]

    def _moved(self, op: Op) -> Value | None:
        moving = {i: t for i, v in enumerate(op.operands) if (t := self.memo.get(v)) is not None}
        moving = {i: t for i, t in moving.items() if OPS[op.kind].derivative(i) is not STOP}
        if not moving:
            return None
        start = len(self.b.ops)
        total: Value | None = None
        for index, tangent in moving.items():
            term = _pushed(self.b, op, index, tangent)
            if term is None:
                del self.b.ops[start:]
                return self._finer(op, moving)
            total = term if total is None else self.b.add(total, term)
        assert total is not None
        return self.b.named(total, f"{op.result.name}.tangent")

    def _finer(self, op: Op, moving: Mapping[int, Value]) -> Value | None:
        """The same of what the op is made of."""
        finer, (index, *_) = OPS[op.kind].finer, moving
        if finer is None:
            raise _refused(op, index)
        start = len(self.b.ops)
        made = finer(self.b, op)
        directions = {op.operands[i]: tangent for i, tangent in moving.items()}
        return Forward(self.b, directions, makers(self.b.ops[start:])).tangent(made)


def makers(ops: Iterable[Op]) -> dict[Value, Op]:
    """Each by what it makes."""
    return {op.result: op for op in ops}


def _smooth(op: Op) -> Sequence[Value]:
    """The operands through which a change may go on; the others do not matter, whatever moves them."""
    return [v for i, v in enumerate(op.operands) if OPS[op.kind].derivative(i) is not STOP]


def _pushed(b: Builder, op: Op, index: int, tangent: Value) -> Value | None:
    """J t of one operand; None where its vjp, or that of what the vjp is made of, is not written.

    Raises:
        NoDerivativeError: there is no J.
    """
    vjp = OPS[op.kind].derivative(index)
    if vjp is DISCRETE:
        raise _refused(op, index)
    return None if isinstance(vjp, Without) else _transposed(b, vjp, op, tangent)


def _transposed(b: Builder, vjp: Vjp, op: Op, tangent: Value) -> Value | None:
    """Go back through what the vjp makes of g."""
    g = Value("g", op.result.type)
    start = len(b.ops)
    end = vjp(b, op, g)
    written, moving, linear = b.ops[start:], {g}, list[Op]()
    del b.ops[start:]
    for one in written:
        if moving.isdisjoint(one.operands):
            b.ops.append(one)
        else:
            moving.add(one.result)
            linear.append(one)
    found: dict[Value, Value] = {end: tangent}
    for one in reversed(linear):
        if one.result not in found:
            continue
        for place, operand in enumerate(one.operands):
            if operand in moving:
                back = OPS[one.kind].derivative(place)
                if isinstance(back, Without):
                    return None
                term = back(b, one, found[one.result])
                found[operand] = b.add(found[operand], term) if operand in found else term
    return found[g]


def _refused(op: Op, index: int) -> NoDerivativeError:
    why = OPS[op.kind].derivative(index)
    assert isinstance(why, Without)
    return NoDerivativeError(op, op.operands[index], why.why, "a change of `{}` cannot go on through")
