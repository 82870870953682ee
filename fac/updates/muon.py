"""Muon (Jordan 2024): momentum, orthogonalised; for matrices in front of which an error crosses another weight."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import Field

from fac.program.kinds import State, Unused, Updated, UpdateKind
from fac.program.program import Program
from fac.step.builder import Builder
from fac.step.factors import Factors
from fac.step.ir import Value
from fac.updates.orthogonal import Orthogonal, instead, moved, orthogonalised, orthogonalised_product
from fac.updates.sgd import Fraction


class Muon(Orthogonal):
    """m = momentum * m + g; w -= lr * size * NS(m), or NS(g + momentum * m) with Nesterov, after decay.

    NS makes the singular values of a matrix about 1. Kernels are matrices [out, in * kernel]. `rest` moves what is no
    weight between hidden layers: biases, norms, embeddings, and weights that the loss reaches through no other weight.
    """

    rule: Literal["muon"] = "muon"
    momentum: Fraction = Field(0.95, description="Share of the last step that is kept.")
    nesterov: bool = Field(True, description="Look ahead along the momentum.")


def slots(rule: Muon) -> tuple[str, ...]:
    """The momentum, if there is one."""
    return ("momentum",) if rule.momentum else ()


def unused(rule: Muon, program: Program) -> Iterable[Unused]:
    """Nesterov's form of no momentum."""
    if rule.nesterov and not rule.momentum:
        yield Unused("nesterov", "without `momentum`", "remove it, or set a `momentum`")


def apply(b: Builder, rule: Muon, w: Value, gradient: Value, state: State, lr: Value, step: Value) -> Updated:
    """One step."""
    following: dict[str, Value] = {}
    direction = gradient
    if rule.momentum:
        momentum = b.add(b.mul(state["momentum"], rule.momentum), gradient)
        following["momentum"] = momentum
        direction = b.add(gradient, b.mul(momentum, rule.momentum)) if rule.nesterov else momentum
    return Updated(moved(b, rule, w, orthogonalised(b, direction, rule.steps), lr), following)


def factored(
    b: Builder, rule: Muon, w: Value, product: Factors, state: State, lr: Value, step: Value
) -> Updated:
    """One step without momentum, of a gradient that is a product of rows."""
    matrix = orthogonalised_product(b, product, rule.steps)
    return Updated(moved(b, rule, w, b.reshape(matrix, w.type.shape), lr), {})


MUON = UpdateKind(
    "muon",
    Muon,
    slots,
    apply,
    factored=lambda rule: None if rule.momentum else factored,
    decay=lambda rule: rule.weight_decay,
    instead=instead,
    unused=unused,
)
