"""Steps of matrices whose singular values are made about 1 (Jordan 2024): what `muon` and `gram_orthogonal` share.

Five Newton-Schulz steps take the singular values s of a matrix, divided by its norm, to p(p(p(p(p(s))))) with
p(s) = A s + B s^3 + C s^5: from [0.01, 1] to [0.68, 1.13]. They are no polar decomposition, and no rank grows.
"""

from __future__ import annotations

from math import prod, sqrt
from typing import Literal

from pydantic import Field

from fac.program.program import Program
from fac.program.tensors import Role, Tensor
from fac.spec.train import Positive
from fac.spec.updates import AnyRule, Rule
from fac.step.builder import Builder
from fac.step.factors import Factors
from fac.step.ir import Value
from fac.step.types import DType
from fac.updates.adam import AdamW
from fac.updates.sgd import NonNegative

A, B, C = 3.4445, -4.7750, 2.0315
LEAST = 1e-10
"""The square of what is left of products that cancel, relative to the sum of their sizes. From 1e-9 on down the steps
make more of the rounding of Grams, in float64, than float32 has in L^T R itself; from 1e-12 on they diverge."""


class Orthogonal(Rule):
    """What the rules with such steps share."""

    weight_decay: NonNegative = Field(
        0.0, description="Decoupled decay: w is first multiplied by 1 - lr * this."
    )
    steps: Positive = Field(5, description="How many Newton-Schulz steps.")
    size: Literal["original", "match_rms_adamw"] = Field(
        "original",
        description="sqrt(max(1, out / in)), or 0.2 sqrt(max(out, in)), so that rates of AdamW serve (2502.16982).",
    )
    rest: AnyRule = Field(AdamW(lr=0.001), description="The update rule of all other parameters.")


def instead(rule: Orthogonal, program: Program, tensor: Tensor) -> Rule | None:
    """`rest`, for all but hidden weights, and what stands in their place with their shape, which takes the same step.

    Not for factors: where those are the SVD of a weight their gradient is rounding alone, which would be made a step.
    """
    hidden = [node.weight for node in program.weighted if node.weight and node.name in program.crossing]
    names = {weight.name for weight in hidden}
    if tensor.role is Role.FEEDBACK:
        own = (route.ends.weight for route in program.routes if route.ends and tensor in route.tensors)
        return None if any(w and w.name in names and w.shape == tensor.shape for w in own) else rule.rest
    return None if tensor.name in names else rule.rest


def moved(b: Builder, rule: Orthogonal, w: Value, matrix: Value, lr: Value) -> Value:
    """The weight after a step along a matrix of its shape, and after its decay."""
    kept = b.mul(w, b.sub(1.0, b.mul(lr, rule.weight_decay))) if rule.weight_decay else w
    return b.sub(kept, b.mul(matrix, b.mul(lr, size_of(rule, w))))


def size_of(rule: Orthogonal, w: Value) -> float:
    """The factor on a step."""
    rows, columns = sides(w)
    return sqrt(max(1.0, rows / columns)) if rule.size == "original" else 0.2 * sqrt(max(rows, columns))


def sides(w: Value) -> tuple[int, int]:
    """A weight as a matrix: [out, in] of a layer, [out, in * kernel] of a kernel."""
    rows, *rest = (dim for dim in w.type.shape if isinstance(dim, int))
    return rows, prod(rest)


def orthogonalised(b: Builder, matrix: Value, steps: int) -> Value:
    """NS of a weight's shape. All products are of the smaller side with itself: X X^T X = (X X^T) X = X (X^T X)."""
    rows, columns = sides(matrix)
    tall = rows > columns
    x = b.reshape(matrix, (rows, columns))
    # Not an eps beside the norm, so that the size of gradients does not matter, however small.
    x = b.div(x, b.norm(x, nonzero=True))
    for _ in range(steps):
        gram = b.matmul(x, x, ta=tall, tb=not tall)
        factor = b.add(b.mul(gram, B), b.mul(b.matmul(gram, gram), C))
        x = b.add(b.mul(x, A), b.matmul(x, factor) if tall else b.matmul(factor, x))
    return b.reshape(x, matrix.type.shape)


def orthogonalised_product(b: Builder, product: Factors, steps: int) -> Value:
    """NS(L^T R), [m, k], of L [rows, m] and R [rows, k]: L^T S, where matrices [rows, rows] make S [rows, k] of both.

    0 where what is left of the sum of products l r^T is less than 1e-5 of the sum of |l| |r|: less than Grams can tell.
    """
    left = _moderate(b, product.left)
    found = b.emit(
        "newton_schulz_rows", left, product.right, steps=steps, coefficients=(A, B, C), least=LEAST
    )
    return b.matmul(left, found, ta=True)


def _moderate(b: Builder, x: Value) -> Value:
    """`x` times a power of two where it is so small, or large, that no float32 says by what to divide it.

    Else `x` itself: its rows may depend on each other to the last digit, and the steps would magnify what rounds there.
    """
    size, edge = b.norm(x), 2.0**60
    small, large = (b.cast(b.less(low, high), DType.FLOAT) for low, high in ((size, 1 / edge), (edge, size)))
    moderate = b.sub(1.0, b.add(small, large))
    return b.mul(x, b.add(moderate, b.add(b.mul(small, edge), b.mul(large, 1 / edge))))
