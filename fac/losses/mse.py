"""Mean squared error."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from fac.losses.means import counted, mean
from fac.program.kinds import LossKind
from fac.program.program import Shape
from fac.spec.layers import Loss
from fac.step.builder import Builder
from fac.step.ir import Value

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Mse(Loss):
    """The mean of (z - y)^2 over samples and outputs; its error at the output is 2 (z - y) / (N C)."""

    kind: Literal["mse"] = "mse"


def forward(b: Builder, loss: Mse, output: Value, y: Value, kept: Value | None = None) -> Value:
    """A scalar from outputs and targets of one shape."""
    residual = b.sub(output, y)
    return mean(b, b.mul(residual, residual), kept)


def constant(loss: Mse, y: NDArray[Any], output: Shape) -> float:
    """The variance of the targets over the samples, averaged over the outputs, which their mean as output has."""
    return float(y.var(axis=0, dtype="float64").mean())


def aim(loss: Mse) -> Callable[[Builder, Value, Value], Value]:
    """The targets themselves."""
    return lambda b, output, y: y


MSE = LossKind("mse", Mse, False, forward, constant, weight=counted, masks=True, aim=aim)
