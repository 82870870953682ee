"""Steps along the orthogonalised gradient, found among the rows of the batch where these are few."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fac.program.kinds import State, Updated, UpdateKind
from fac.step.builder import Builder
from fac.step.factors import Factors
from fac.step.ir import Value
from fac.updates import sgd
from fac.updates.orthogonal import (
    Orthogonal,
    instead,
    moved,
    orthogonalised,
    orthogonalised_product,
    size_of,
)
from fac.updates.sgd import Fraction, Sgd


class GramOrthogonal(Orthogonal):
    """m = momentum * m + NS(g); w -= lr * size * m, after decay; NS as in `muon`.

    Of a layer that reads rows g = d^T h. Where the rows of d and h, a batch's samples or their tokens, are fewer than
    either side of the weight, NS is computed from d d^T and h h^T, in double precision, and g never is; elsewhere, as
    of kernels, it is that of the smaller side of g. The batch of the spec decides, and `fac show` says which. Where
    samples all but cancel the two differ: with |g| below 1e-4 of the sum of |d_i| |h_i| that among rows is rounding in
    part, in float32 and in float64, and below 1e-5 there is none, while along the side there is one of full size,
    however small g is. The momentum is one of steps: that of gradients, as `muon` has it, is no product of few rows.
    """

    rule: Literal["gram_orthogonal"] = "gram_orthogonal"
    momentum: Fraction = Field(0.0, description="Share of the last step that is kept.")


def slots(rule: GramOrthogonal) -> tuple[str, ...]:
    """The momentum, if there is one."""
    return ("momentum",) if rule.momentum else ()


def apply(
    b: Builder, rule: GramOrthogonal, w: Value, gradient: Value, state: State, lr: Value, step: Value
) -> Updated:
    """One step."""
    return _moved(b, rule, w, orthogonalised(b, gradient, rule.steps), state, lr, step)


def factored(
    b: Builder, rule: GramOrthogonal, w: Value, product: Factors, state: State, lr: Value, step: Value
) -> Updated:
    """The same step, of a gradient that is a product of rows."""
    matrix = orthogonalised_product(b, product, rule.steps)
    return _moved(b, rule, w, b.reshape(matrix, w.type.shape), state, lr, step)


def _moved(
    b: Builder, rule: GramOrthogonal, w: Value, matrix: Value, state: State, lr: Value, step: Value
) -> Updated:
    if not rule.weight_decay:
        # As a plain step it is one kernel, into which a product of rows goes as it is.
        plain = Sgd(lr=rule.lr, momentum=rule.momentum)
        return sgd.apply(b, plain, w, matrix, state, b.mul(lr, size_of(rule, w)), step)
    following: dict[str, Value] = {}
    if rule.momentum:
        matrix = following["momentum"] = b.add(b.mul(state["momentum"], rule.momentum), matrix)
    return Updated(moved(b, rule, w, matrix, lr), following)


GRAM_ORTHOGONAL = UpdateKind(
    "gram_orthogonal",
    GramOrthogonal,
    slots,
    apply,
    factored=lambda _: factored,
    decay=lambda rule: rule.weight_decay,
    instead=instead,
)
