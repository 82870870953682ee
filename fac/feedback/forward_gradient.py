"""Learned direct feedback: B turns to where forward gradients say that the error of a site points.

With random signs v at a site, the change of a sample's loss along v, <g, v>, is found in forward mode: the network is
run on with a tangent, and no weight is read the other way round. As the mean of v v^T is the identity, that of
<g, v> v is the gradient g: a forward gradient (Baydin et al. 2022, arXiv 2202.08587), one direction a sample. It is too
noisy to learn from, by a factor of about sqrt(units), but B averages over all samples and steps that it sees.

B descends -c, c the cosine between all that it sends and all forward gradients of the batch, each taken as one vector:

    U = E B^T    G = diag(<g_n, v_n>) V    c = <U, G> / (|U| |G|)
    dL/dU = -(G / |G| - c U / |U|) / |U|    dL/dB = (dL/dU)^T E

In the mean c is largest where B is the least-squares prediction of g from e, up to a factor. It says nothing of that
factor: <dL/dB, B> = 0. So B keeps its size, which otherwise would grow with every step and with it all that is sent:

    D = B - rate |B|^2 dL/dB    B <- |B| D / |D|

Caillon et al. (ICLR 2026), GrAPE, estimate by forward mode, align by a cosine and add occasional steps of
backpropagation; of that paper the abstract was read, and the equations here are our own.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from fac.feedback.oja import Share, projected
from fac.program.kinds import Learned, LearningKind, Signals, State
from fac.spec.feedback import Learning
from fac.step.builder import Builder
from fac.step.ir import Value


class ForwardGradient(Learning):
    """On a `to` route: turn B (or Q) so that what is sent points where forward gradients point, by their cosine.

    Each route runs the network on from its site once more, with a tangent. B keeps its size.
    """

    rule: Literal["forward_gradient"] = "forward_gradient"
    rate: Share = Field(0.03, description="Step as a share of the size of B, times the slope; not scheduled.")


def full(b: Builder, rule: Any, state: State, signals: Signals) -> Learned:
    """The next B [reads, writes], with dL/dB = E^T dL/dU, from the error E [places, reads]."""
    error, matrix = signals.error, state["B"]
    slope = b.matmul(error, _uphill(b, signals, error, matrix), ta=True)
    return Learned("B", _turned(b, matrix, slope, rule.rate), gradient=False)


def write(b: Builder, rule: Any, state: State, signals: Signals) -> Learned:
    """The next Q [writes, rank], with dL/dQ = (dL/dU)^T s, s = d P^T in the place of the error."""
    s, matrix = projected(b, signals, state), state["Q"]
    uphill = _uphill(b, signals, s, b.transpose(matrix, (1, 0)))
    return Learned("Q", _turned(b, matrix, b.matmul(uphill, s, ta=True), rule.rate), gradient=False)


def _uphill(b: Builder, signals: Signals, rows: Value, matrix: Value) -> Value:
    """dL/dU [places, writes] of U, what rows [places, r] send past [r, writes]."""
    sent = signals.sent(b, rows, matrix)
    signs = signals.stream.sign(b, sent.type.shape)
    estimate = b.label(b.mul(signs, signals.slope(b, signs)), "forward_gradient")
    size, whole = b.norm(sent, nonzero=True), b.norm(estimate, nonzero=True)
    u, g = b.div(sent, size), b.div(estimate, whole)
    cosine = b.label(b.dot(u, g), "cosine")
    return b.div(b.sub(b.mul(u, cosine), g), size)


def _turned(b: Builder, matrix: Value, slope: Value, rate: float) -> Value:
    """A step against the slope, at the size of the matrix."""
    square = b.dot(matrix, matrix)
    moved = b.sub(matrix, b.mul(slope, b.mul(square, rate)))
    return b.mul(b.div(moved, b.norm(moved, nonzero=True)), b.sqrt(square))


FORWARD_GRADIENT = LearningKind("forward_gradient", ForwardGradient, full=full, write=write)
