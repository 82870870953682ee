"""What layer-wise feedback conserves (arXiv 2306.01870; the equations are derived in fac/program/balance.py).

W [m, k] and b [m] are of a hidden layer, or W is the table of an `embedding`; G = dL/dW and g = dL/db under the
routing. Positively 1-homogeneous layers alone lead to the layer above, of W' [m', m] and G', which passes its error
d [N, m'] down as d F. A direct route sends what it makes of an error e to the value H.

    balance     <W, G> + <b, g> = <F, G'>             on each batch, under every update, whatever F is
                                = <F, H^T e>          on a direct route

    conserved   C = 1/2 |W|^2 + 1/2 |b|^2 - c         grows by lr^2 growth per step of plain SGD
    growth      1/2 (|G|^2 + |g|^2 - q)
    with        c = <F, W'>,      q = 0               F fixed, of any rank
                c = 1/2 |W'|^2,   q = |G'|^2          F = W', which is backpropagation
                c = 1/2 |B|^2,    q = |gB|^2          F = B by `kolen_pollack`, direct or not
                c = 1/2 |Q|^2,    q = |gQ|^2          Q by `kolen_pollack`, be P fixed or by `oja` or `local`

Of kernels, F, W' and G' are the matrices [channels made, all else], whatever the order of axes in which those are kept.
A fixed direct matrix has a <F, W'> only where it brings the error of the layer above, as at the last hidden layer, and
is as large as W': not of a map, each place of which has rows of its own in F and none in a kernel. The `scale` of an
operator multiplies c and q. The last line needs nothing of P, as <F, J> = <Q, gQ> for the P of the step. A route of
`error_scale: sum` brings N times as much, N the number of samples: that multiplies the right side, c and q, and so C is
conserved by steps on as many samples as it is measured on. A parameter that stays is in C, and not in its growth.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field

from fac.probes.matrices import used_matrix
from fac.program.balance import Balance, balances, hidden
from fac.program.kinds import ProbeKind, Sweeps, Unused
from fac.program.lower import kind_of
from fac.program.program import Program, Route
from fac.program.reading import added, is_weight
from fac.spec.train import Probe
from fac.step.builder import Builder
from fac.step.ir import Phase, Value
from fac.step.ops.norms import nonzero


class Conservation(Probe):
    """Per hidden layer between homogeneous layers: a sum of gradients that must vanish, and what SGD conserves."""

    kind: Literal["conservation"] = "conservation"
    neurons: bool = Field(
        False,
        description="Also neuron by neuron, of layers of vectors: the largest `balance` of one, and the root mean "
        "square of what each conserves where the feedback is fixed.",
    )


def build(b: Builder, probe: Any, sweeps: Sweeps) -> Iterator[tuple[str, Value]]:
    """`NODE.balance`, |left - right| over the sum of the absolute values of the terms; `NODE.conserved`, C; its growth.

    `NODE.neurons.balance` and `NODE.neurons.conserved` are of the rows of W and b, and of the columns of F and W'.
    """
    for balance in balances(sweeps.program):
        if balance.faults:
            continue
        with b.at(balance.node.name, Phase.PROBE):
            sides = _sides(b, sweeps, balance)
            if sides is not None:
                yield f"{balance.node.name}.balance", _imbalance(b, *sides)
            if balance.partner is not None:
                yield f"{balance.node.name}.conserved", _conserved(b, sweeps, balance)
                growth = _growth(b, sweeps, balance)
                if growth is not None:
                    yield f"{balance.node.name}.growth", growth
            if probe.neurons and _vectors(balance):
                yield from _neurons(b, sweeps, balance)


def unused(probe: Any, program: Program) -> Iterator[Unused]:
    """The whole probe, where no hidden layer learns. FAC328 says what else keeps it from measuring."""
    known = program.nodes and all(node.shape is not None for node in program.nodes)
    if known and not hidden(program):
        yield Unused("kind", "where no hidden layer learns", "remove it")
    elif known and probe.neurons and not any(map(_vectors, balances(program))):
        yield Unused("neurons", "where no two layers of vectors follow each other", "remove it")


def _sides(b: Builder, sweeps: Sweeps, balance: Balance) -> tuple[list[Value], Value] | None:
    """The terms of the left side, and the right one; None where no error arrives."""
    values = [sweeps.state[t.name] for t in balance.node.tensors]
    gradients = [(value, sweeps.routed(value)) for value in values]
    left = [b.dot(value, gradient) for value, gradient in gradients if gradient is not None]
    right = _right(b, sweeps, balance)
    if not left or right is None:
        return None
    return left, b.dot(*right)


def _right(b: Builder, sweeps: Sweeps, balance: Balance) -> tuple[Value, Value] | None:
    """Two arrays of one shape, whose product is the right side: F and its gradient, or E and H where more is sent."""
    route = balance.route
    if route is not None and added(route):
        signals = sweeps.signals(route)
        if signals is None or signals.way is None:
            return None
        state = {tensor.part: sweeps.state[tensor.name] for tensor in route.tensors}
        sent = kind_of("fac.feedback", route.matrix).apply(b, route.matrix, state, signals)
        return b.mul(sent, _factor(b, route)), signals.way.x
    matrix, gradient = _matrix(b, sweeps, balance), _gradient(b, sweeps, balance)
    if matrix is None or gradient is None:
        return None
    return matrix, gradient if route is None or not route.sums else b.mul(gradient, b.emit("batch_size"))


def _factor(b: Builder, route: Route | None) -> Value | float:
    """What a route multiplies with, besides its operator."""
    if route is None:
        return 1.0
    return b.mul(b.emit("batch_size"), route.matrix.scale) if route.sums else route.matrix.scale


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
        held = b.mul(b.mul(b.dot(partner, partner), 0.5), _factor(b, route))
    else:
        matrix = _matrix(b, sweeps, balance)
        assert route is not None
        assert matrix is not None
        assert balance.above is not None
        weight = sweeps.contraction(balance.above.name).matrix(b)
        held = b.dot(matrix, weight if route.through else b.transpose(weight, (1, 0)))
        if route.sums:
            held = b.mul(held, b.emit("batch_size"))
    total = b.neg(held)
    for tensor in balance.node.tensors:
        own = sweeps.state[tensor.name]
        total = b.add(total, b.mul(b.dot(own, own), 0.5))
    return total


MEASURES = {
    "balance": "relative imbalance of gradients",
    "conserved": "conserved quantity",
    "growth": "growth of the conserved quantity",
    "neurons.balance": "largest imbalance of a neuron",
    "neurons.conserved": "conserved by neurons",
}


def _growth(b: Builder, sweeps: Sweeps, balance: Balance) -> Value | None:
    """What a step of plain SGD adds to C, over lr^2."""
    assert balance.partner is not None
    found = (sweeps.routed(sweeps.state[tensor.name]) for tensor in balance.node.tensors if tensor.trainable)
    terms = [b.dot(gradient, gradient) for gradient in found if gradient is not None]
    if not terms:
        return None
    if balance.square:
        own = _partner_gradient(b, sweeps, balance)
        if own is None:
            return None
        terms.append(b.neg(b.mul(b.dot(own, own), _factor(b, balance.route))))
    total = terms[0]
    for term in terms[1:]:
        total = b.add(total, term)
    return b.mul(total, 0.5)


def _partner_gradient(b: Builder, sweeps: Sweeps, balance: Balance) -> Value | None:
    """What the partner takes its step by."""
    assert balance.partner is not None
    route = balance.route
    kind = None if route is None else kind_of("fac.feedback", route.matrix)
    signals = None if route is None else sweeps.signals(route)
    if route is None or kind is None or is_weight(route):
        return sweeps.routed(sweeps.state[balance.partner.name])
    if signals is None:
        return None
    state = {tensor.part: sweeps.state[tensor.name] for tensor in route.tensors}
    learnt = kind.learn(b, route.matrix, state, signals)
    return next((each.value for each in learnt if balance.partner.name.endswith(f".{each.tensor}")), None)


def _vectors(balance: Balance) -> bool:
    """Whether neurons keep their places from the layer to the one above: both of vectors, and no other order."""
    above = balance.above
    return (
        above is not None
        and len(balance.node.shape or ()) == 1
        and balance.node.weight is not None
        and above.weight is not None
        and above.weight.writes == balance.node.weight.reads
        and (balance.route is None or balance.route.through)
    )


def _neurons(b: Builder, sweeps: Sweeps, balance: Balance) -> Iterator[tuple[str, Value]]:
    values = [sweeps.state[tensor.name] for tensor in balance.node.tensors]
    pairs = [(value, gradient) for value in values if (gradient := sweeps.routed(value)) is not None]
    both = _right(b, sweeps, balance)
    name = f"{balance.node.name}.neurons"
    if pairs and both is not None:
        right = b.sum(b.mul(*both), (0,))
        difference, size = b.neg(right), _absolute(b, right)
        for value, gradient in pairs:
            term = _by_neuron(b, b.mul(value, gradient))
            difference, size = b.add(difference, term), b.add(size, _absolute(b, term))
        yield f"{name}.balance", b.max_abs(b.div(difference, nonzero(b, size)))
    matrix = _matrix(b, sweeps, balance)
    if balance.partner is not None and not balance.square and matrix is not None:
        assert balance.above is not None
        weight = sweeps.contraction(balance.above.name).matrix(b)
        held = b.neg(b.sum(b.mul(matrix, weight), (0,)))
        for value in values:
            held = b.add(held, b.mul(_by_neuron(b, b.mul(value, value)), 0.5))
        yield f"{name}.conserved", b.div(b.norm(held), b.sqrt(b.count(held.type.shape)))


def _by_neuron(b: Builder, x: Value) -> Value:
    """Sums over all axes but the first: [m] of W [m, k], and of b [m] itself."""
    return b.sum(x, tuple(range(1, len(x.type.shape))))


CONSERVATION = ProbeKind("conservation", Conservation, build, MEASURES, unused=unused)
