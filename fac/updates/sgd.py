"""Stochastic gradient descent, heavy-ball momentum and Nesterov's form, in the convention of torch.optim."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field

from fac.program.kinds import Descent, State, Unused, Updated, UpdateKind
from fac.program.program import Program
from fac.spec.updates import Rule
from fac.step.builder import Builder
from fac.step.ir import Value

Fraction = Annotated[float, Field(ge=0, lt=1)]
NonNegative = Annotated[float, Field(ge=0)]


class Sgd(Rule):
    """g += decay * w; m = momentum * m + g; w -= lr * m (or lr * (g + momentum * m) with Nesterov)."""

    rule: Literal["sgd"] = "sgd"
    momentum: Fraction = Field(0.0, description="Share of the last step that is kept.")
    nesterov: bool = Field(False, description="Look ahead along the momentum.")
    weight_decay: NonNegative = Field(0.0, description="L2 decay, added to the gradient.")


def slots(rule: Sgd) -> tuple[str, ...]:
    """The momentum, if there is one."""
    return ("momentum",) if rule.momentum else ()


def unused(rule: Sgd, program: Program) -> Iterable[Unused]:
    """Nesterov's form of no momentum."""
    if rule.nesterov and not rule.momentum:
        yield Unused("nesterov", "without `momentum`", "remove it, or set a `momentum`")


def apply(b: Builder, rule: Sgd, w: Value, gradient: Value, state: State, lr: Value, step: Value) -> Updated:
    """One step. The first one takes the whole gradient, because the momentum starts at zero."""
    g = b.add(gradient, b.mul(w, rule.weight_decay)) if rule.weight_decay else gradient
    following: dict[str, Value] = {}
    direction = g
    if rule.momentum:
        momentum = b.add(b.mul(state["momentum"], rule.momentum), g)
        following["momentum"] = momentum
        direction = b.add(g, b.mul(momentum, rule.momentum)) if rule.nesterov else momentum
    updated = b.sub(w, b.mul(direction, lr))
    b.mark(
        "sgd",
        {"parameter": w, "gradient": gradient, "lr": lr, **state},
        {"parameter": updated, **following},
        {"momentum": rule.momentum, "nesterov": rule.nesterov, "weight_decay": rule.weight_decay},
    )
    return Updated(updated, following)


SGD = UpdateKind(
    "sgd",
    Sgd,
    slots,
    apply,
    descent=lambda rule: Descent(rule.momentum, rule.nesterov),
    decay=lambda rule: rule.weight_decay,
    unused=unused,
)
