"""Oja's subspace rule, made scale-free (learning-rules R9, project form)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from fac.program.kinds import Learned, LearningKind, Signals, State
from fac.spec.feedback import Learning
from fac.step.builder import Builder

TINY = 1e-30
"""Keeps a batch without any error from dividing by zero; far below any |d|^2 that float32 can tell from it."""


class Oja(Learning):
    """P += rate * (s^T d - (s^T s) P) / |d|^2, with s = d P^T. Stable for every rate below 1."""

    rule: Literal["oja"] = "oja"
    rate: Annotated[float, Field(gt=0)] = Field(
        1.0, description="Step as a share of the largest that is stable; not scheduled."
    )


def read(b: Builder, rule: Any, state: State, signals: Signals) -> Learned:
    """The next P [rank, reads] from the error d [N, reads]."""
    p, d = state["P"], signals.error
    s = b.matmul(d, p, tb=True)
    energy = b.maximum(b.dot(d, d), TINY)
    seen = b.matmul(s, d, ta=True)
    held = b.matmul(b.matmul(s, s, ta=True), p)
    step = b.div(b.mul(b.sub(seen, held), rule.rate), energy)
    return Learned("P", b.add(p, step), gradient=False)


OJA = LearningKind("oja", Oja, read=read)
