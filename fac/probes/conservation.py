"""What layer-wise feedback conserves (arXiv 2306.01870; the equations are derived in fac/program/balance.py).

W [m, k] and b [m] are of a hidden layer, or W is the table of an `embedding`; G = dL/dW and g = dL/db under the
routing. Positively 1-homogeneous layers alone lead to the layer above, of W' [m', m] and G', which passes its error
d [N, m'] down as d F. A direct route sends what it makes of an error e to the value H.

    balance     <W, G> + <b, g> = <F, G'>             on each batch, under every update, whatever F is
                                = <F, H^T e>          on a direct route

    conserved   C = 1/2 |W|^2 + 1/2 |b|^2 - c         grows by lr^2 / 2 (|G|^2 + |g|^2 - q) per step of plain SGD
    with        c = <F, W'>,      q = 0               F fixed, of any rank
                c = 1/2 |W'|^2,   q = |G'|^2          F = W', which is backpropagation
                c = 1/2 |B|^2,    q = |gB|^2          F = B by `kolen_pollack`, direct or not
                c = 1/2 |Q|^2,    q = |gQ|^2          Q by `kolen_pollack`, be P fixed or by `oja` or `local`

Of kernels, F, W' and G' are the matrices [channels made, all else], whatever the order of axes in which those are kept.
A fixed direct matrix has a <F, W'> only where it brings the error of the layer above, as at the last hidden layer, and
is as large as W': not of a map, each place of which has rows of its own in F and none in a kernel. The `scale` of an
operator multiplies c and q. The last line needs nothing of P, as <F, J> = <Q, gQ> for the P of the step.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from fac.probes.matrices import used_matrix
from fac.program.balance import Balance, balances, hidden
from fac.program.kinds import ProbeKind, Sweeps, Unused
from fac.program.program import Program
from fac.spec.train import Probe
from fac.step.builder import Builder
from fac.step.ir import Phase, Value
from fac.step.ops.norms import nonzero


class Conservation(Probe):
    """Per hidden layer between homogeneous layers: a sum of gradients that must vanish, and what SGD conserves."""

    kind: Literal["conservation"] = "conservation"


def build(b: Builder, probe: Any, sweeps: Sweeps) -> Iterator[tuple[str, Value]]:
    """`NODE.balance`, |left - right| over the sum of the absolute values of the terms, and `NODE.conserved`, C."""
    for balance in balances(sweeps.program):
        if balance.faults:
            continue
        with b.at(balance.node.name, Phase.PROBE):
            sides = _sides(b, sweeps, balance)
            if sides is not None:
                yield f"{balance.node.name}.balance", _imbalance(b, *sides)
            if balance.partner is not None:
                yield f"{balance.node.name}.conserved", _conserved(b, sweeps, balance)


def unused(probe: Any, program: Program) -> Iterator[Unused]:
    """The whole probe, where no hidden layer learns. FAC328 says what else keeps it from measuring."""
    known = program.nodes and all(node.shape is not None for node in program.nodes)
    if known and not hidden(program):
        yield Unused("kind", "where no hidden layer learns", "remove it")


def _sides(b: Builder, sweeps: Sweeps, balance: Balance) -> tuple[list[Value], Value] | None:
    """The terms of the left side, and the right one; None where no error arrives."""
    values = [sweeps.state[t.name] for t in balance.node.tensors]
    gradients = [(value, sweeps.routed(value)) for value in values]
    left = [b.dot(value, gradient) for value, gradient in gradients if gradient is not None]
    matrix, gradient = _matrix(b, sweeps, balance), _gradient(b, sweeps, balance)
    if not left or matrix is None or gradient is None:
        return None
    return left, b.dot(matrix, gradient)


def _matrix(b: Builder, sweeps: Sweeps, balance: Balance) -> Value | None:
    """F."""
    if balance.route is not None:
        return used_matrix(b, sweeps, balance.route)
    assert balance.above is not None
    return sweeps.contraction(balance.above.name).matrix(b)


def _gradient(b: Builder, sweeps: Sweeps, balance: Balance) -> Value | None:
    """What F would have for a gradient, laid out as F: G' [reads, writes], or H^T e [writes, reads]."""
    route = balance.route
    if route is None or route.through:
        assert balance.above is not None
        product = sweeps.contraction(balance.above.name)
        gradient = sweeps.routed(product.weight)
        return None if gradient is None else product.flat(b, gradient)
    signals = sweeps.signals(route)
    if signals is None:
        return None
    return b.transpose(signals.taught(b, signals.error), (1, 0))


def _imbalance(b: Builder, left: list[Value], right: Value) -> Value:
    """In [0, 1]; 0 where every term is zero, because the equation holds there."""
    difference, size = b.neg(right), _absolute(b, right)
    for term in left:
        difference, size = b.add(difference, term), b.add(size, _absolute(b, term))
    return b.div(_absolute(b, difference), nonzero(b, size))


def _absolute(b: Builder, x: Value) -> Value:
    return b.maximum(x, b.neg(x))


def _conserved(b: Builder, sweeps: Sweeps, balance: Balance) -> Value:
    """C."""
    assert balance.partner is not None
    partner, route = sweeps.state[balance.partner.name], balance.route
    if balance.square:
        held = b.mul(b.dot(partner, partner), 0.5 if route is None else 0.5 * route.matrix.scale)
    else:
        matrix = _matrix(b, sweeps, balance)
        assert route is not None
        assert matrix is not None
        assert balance.above is not None
        weight = sweeps.contraction(balance.above.name).matrix(b)
        held = b.dot(matrix, weight if route.through else b.transpose(weight, (1, 0)))
    total = b.neg(held)
    for tensor in balance.node.tensors:
        own = sweeps.state[tensor.name]
        total = b.add(total, b.mul(b.dot(own, own), 0.5))
    return total


MEASURES = {"balance": "relative imbalance of gradients", "conserved": "conserved quantity"}
CONSERVATION = ProbeKind("conservation", Conservation, build, MEASURES, unused=unused)
