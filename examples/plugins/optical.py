"""optical.py: direct feedback alignment whose projections a device makes, here a stand-in in NumPy.

Launay et al. 2020 (arXiv 2012.06373): a photonic co-processor multiplies signs of the error with a random matrix that
it alone knows, so large that no memory would hold it. The step stops at its error, hands over the signs, and goes on
with what comes back. To use a device put its driver in the place of `Projector`.

    fac train spec.fac.yaml --plugin optical.py --set 'feedback={rule: optical_dfa}'
"""

from __future__ import annotations

from functools import cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fac.plugin import (
    Builder,
    DType,
    Expansion,
    Matrix,
    MatrixKind,
    Program,
    RuleKind,
    ShapeError,
    ShortHand,
    Signals,
    State,
    Value,
    direct,
    on_host,
    to,
)


class Projector:
    """T [n, reads] of -1, 0 and 1 to T M, M [reads, width] of normal numbers that belong to the device."""

    def __init__(self, width: int) -> None:
        self.width = width

    def __call__(self, signs: NDArray[Any]) -> NDArray[Any]:
        """The same for the same signs: the step has to be one that can be made again."""
        return signs @ medium(signs.shape[1], self.width)


@cache
def medium(reads: int, width: int) -> NDArray[np.float64]:
    """What scatters the light."""
    return np.random.default_rng((reads, width)).standard_normal((reads, width))


@cache
def device(width: int) -> str:
    """A projector that makes so many numbers, by the name that a step calls."""
    return on_host(f"optical.{width}", Projector(width))


class Optical(Matrix):
    """F(e) = |e|_1 / |T|_1 T(e) M / sqrt(reads width), T = sign(e) where |e| > `threshold` of its mean, else 0."""

    kind: Literal["optical"] = "optical"
    threshold: float = Field(
        0.25, ge=0, lt=1, description="Up to which share of the mean of |e| of a sample no error is heard."
    )


def apply(b: Builder, matrix: Optical, state: State, signals: Signals) -> Value:
    """[places, writes] of the error [places, reads]: signs in the step, the projection on the host."""
    error, way = signals.error, signals.way
    assert way is not None
    reads, width = int(error.type.shape[1]), int(way.x.type.shape[1])  # type: ignore[arg-type]
    size = b.abs(error)
    total = b.sum(size, (1,), keep=True)
    heard = b.cast(b.less(b.mul(total, matrix.threshold / reads), size), DType.FLOAT)
    made = b.host(b.mul(b.sign(error), heard), device(width), width)
    # Signs have lost how large the error is: those of a sample come back as large, taken together, as its error is.
    level = b.div(total, b.maximum(b.sum(heard, (1,), keep=True), 1.0))
    return b.mul(made, b.mul(level, (reads * width) ** -0.5))


def misfit(matrix: Optical, ends: Any) -> ShapeError | None:
    """What comes back goes straight to a layer."""
    if ends.weight is None:
        return None
    return ShapeError("its projections lead straight to a layer", "use it on a `to` route", "kind")


class OpticalFeedback(ShortHand):
    """The error of the output to every layer below a weight, by the device."""

    rule: Literal["optical_dfa"] = "optical_dfa"
    scale: float = Field(1.0, description="Factor on what comes back.")


def expand(rule: OpticalFeedback, program: Program) -> Expansion:
    """A route to each site."""
    made = Optical(scale=rule.scale)
    return Expansion(tuple(to(node, source, made) for node, _, source in direct(rule, program)))


KINDS = (
    MatrixKind("optical", Optical, lambda *_: (), apply, misfit=misfit),
    RuleKind("optical_dfa", OpticalFeedback, expand, changes=True, direct=True),
)
