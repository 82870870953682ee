"""What an op is: a name, a type rule, one vector-Jacobian product per operand, and a count of multiply-adds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fac.step.ir import Attribute, Op, Value
from fac.step.types import Type, TypeRuleError

if TYPE_CHECKING:
    from fac.step.builder import Builder

Attributes = Mapping[str, Attribute]
TypeRule = Callable[[tuple[Type, ...], Attributes], Type]
Vjp = Callable[["Builder", Op, Value], Value]
"""`vjp(builder, op, g)`: with g = dL/d(result), the ops that make dL/d(operand)."""
Finer = Callable[["Builder", Op], Value]
"""`finer(builder, op)`: the op's result made of finer ops."""


@dataclass(frozen=True, slots=True)
class OpDef:
    """The definition of an op.

    `vjp` holds one entry per operand; None where no derivative flows (integers, masks). An op that occurs only
    in backward passes has no entries: reverse mode never meets it.
    """

    name: str
    type: TypeRule
    vjp: tuple[Vjp | None, ...] = ()
    macs: Callable[[Op, int], int] | None = None
    """Multiply-adds at batch size n, for contractions; other ops count as none (tests/build/test_costs.py)."""
    finer: Finer | None = None
    """What a backend without a kernel for the op runs instead (`fac.passes.decompose`)."""


def same(operands: tuple[Type, ...], attributes: Attributes) -> Type:
    """The type of the first operand."""
    return operands[0]


def alike(operands: tuple[Type, ...], attributes: Attributes) -> Type:
    """The one type that all operands have.

    Raises:
        TypeRuleError: they differ.
    """
    if len(set(operands)) != 1:
        raise TypeRuleError(f"equal types are needed, not {' and '.join(map(str, operands))}")
    return operands[0]


def unbroadcast(b: Builder, g: Value, like: Value) -> Value:
    """Sum g over the axes along which `like` was stretched to g's shape: the vjp of broadcasting."""
    have, want = g.type.shape, like.type.shape
    if have == want:
        return g
    lead = len(have) - len(want)
    axes = [*range(lead), *(lead + i for i, dim in enumerate(want) if dim == 1 and have[lead + i] != 1)]
    return b.reshape(b.sum(g, axes), want)
