"""Kolen-Pollack learning: the feedback matrix takes the step that the forward weight takes (learning-rules R3, R9)."""

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
    """gB = gW on a `through` route; on a `to` route gB = H^T e, H the value that is fed (DKP)."""
    gradient = signals.weight_gradient() if signals.weight is not None else None
    if gradient is None:
        if signals.weight is not None:
            gradient = b.matmul(signals.error, signals.receiver, ta=True)
        else:
            gradient = b.matmul(signals.receiver, signals.error, ta=True)
    return Learned("B", gradient, gradient=True)


def write(b: Builder, rule: Any, state: State, signals: Signals) -> Learned:
    """gQ = x^T s [writes, rank], with x [N, writes] the receiver and s = d P^T."""
    s = projected(b, signals.error, state)
    return Learned("Q", b.matmul(signals.receiver, s, ta=True), gradient=True)


KOLEN_POLLACK = LearningKind("kolen_pollack", KolenPollack, full=full, write=write)
