"""Feedback operators as whole matrices."""

from __future__ import annotations

from fac.program.kinds import Sweeps
from fac.program.lower import kind_of
from fac.program.program import Route
from fac.step.builder import Builder
from fac.step.ir import Value


def used_matrix(b: Builder, sweeps: Sweeps, route: Route) -> Value | None:
    """What errors are multiplied with on a route, `scale` included; None if its kind does not say.

    [reads, writes] on a `through` route, [writes, reads] on a `to` route.
    """
    kind = kind_of("fac.feedback", route.matrix)
    if kind.matrix is None or route.ends is None:
        return None
    state = {t.part: sweeps.state[t.name] for t in route.tensors}
    weight = sweeps.contraction(route.node).matrix(b) if route.through else None
    whole: Value = kind.matrix(b, route.matrix, route.ends, state, weight)
    return b.mul(whole, route.matrix.scale) if route.matrix.scale != 1 else whole
