"""Kolen-Pollack learning: the feedback matrix takes the step that the forward weight takes.

Kolen and Pollack 1994; Akrout et al. 2019 (arXiv 1904.05391). With equal learning rate and L2 decay the distance to
the transposed weight shrinks by 1 - lr * decay per step; for Q beside a fixed P so does that of Q to W^T P^T.
"""

from __future__ import annotations

from typing import Any, Literal

from fac.feedback.oja import projected
from fac.program.kinds import Learned, LearningKind, Signals, State
from fac.spec.feedback import Learning
from fac.step.builder import Builder


class KolenPollack(Learning):
    """The gradient of W (for B), or its image under P (for Q), moves the feedback too; weight decay aligns them."""

    rule: Literal["kolen_pollack"] = "kolen_pollack"


def full(b: Builder, rule: Any, state: State, signals: Signals) -> Learned:
    """gB = d^T x [reads, writes]: on a `through` route gW, on a `to` route e^T H with H the value that is fed."""
    return Learned("B", signals.taught(b, signals.error), gradient=True)


def write(b: Builder, rule: Any, state: State, signals: Signals) -> Learned:
    """gQ = x^T s [writes, rank], with x what is fed and s = d P^T."""
    s = projected(b, signals, state)
    return Learned("Q", b.transpose(signals.taught(b, s), (1, 0)), gradient=True)


KOLEN_POLLACK = LearningKind("kolen_pollack", KolenPollack, full=full, write=write, follows=True)
