"""A function on its way from ops to a graph: what the passes of this backend change."""

from __future__ import annotations

from dataclasses import dataclass

from fac.step.ir import Function, Op, Origin, Value


@dataclass(frozen=True, slots=True)
class Gemm:
    """A product that stands for several ops."""

    a: Value
    b: Value
    ta: bool
    tb: bool
    result: Value
    origin: Origin
    c: Value | None = None
    alpha: float = 1.0
    beta: float = 1.0
    scale: Value | None = None
    """A scalar that is known at run time: a factor of the product, without C."""

    @property
    def operands(self) -> tuple[Value, ...]:
        """Everything that is read."""
        return tuple(v for v in (self.a, self.b, self.c, self.scale) if v is not None)


@dataclass(frozen=True, slots=True)
class Split:
    """A value as several ones, which lie one behind the other along its first axis."""

    whole: Value
    results: tuple[Value, ...]
    origin: Origin

    @property
    def operands(self) -> tuple[Value, ...]:
        """What is read."""
        return (self.whole,)


Single = Op | Gemm
"""What makes one value."""
Line = Single | Split


@dataclass(frozen=True, slots=True)
class Draft:
    """What becomes nodes, in order."""

    function: Function
    """What the lines compute."""
    double: bool
    """Whether FLOAT is float64."""
    lines: list[Line]
    narrow: frozenset[Value] = frozenset()
    """Integers that are computed modulo 2^32."""
