"""Oja's subspace rule (Oja 1989), made scale-free; Hanut and Kadmon 2025 (arXiv 2502.20580) use it for P."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from fac.program.kinds import Learned, LearningKind, Signals, State
from fac.spec.feedback import Learning
from fac.step.builder import Builder
from fac.step.ir import Value

Share = Annotated[float, Field(gt=0, le=1)]


class Oja(Learning):
    """P += rate * (s^T d - (s^T s) P) / |d|^2, with s = d P^T. Stable for every rate below 1.

    With eigenvalues l_i of d^T d the step is stable while rate * l_1 < l_1 + l_2 + ..., the sum being |d|^2: for every
    rate below 1, at 1 unless the error has rank one, above it no longer for every error.
    """

    rule: Literal["oja"] = "oja"
    rate: Share = Field(
        1.0, description="Step as a share of the largest that is stable for every error; not scheduled."
    )


def projected(b: Builder, signals: Signals, state: State) -> Value:
    """S = d P^T, [N, rank]."""
    return b.label(signals.read(b, state["P"]), "projected")


def read(b: Builder, rule: Any, state: State, signals: Signals) -> Learned:
    """The next P [rank, reads] from the error d [N, reads].

    |d|^2 is never formed, so that no error is too small or too large for it: s / |d| is of the order of P, and the
    other |d| divides the small product. Without any error P stays.
    """
    p, d = state["P"], signals.error
    size = b.label(b.norm(d, nonzero=True), "error.norm")
    s = b.label(b.div(projected(b, signals, state), size), "projected.unit")
    seen = b.label(b.div(b.matmul(s, d, ta=True), size), "seen")
    held = b.label(b.matmul(b.label(b.matmul(s, s, ta=True), "gram"), p), "held")
    step = b.label(b.mul(b.sub(seen, held), rule.rate), "P.step")
    return Learned("P", b.add(p, step), gradient=False)


OJA = LearningKind("oja", Oja, read=read)
