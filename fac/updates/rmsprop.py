"""RMSprop (Tieleman and Hinton 2012), in the convention of torch.optim: `eps` is added outside of the root."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fac.program.kinds import State, Updated, UpdateKind
from fac.spec.updates import Rule
from fac.step.builder import Builder
from fac.step.ir import Value
from fac.updates.sgd import Fraction, NonNegative


class RmsProp(Rule):
    """v = alpha * v + (1 - alpha) * g^2; u = g / (sqrt(v) + eps); m = momentum * m + u; w -= lr * m."""

    rule: Literal["rmsprop"] = "rmsprop"
    alpha: Fraction = Field(0.99, description="Decay of the mean of squared gradients.")
    eps: Annotated[float, Field(gt=0)] = Field(1e-8, description="Added to the root of that mean.")
    centered: bool = Field(False, description="Take the square of the mean gradient from that mean.")
    momentum: Fraction = Field(0.0, description="Share of the last step that is kept.")
    weight_decay: NonNegative = Field(0.0, description="L2 decay, added to the gradient.")


def slots(rule: RmsProp) -> tuple[str, ...]:
    """The mean of squared gradients, and the mean of gradients and the momentum if they are used."""
    return ("square", *(["mean"] if rule.centered else []), *(["momentum"] if rule.momentum else []))


def apply(
    b: Builder, rule: RmsProp, w: Value, gradient: Value, state: State, lr: Value, step: Value
) -> Updated:
    """One step. The mean of squares starts at zero and is not corrected for it."""
    g = b.add(gradient, b.mul(w, rule.weight_decay)) if rule.weight_decay else gradient
    square = b.add(b.mul(state["square"], rule.alpha), b.mul(b.mul(g, g), 1 - rule.alpha))
    following, spread = {"square": square}, square
    if rule.centered:
        mean = following["mean"] = b.add(b.mul(state["mean"], rule.alpha), b.mul(g, 1 - rule.alpha))
        # Never below zero but for rounding, of which a root makes NaN.
        spread = b.maximum(b.sub(square, b.mul(mean, mean)), 0.0)
    direction = b.div(g, b.add(b.sqrt(spread), rule.eps))
    if rule.momentum:
        direction = b.add(b.mul(state["momentum"], rule.momentum), direction)
        following["momentum"] = direction
    updated = b.sub(w, b.mul(direction, lr))
    b.mark(
        "rmsprop",
        {"parameter": w, "gradient": gradient, "lr": lr, **state},
        {"parameter": updated, **following},
        {
            "alpha": rule.alpha,
            "eps": rule.eps,
            "momentum": rule.momentum,
            "weight_decay": rule.weight_decay,
        },
    )
    return Updated(updated, following)


RMSPROP = UpdateKind("rmsprop", RmsProp, slots, apply)
