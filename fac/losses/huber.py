"""Huber loss: squared for small residuals, absolute for large ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from fac.losses.means import counted, mean
from fac.program.kinds import LossKind
from fac.program.program import Shape
from fac.spec.layers import Loss
from fac.step.builder import Builder
from fac.step.ir import Value

if TYPE_CHECKING:
    from numpy.typing import NDArray

HALVINGS = 60
"""After which the interval that holds the best constant is one rounding error wide."""


class Huber(Loss):
    """The mean of r^2 / 2 where |r| <= delta, else delta (|r| - delta / 2), r = z - y, over samples and outputs.

    Its error at the output is r / (N C), limited to delta / (N C).
    """

    kind: Literal["huber"] = "huber"
    delta: Annotated[float, Field(gt=0)] = Field(1.0, description="From which residual on it is absolute.")


def forward(b: Builder, loss: Huber, output: Value, y: Value, kept: Value | None = None) -> Value:
    """A scalar from outputs and targets of one shape: c (r - c / 2), c the limited residual, is both branches."""
    residual = b.sub(output, y)
    limited = b.clamp(residual, -loss.delta, loss.delta)
    halves = b.mul(limited, b.sub(residual, b.mul(limited, 0.5)))
    return mean(b, halves, kept)


def constant(loss: Huber, y: NDArray[Any], output: Shape) -> float:
    """That of the output at which the limited residuals cancel, by bisection: their sum falls as it grows."""
    import numpy as np

    targets = y.astype(np.float64)
    low, high = targets.min(0), targets.max(0)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        above = np.clip(targets - middle, -loss.delta, loss.delta).sum(0) > 0
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    residual = targets - (low + high) / 2
    limited = np.clip(residual, -loss.delta, loss.delta)
    return float((limited * (residual - limited / 2)).mean())


HUBER = LossKind("huber", Huber, False, forward, constant, weight=counted, masks=True)
