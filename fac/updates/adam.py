"""Adam, and AdamW, whose decay does not pass through the moments (arXiv 1412.6980, 1711.05101)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fac.program.kinds import State, Updated, UpdateKind
from fac.spec.updates import Rule
from fac.step.builder import Builder
from fac.step.ir import Value
from fac.step.types import DType
from fac.updates.sgd import Fraction, NonNegative


class Moments(Rule):
    """What Adam and AdamW share."""

    beta1: Fraction = Field(0.9, description="Decay of the mean of gradients.")
    beta2: Fraction = Field(0.999, description="Decay of the mean of squared gradients.")
    eps: Annotated[float, Field(gt=0)] = Field(1e-8, description="Added to the root of the second moment.")
    amsgrad: bool = Field(
        False,
        description="Divide by the root of the largest second moment so far (Reddi et al. 2018, arXiv 1904.09237).",
    )


class Adam(Moments):
    """w -= lr * mean / (sqrt(second) + eps), both corrected for their start at zero."""

    rule: Literal["adam"] = "adam"
    weight_decay: NonNegative = Field(0.0, description="L2 decay, added to the gradient.")


class AdamW(Moments):
    """As Adam, but w is first multiplied by 1 - lr * weight_decay."""

    rule: Literal["adamw"] = "adamw"
    weight_decay: NonNegative = Field(0.01, description="Decoupled decay.")


def slots(rule: Adam | AdamW) -> tuple[str, ...]:
    """Running means of the gradient and of its square, and the largest of the latter."""
    return ("mean", "square", "largest") if rule.amsgrad else ("mean", "square")


def apply(
    b: Builder, rule: Adam | AdamW, w: Value, gradient: Value, state: State, lr: Value, step: Value
) -> Updated:
    """One step; `step` counts from 0, the corrections from 1."""
    g, decoupled = gradient, isinstance(rule, AdamW)
    start = w
    if rule.weight_decay and decoupled:
        start = b.mul(w, b.sub(1.0, b.mul(lr, rule.weight_decay)))
    elif rule.weight_decay:
        g = b.add(gradient, b.mul(w, rule.weight_decay))
    mean = b.add(b.mul(state["mean"], rule.beta1), b.mul(g, 1 - rule.beta1))
    square = b.add(b.mul(state["square"], rule.beta2), b.mul(b.mul(g, g), 1 - rule.beta2))
    following = {"mean": mean, "square": square}
    if rule.amsgrad:
        following["largest"] = b.maximum(state["largest"], square)
    t = b.add(b.cast(step, DType.FLOAT), 1.0)
    correction1 = b.sub(1.0, b.pow(rule.beta1, t))
    correction2 = b.sub(1.0, b.pow(rule.beta2, t))
    denominator = b.add(b.div(b.sqrt(following.get("largest", square)), b.sqrt(correction2)), rule.eps)
    updated = b.sub(start, b.div(b.mul(mean, b.div(lr, correction1)), denominator))
    b.mark(
        "adam",
        {"parameter": w, "gradient": gradient, "lr": lr, "step": step, **state},
        {"parameter": updated, **following},
        {
            "beta1": rule.beta1,
            "beta2": rule.beta2,
            "eps": rule.eps,
            "weight_decay": rule.weight_decay,
            "decoupled": decoupled,
        },
    )
    return Updated(updated, following)


MOMENTS = "beta1", "beta2"
ADAM = UpdateKind("adam", Adam, slots, apply, moments=MOMENTS)
ADAMW = UpdateKind("adamw", AdamW, slots, apply, decay=lambda rule: rule.weight_decay, moments=MOMENTS)
