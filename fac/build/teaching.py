"""What full matrices would learn from in the places of routes, by exact errors: their mean gradients over a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from fac.backend import Compiled, Reading
from fac.build.alone import alone
from fac.build.routing import Routing
from fac.build.trace import Trace
from fac.passes import optimise
from fac.program.program import Program, Route
from fac.spec.feedback import Routing as Section
from fac.step.ir import Phase, Value

OF = "taught:"
"""In front of the prefix of a matrix: the names of layers and arrays are taken by the network itself."""


def exact(program: Program) -> Program:
    """The same network, with what its rules freeze, without a route: every error is that of the loss.

    Nothing is measured or anchored in it, and initial weights are those that the spec draws.
    """
    train = program.spec.train.model_copy(update={"anchor": None, "prealign": None})
    spec = program.spec.model_copy(update={"feedback": Section(), "probes": (), "train": train})
    return replace(program, spec=spec, routes=())


def teaching(program: Program, compiled: Compiled, routes: Sequence[Route]) -> Compiled:
    """A compiled spec whose probe gives an array [reads, writes] for each matrix of the routes, by its prefix.

    It is the gradient of a full matrix past which the exact error would go: on a `through` route that of the weight,
    d^T x, on a `to` route e^T h, with e the error of the source and h the value of the site. Of a matrix with several
    routes the sum; of one that no error reaches there is none.

    Args:
        program: see `exact`.
        compiled: what else it becomes.
        routes: of the network with routes; their ends are known.

    Raises:
        NoDerivativeError: a layer on the way of an error has no derivative.
    """
    trace = Trace(program, training=True)
    routing, b, found = Routing(trace, trace.loss()), trace.b, dict[str, Value]()
    for route in routes:
        signals = routing.signals(route)
        if signals is None:
            continue
        assert route.ends is not None
        prefix = route.ends.prefix
        with b.at(route.node, Phase.PROBE):
            gradient = signals.taught(b, signals.error)
            found[prefix] = b.add(found[prefix], gradient) if prefix in found else gradient
    named = {OF + prefix: b.named(value, OF + prefix) for prefix, value in found.items()}
    function = optimise(b.finish("probe", {"loss": b.constant(0.0), **named}), program.disabled)
    reading = Reading({name: name.removeprefix(OF) for name in named}, lambda arrays, step, kept: {})
    return alone(compiled, function, readings=(reading,))
