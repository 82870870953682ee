"""Synapse-local learning of the reading factor. Its Q learns by `kolen_pollack`.

After the code of Hanut and Kadmon 2025 (arXiv 2502.20580); the gradient is checked in tests/rules/test_normative.py.
"""

from __future__ import annotations

from typing import Any, Literal

from fac.program.kinds import Learned, LearningKind, Signals, State
from fac.spec.feedback import Learning
from fac.step.builder import Builder


class Local(Learning):
    """gP = (x Q)^T d: the gradient of the loss with respect to P, if W were (Q P)^T."""

    rule: Literal["local"] = "local"


def read(b: Builder, rule: Any, state: State, signals: Signals) -> Learned:
    """gP [rank, reads] from x, which is fed, Q [writes, rank] and d [places, reads]."""
    answer = signals.answer(b, b.transpose(state["Q"], (1, 0)))
    return Learned("P", b.matmul(answer, signals.error, ta=True), gradient=True)


LOCAL = LearningKind("local", Local, read=read)
