"""Weight mirror: B learns from what the forward weight makes of noise (Akrout et al. 2019, arXiv 1904.05391).

With rows x of independent normal numbers and y = W x, the mean of y x^T is W: B comes to W^T by correlations of what
the layer reads and makes, without data and without an error. The paper sends noise through the layer's activation, too,
whose slope then is a factor on every row of B; here y is the product alone, so that B comes to W^T itself.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from fac.feedback.oja import Share
from fac.program.kinds import Learned, LearningKind, Signals, State
from fac.spec.feedback import Learning
from fac.spec.train import Positive
from fac.step.builder import Builder


class WeightMirror(Learning):
    """B <- (1 - rate) B + rate * (mean of x y^T over rows of noise x, y = W x), which is W^T in the long run.

    Its relative error then is about sqrt(rate / (2 - rate) * n / rows), n the number of inputs of the layer.
    """

    rule: Literal["weight_mirror"] = "weight_mirror"
    rate: Share = Field(0.1, description="How much of B is replaced at each step.")
    rows: Positive = Field(64, description="How many rows of noise a layer is given at each step.")


def full(b: Builder, rule: Any, state: State, signals: Signals) -> Learned:
    """B [reads, writes]; the noise is [rows, writes], what the weight makes of it [rows, reads]."""
    assert signals.weight is not None, "checks refuse what reads the weight on a `to` route"
    _, writes = signals.weight.type.shape
    x = signals.stream.normal(b, (rule.rows, writes))
    seen = b.matmul(b.matmul(x, signals.weight, tb=True), x, ta=True)
    kept = b.mul(state["B"], 1 - rule.rate)
    return Learned("B", b.add(kept, b.mul(seen, rule.rate / rule.rows)), gradient=False)


WEIGHT_MIRROR = LearningKind("weight_mirror", WeightMirror, full=full)
