"""Pre-alignment: initial weights for which backpropagation brings, on one batch, what direct routes bring.

From the loss down, the weight W [m, k] above the site of each direct route becomes the least-squares solution of

    D W = E        D [N, m] the true error at what W makes, E [N, k] the error that the route brings to the site,

as small as it can be, and then takes the norm that is asked for. It is exact where the rows of D are
linearly independent; below it, slopes of activations have moved (Launay, Poli and Krzakala 2019, arXiv 1906.04554).
"""

from __future__ import annotations

from dataclasses import dataclass

from fac.build.routing import Routing
from fac.build.trace import Trace
from fac.passes import optimise
from fac.program.prealign import above
from fac.program.program import Node, Program
from fac.program.tensors import Tensor
from fac.step.ir import Function, Value
from fac.step.reverse import Edits, Reverse


@dataclass(frozen=True, slots=True)
class Prealigned:
    """One weight, and what it follows from. Both functions take a batch and the state, and return `output`."""

    weight: Tensor
    """[m, k]."""
    true: Function
    """D [N, m], of tokens [N, T, m]."""
    routed: Function
    """E, as the site has it: [N, k], or other axes that flatten to the same rows."""


def prealigned(program: Program) -> tuple[Prealigned, ...]:
    """Those of a program without errors, in the order in which they are set: from the loss down."""
    return tuple(_pair(program, site, node, weight) for site, node, weight in above(program))


def _pair(program: Program, site: str, node: Node, weight: Tensor) -> Prealigned:
    return Prealigned(weight, _error(program, site, node, true=True), _error(program, site, node, true=False))


def _error(program: Program, site: str, node: Node, *, true: bool) -> Function:
    trace = Trace(program, training=True)
    loss = trace.loss()
    found: Value | None
    if true:
        sweep = Reverse(trace.b, loss, Edits(), frozenset(trace.state.values()))
        found = sweep.cotangent(trace.contraction(node.name).op.result)
    else:
        found = Routing(trace, loss).reverse.cotangent(trace.values[site])
    assert found is not None
    return optimise(trace.b.finish("forward", {"output": found}), program.disabled)
