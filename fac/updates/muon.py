"""Muon (Jordan 2024): momentum, orthogonalised; for matrices in front of which an error crosses another weight.

Five Newton-Schulz steps take the singular values s of the momentum, divided by its norm, to p(p(p(p(p(s))))) with
p(s) = A s + B s^3 + C s^5: from [0.01, 1] to [0.68, 1.13]. They are no polar decomposition, and no rank grows.
"""

from __future__ import annotations

from math import prod, sqrt
from typing import Literal

from pydantic import Field

from fac.program.kinds import State, Updated, UpdateKind
from fac.program.program import Program
from fac.program.tensors import Role, Tensor
from fac.spec.train import Positive
from fac.spec.updates import AnyRule, Rule
from fac.step.builder import Builder
from fac.step.ir import Value
from fac.updates.adam import AdamW
from fac.updates.sgd import Fraction, NonNegative

A, B, C = 3.4445, -4.7750, 2.0315


class Muon(Rule):
    """m = momentum * m + g; w -= lr * size * NS(m), or NS(g + momentum * m) with Nesterov, after decay.

    NS makes the singular values of a matrix about 1. Kernels are matrices [out, in * kernel]. `rest` moves what is no
    weight between hidden layers: biases, norms, embeddings, and weights that the loss reaches through no other weight.
    """

    rule: Literal["muon"] = "muon"
    momentum: Fraction = Field(0.95, description="Share of the last step that is kept.")
    nesterov: bool = Field(True, description="Look ahead along the momentum.")
    weight_decay: NonNegative = Field(
        0.0, description="Decoupled decay: w is first multiplied by 1 - lr * this."
    )
    steps: Positive = Field(5, description="How many Newton-Schulz steps.")
    size: Literal["original", "match_rms_adamw"] = Field(
        "original",
        description="sqrt(max(1, out / in)), or 0.2 sqrt(max(out, in)), so that rates of AdamW serve (2502.16982).",
    )
    rest: AnyRule = Field(AdamW(lr=0.001), description="The update rule of all other parameters.")


def instead(rule: Muon, program: Program, tensor: Tensor) -> Rule | None:
    """`rest`, for all but hidden weights, and what stands in their place with their shape, which takes the same step.

    Not for factors: where those are the SVD of a weight their gradient is rounding alone, which would be made a step.
    """
    hidden = [node.weight for node in program.weighted if node.weight and node.name in program.crossing]
    names = {weight.name for weight in hidden}
    if tensor.role is Role.FEEDBACK:
        own = (route.ends.weight for route in program.routes if route.ends and tensor in route.tensors)
        return None if any(w and w.name in names and w.shape == tensor.shape for w in own) else rule.rest
    return None if tensor.name in names else rule.rest


def apply(b: Builder, rule: Muon, w: Value, gradient: Value, state: State, lr: Value, step: Value) -> Updated:
    """One step."""
    momentum = b.add(b.mul(state["momentum"], rule.momentum), gradient)
    direction = b.add(gradient, b.mul(momentum, rule.momentum)) if rule.nesterov else momentum
    rows, *rest = (dim for dim in w.type.shape if isinstance(dim, int))
    columns = prod(rest)
    matrix = orthogonalised(b, b.reshape(direction, (rows, columns)), rule.steps)
    size = sqrt(max(1.0, rows / columns)) if rule.size == "original" else 0.2 * sqrt(max(rows, columns))
    kept = b.mul(w, b.sub(1.0, b.mul(lr, rule.weight_decay))) if rule.weight_decay else w
    moved = b.mul(b.reshape(matrix, w.type.shape), b.mul(lr, size))
    return Updated(b.sub(kept, moved), {"momentum": momentum})


def orthogonalised(b: Builder, matrix: Value, steps: int) -> Value:
    """NS of [rows, columns]. All products are of the smaller side with itself: X X^T X = (X X^T) X = X (X^T X)."""
    rows, columns = matrix.type.shape
    assert isinstance(rows, int)
    assert isinstance(columns, int)
    tall = rows > columns
    # Not an eps beside the norm, so that the size of gradients does not matter, however small.
    x = b.div(matrix, b.norm(matrix, nonzero=True))
    for _ in range(steps):
        gram = b.matmul(x, x, ta=tall, tb=not tall)
        factor = b.add(b.mul(gram, B), b.mul(b.matmul(gram, gram), C))
        x = b.add(b.mul(x, A), b.matmul(x, factor) if tall else b.matmul(factor, x))
    return x


MUON = UpdateKind(
    "muon", Muon, lambda _: ("momentum",), apply, decay=lambda rule: rule.weight_decay, instead=instead
)
