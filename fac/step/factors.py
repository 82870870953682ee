"""The gradient of a weight as what it is made of: G = L^T R, a product of rows of errors and rows of inputs.

G [m, k] of a batch of few rows holds less than its m k numbers say. What is computed of G may cost less from its
factors, as whatever reads the Grams L L^T and R R^T does, which are as wide as there are rows.
"""

from __future__ import annotations

from dataclasses import dataclass

from fac.step.builder import Builder
from fac.step.ir import Op, Value
from fac.step.types import Batch, N, flat


@dataclass(frozen=True, slots=True)
class Factors:
    """G = left^T right."""

    left: Value
    """[rows, m], rows a multiple of the batch size."""
    right: Value
    """[rows, k]."""

    @property
    def rows(self) -> Batch:
        """How many rows of a batch G is the sum of."""
        rows = self.left.type.shape[0]
        assert isinstance(rows, Batch)
        return rows


def factors(b: Builder, gradient: Value) -> Factors | None:
    """The factors of a gradient [m, ...], read as the matrix [m, numbers of the others]; None if it is no such product.

    It is one for each layer that multiplies rows with a matrix: one row for each sample, or for each token. What
    several such layers say of one weight adds up to the product of the rows of all. Scalar factors, and factors of each
    row of G, go to the left. Of kernels, whose places overlap, and of tables there is none.
    """
    match b.made.get(gradient):
        case Op("matmul", (left, right)) as op if op["ta"] and not op["tb"]:
            return Factors(left, right) if isinstance(left.type.shape[0], Batch) else None
        case Op("reshape", (whole,)) if _is_matrix_of(whole, gradient):
            return factors(b, whole)
        case Op("mul", (product, factor)) if factor.type.shape in ((), (gradient.type.shape[0], 1)):
            found = factors(b, product)
            if found is None:
                return None
            return Factors(b.mul(found.left, b.reshape(factor, factor.type.shape[:1])), found.right)
        case Op("add"):
            terms = [factors(b, term) for term in _terms(b, gradient) if term is not gradient]
            known = [term for term in terms if term is not None]
            return _joined(b, known) if known and len(known) == len(terms) else None
        case _:
            return None


def _is_matrix_of(whole: Value, gradient: Value) -> bool:
    """Whether they are one matrix, the rows of which are those of the first axis."""
    (rows, *others), (first, *rest) = whole.type.shape or (1,), gradient.type.shape or (1,)
    return rows == first and flat(tuple(others)) == flat(tuple(rest))


def _terms(b: Builder, total: Value) -> list[Value]:
    """What a sum adds up, however it is nested."""
    found: list[Value] = []
    waiting = [total]
    while waiting:
        value = waiting.pop()
        op = b.made.get(value)
        if op is not None and op.kind == "add" and all(v.type == value.type for v in op.operands):
            waiting += reversed(op.operands)
        else:
            found.append(value)
    return found


def _joined(b: Builder, terms: list[Factors]) -> Factors:
    """The product of the rows of all. Those of one sample stand together: no op puts one batch behind another."""

    def joined(values: list[Value], rows: list[int]) -> Value:
        columns = values[0].type.shape[1]
        parts = [b.reshape(v, (N, n, columns)) for v, n in zip(values, rows, strict=True)]
        return b.reshape(b.emit("concat", *parts, axis=1), (Batch(sum(rows)), columns))

    rows = [term.rows.times for term in terms]
    return Factors(joined([t.left for t in terms], rows), joined([t.right for t in terms], rows))
