"""Oja's subspace rule, made scale-free (learning-rules R9, project form)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from fac.program.kinds import Learned, LearningKind, Signals, State
from fac.spec.feedback import Learning
from fac.step.builder import Builder
from fac.step.ir import Value

TINY = 1e-30
"""Keeps a batch without any error from dividing by zero; far below any |d|^2 that float32 can tell from it."""


class Oja(Learning):
    """P += rate * (s^T d - (s^T s) P) / |d|^2, with s = d P^T. Stable for every rate below 1."""

    rule: Literal["oja"] = "oja"
    rate: Annotated[float, Field(gt=0)] = Field(
        1.0, description="Step as a share of the largest that is stable; not scheduled."
    )


def projected(b: Builder, error: Value, state: State) -> Value:
    """S = d P^T, [N, rank]."""
    return b.label(b.matmul(error, state["P"], tb=True), "projected")


def read(b: Builder, rule: Any, state: State, signals: Signals) -> Learned:
    """The next P [rank, reads] from the error d [N, reads]."""
    p, d = state["P"], signals.error
    s = projected(b, d, state)
    energy = b.label(b.maximum(b.dot(d, d), TINY), "error.energy")
    seen = b.label(b.matmul(s, d, ta=True), "seen")
    held = b.label(b.matmul(b.label(b.matmul(s, s, ta=True), "gram"), p), "held")
    step = b.label(b.div(b.mul(b.sub(seen, held), rule.rate), energy), "P.step")
    return Learned("P", b.add(p, step), gradient=False)


OJA = LearningKind("oja", Oja, read=read)
