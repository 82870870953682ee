"""Normative learning: gradient descent of 1/2 |W^T - Q P|^2 in P and Q. Reads the weight.

Hanut and Kadmon 2025 (arXiv 2502.20580, v4); the gradients are checked in tests/rules/test_normative.py.
"""

from __future__ import annotations

from typing import Any, Literal

from fac.program.kinds import Learned, LearningKind, Signals, State
from fac.spec.feedback import Learning
from fac.step.builder import Builder
from fac.step.ir import Value


class Normative(Learning):
    """P and Q track the forward weight: low-rank weight transport, without data."""

    rule: Literal["normative"] = "normative"


def read(b: Builder, rule: Any, state: State, signals: Signals) -> Learned:
    """gP = Q^T Q P - (W Q)^T, [rank, reads]."""
    q, w = state["Q"], _weight(signals)
    own = b.matmul(b.matmul(q, q, ta=True), state["P"])
    return Learned("P", b.sub(own, b.matmul(q, w, ta=True, tb=True)), gradient=True)


def write(b: Builder, rule: Any, state: State, signals: Signals) -> Learned:
    """gQ = Q P P^T - W^T P^T, [writes, rank]."""
    p, w = state["P"], _weight(signals)
    own = b.matmul(state["Q"], b.matmul(p, p, tb=True))
    return Learned("Q", b.sub(own, b.matmul(w, p, ta=True, tb=True)), gradient=True)


def _weight(signals: Signals) -> Value:
    assert signals.weight is not None, "checks refuse `normative` on a `to` route"
    return signals.weight


NORMATIVE = LearningKind("normative", Normative, read=read, write=write, tracks=True)
