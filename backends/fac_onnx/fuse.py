"""Products with what is added to them as one `Gemm`: alpha op(A) op(B) + beta C."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np

from fac.step.ir import Function, Op, Value
from fac.step.scalars import constants
from fac.step.transform import Keeps, Pass
from fac.step.types import Shape
from fac_onnx.draft import Draft, Gemm, Single

SMALLEST, LARGEST = (float(x) for x in (np.finfo(np.float32).tiny, np.finfo(np.float32).max))
"""Of factors. A zero would also drop what it multiplies, NaN included."""


def fuse(function: Function, double: bool) -> list[Single]:
    """The ops of a function, with products fused where nobody else reads what lies between.

    Args:
        function: after all passes of the core.
        double: whether FLOAT is float64. Alpha and beta are float32 attributes: in double precision, factors that
            float32 does not hold exactly stay ops.
    """
    return _Fusion(function, double).lines()


@dataclass
class _Fusion:
    function: Function
    double: bool
    made: dict[Value, Single] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.known = constants(self.function)
        self.uses = Counter(v for op in self.function.ops for v in op.operands)
        self.uses.update(value for _, value in self.function.outputs)

    def lines(self) -> list[Single]:
        absorb = {"mul": self._mul, "add": self._add, "sub": self._sub}
        for op in self.function.ops:
            fused = absorb[op.kind](op) if op.kind in absorb else None
            self.made[op.result] = fused or op
        live, kept = {value for _, value in self.function.outputs}, list[Single]()
        for line in reversed(self.made.values()):
            if line.result in live:
                live.update(line.operands)
                kept.append(line)
        return kept[::-1]

    def _mul(self, op: Op) -> Gemm | None:
        """A product times a scalar, which costs less at a factor than at the result, and nothing if it is known."""
        for product, other in self._products(op):
            number = self._number(other)
            alpha = None if number is None else self._factor(product.alpha * number)
            if alpha is not None:
                return replace(product, result=op.result, origin=op.origin, alpha=alpha)
            if other.type.shape == () and product.scale is None:
                return replace(product, result=op.result, origin=op.origin, scale=other)
        return None

    def _add(self, op: Op) -> Gemm | None:
        for product, other in self._products(op):
            if _fits(other.type.shape, op.result.type.shape):
                c, beta = self._times(other)
                return replace(product, result=op.result, origin=op.origin, c=c, beta=beta)
        return None

    def _sub(self, op: Op) -> Gemm | None:
        for product, other in self._products(op):
            if _fits(other.type.shape, op.result.type.shape):
                sign = 1.0 if other is op.operands[1] else -1.0
                c, beta = self._times(other)
                return replace(
                    product,
                    result=op.result,
                    origin=op.origin,
                    c=c,
                    alpha=sign * product.alpha,
                    beta=-sign * beta,
                )
        return None

    def _products(self, op: Op) -> list[tuple[Gemm, Value]]:
        """(operand that may be absorbed, the other operand)."""
        pairs = (op.operands, op.operands[::-1])
        return [
            (found, other)
            for operand, other in pairs
            if operand.type.shape == op.result.type.shape and (found := self._product(operand)) is not None
        ]

    def _product(self, value: Value) -> Gemm | None:
        line = self.made.get(value)
        if self.uses[value] != 1 or line is None:
            return None
        if isinstance(line, Gemm):
            return line if line.c is None else None
        if line.kind != "matmul":
            return None
        a, b = line.operands
        return Gemm(a, b, bool(line["ta"]), bool(line["tb"]), value, line.origin)

    def _times(self, value: Value) -> tuple[Value, float]:
        """(V, k) where the value is V * k, k is known and nobody else reads it; else the value itself, times 1."""
        line = self.made.get(value)
        if isinstance(line, Op) and line.kind == "mul" and self.uses[value] == 1:
            for operand, other in (line.operands, line.operands[::-1]):
                number = self._number(other)
                if number is not None and operand.type == value.type:
                    return operand, number
        return value, 1.0

    def _number(self, value: Value) -> float | None:
        number = self.known.get(value)
        return None if number is None else self._factor(number)

    def _factor(self, number: float) -> float | None:
        """The number, if an attribute of float32 can hold it and nothing is lost."""
        if not SMALLEST <= abs(number) <= LARGEST:
            return None
        return None if self.double and float(np.float32(number)) != number else number


def _fits(shape: Shape, whole: Shape) -> bool:
    """Whether C of this shape stretches to the result, as `Gemm` allows."""
    padded = (1,) * (2 - len(shape)) + shape
    return len(shape) <= 2 and all(dim in (1, full) for dim, full in zip(padded, whole, strict=True))


def _fused(draft: Draft) -> Draft:
    return replace(draft, lines=[*fuse(draft.function, draft.double)])


FUSE_PRODUCTS = Pass(
    "fuse_products",
    _fused,
    Keeps.ROUNDING,
    "a product, what is added to it and known factors are one `Gemm`",
)
