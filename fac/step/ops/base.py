"""What an op is: a name, a type rule, what it says of the derivative at each operand, and a count of multiply-adds."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fac.step.ir import Attribute, Op, Value
from fac.step.types import DType, Shape, Type, TypeRuleError

if TYPE_CHECKING:
    from fac.step.builder import Builder

Attributes = Mapping[str, Attribute]
TypeRule = Callable[[tuple[Type, ...], Attributes], Type]
Vjp = Callable[["Builder", Op, Value], Value]
"""`vjp(builder, op, g)`: with g = dL/d(result), the ops that make dL/d(operand)."""
Finer = Callable[["Builder", Op], Value]
"""`finer(builder, op)`: the op's result made of finer ops."""


@dataclass(frozen=True, slots=True)
class Without:
    """What stands for a vector-Jacobian product at an operand that has none."""

    why: str
    """Completes "it has no derivative: ..."."""


DISCRETE = Without("its result moves in steps")
"""Integers, truth values, comparisons: where a derivative exists it is zero, which nobody means who asks for it."""
STOP = Without("it stops the gradient")
"""By design: what is behind it counts as a constant."""


@dataclass(frozen=True, slots=True)
class OpDef:
    """The definition of an op.

    Reverse mode never passes over an operand in silence: where there is no derivative, to ask for one is an error,
    unless the op is a `STOP`.
    """

    name: str
    type: TypeRule
    vjp: tuple[Vjp | Without, ...] | Callable[[int], Vjp | Without] = ()
    """One entry per operand, so that its length is their number; a function of the place where there may be any."""
    attributes: frozenset[str] = frozenset()
    """The names of its attributes: a call has to give each."""
    macs: Callable[[Op, int], int] | None = None
    """Multiply-adds at batch size n, for contractions; other ops count as none (tests/build/test_costs.py)."""
    common: Callable[[Op, int], tuple[Hashable, int]] | None = None
    """A product that other ops need too, which then is made once: what it is told by, and its multiply-adds."""
    looks: Callable[[Op, int, int], int] | None = None
    """`looks(op, place, n)`: how many elements of the operand at that place it reads, if not all."""
    channels: tuple[int, int] | None = None
    """For products with a weight, linear in both operands: the axis of the result that holds channels, and the axis of
    the weight that makes them, of each group if the op has an attribute `groups`. Through an op without them no error
    can be routed (`fac.step.contraction`)."""
    narrows: bool = False
    """A product, linear in both operands, that mixed precision computes from rounded numbers (`fac.passes.narrow`)."""
    selects: bool = False
    """Whether each number of its result is one of its operands', but for the sign, or 0: rounded they stay so."""
    finer: Finer | None = None
    """What a backend without a kernel for the op runs instead (`fac.passes.decompose`)."""

    def derivative(self, place: int) -> Vjp | Without:
        """What the op says of the operand at that place."""
        return self.vjp(place) if callable(self.vjp) else self.vjp[place]

    @property
    def arity(self) -> int | None:
        """The number of operands; None where there may be any that the type rule takes."""
        return None if callable(self.vjp) else len(self.vjp)


def same(operands: tuple[Type, ...], attributes: Attributes) -> Type:
    """The type of the first operand."""
    return operands[0]


def floating(operands: tuple[Type, ...], attributes: Attributes) -> Type:
    """The one type that all operands have, of FLOAT.

    Raises:
        TypeRuleError: they differ, or are not FLOAT.
    """
    if len(set(operands)) != 1:
        raise TypeRuleError(f"equal types are needed, not {' and '.join(map(str, operands))}")
    if operands[0].dtype != DType.FLOAT:
        raise TypeRuleError(f"FLOAT is needed, not {operands[0]}")
    return operands[0]


def unbroadcast(b: Builder, g: Value, like: Value) -> Value:
    """Sum g over the axes along which `like` was stretched to g's shape: the vjp of broadcasting."""
    return summed_to(b, g, like.type.shape)


def summed_to(b: Builder, g: Value, want: Shape) -> Value:
    """Sum g over the axes along which a value of that shape was stretched to g's."""
    have = g.type.shape
    if have == want:
        return g
    lead = len(have) - len(want)
    axes = [*range(lead), *(lead + i for i, dim in enumerate(want) if dim == 1 and have[lead + i] != 1)]
    return b.reshape(b.sum(g, axes), want)
