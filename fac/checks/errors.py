"""FAC302, FAC303, FAC305: how errors flow from the loss to the layers that learn."""

from __future__ import annotations

from collections.abc import Iterator

from fac.checks.places import by_origin, has_weights, head, short_hand, target, wired, written
from fac.diagnostics import Diagnostic, Edit, Fix, Rule, Severity
from fac.program.flow import Flow
from fac.program.lower import kind_of
from fac.program.program import LOSS, Program, Route

UNREACHED_PARAMETER = Rule("FAC302", "unreached-parameter")
DEAD_ROUTE = Rule("FAC303", "dead-route", Severity.WARNING)
ERROR_CYCLE = Rule("FAC305", "error-cycle")


def unreached_parameter(program: Program) -> Iterator[Diagnostic]:
    """No error reaches a layer whose parameters should learn.

    The error starts at the loss and goes down, exactly or by `through` routes, to whatever the output was computed
    from. A `to` route cuts what comes from above its site and brings the error of its source instead, if there is
    one. A layer that gets no error keeps its initial values for ever, while the loss still falls: random features
    below a trained last layer reach 83 % on Fashion-MNIST, so nobody notices. `trainable: false` says that this is
    meant.

    Bad:

        layers:
          - {kind: linear, name: fc1, out: 32}
          - {kind: relu}
          - {kind: linear, name: side, out: 5}
          - {kind: linear, name: logits, from: relu_1, out: 10}

    Good:

        layers:
          - {kind: linear, name: fc1, out: 32}
          - {kind: relu}
          - {kind: linear, name: logits, from: relu_1, out: 10}
    """
    if not wired(program):
        return
    flow = Flow(program)
    # An error in a cycle is not missing for the layers below: the cycle is the finding.
    reached = flow.reached_from(flow.cyclic)
    # What stands for a block that could not be written out reads less than the block would.
    broken = max((i for i, node in enumerate(program.nodes) if node.fault is not None), default=-1)
    several = program.spec.losses is not None
    for index, node in enumerate(program.nodes):
        if not node.learns or node.name in reached or index < broken:
            continue
        if node.name not in program.readers:
            message = f"no error reaches `{node.name}`, because no layer{' and no loss' * several} reads it"
            where = "in the `of:` of a loss or in a `from:`" if several else "in a `from:`"
            help = f"name it {where}, remove it, or set `trainable: false` on `{node.name}`"
        else:
            message = f"no error reaches `{node.name}`, so it would never learn"
            help = f"bring it one with a `to: {node.name}` route, or set `trainable: false` on it"
        yield UNREACHED_PARAMETER.at(head(node), message, help=help)


def dead_route(program: Program) -> Iterator[Diagnostic]:
    """Nobody needs the error that this route delivers.

    A route is there so that a layer can learn: its error has to arrive at the output of a layer whose parameters are
    trained, or above one. It does not where the first layer of the network passes an error on to the input, where
    the layer that is fed and all below it have `trainable: false`, and where a `to` route brings another error in
    the place of this one. Then the route is never computed, and its matrix never learns, so the file promises a
    feedback that the training does not have. Of two routes that make each other superfluous the one that is cut is
    reported.

    Bad, where `fc1` reads the input:

        feedback:
          routes:
            - {through: fc1, matrix: {kind: random}}

    Bad, where the `to` route cuts what comes through `fc2`:

        feedback:
          routes:
            - {through: fc2, matrix: {kind: random}}
            - {to: fc1, matrix: {kind: random}}

    Good:

        feedback:
          routes:
            - {through: fc2, matrix: {kind: random}}
    """
    if not wired(program):
        return
    flow = Flow(program)
    last = {route.node: route.origin for route in program.routes}
    for origin, routes in by_origin(program.routes).items():
        reasons = [dead(flow, route) for route in routes]
        # A glob may well cover the first layer, too.
        if not all(reasons):
            continue
        hand = short_hand(program, routes[0])
        verb = "passes" if routes[0].through else "brings"
        if hand is None:
            message = f"nobody needs the error that this route {verb} {reasons[0]}"
            # The matrices of a layer are numbered: without this one those behind it would have other names, and
            # be drawn from other streams.
            renames = any(last[route.node] != origin for route in routes if route.tensors)
            fix = None if renames else Fix("remove the route", (Edit(origin, None),))
            yield DEAD_ROUTE.at(target(routes[0]), message, help="remove the route", fix=fix)
        elif _cut_by_routes(flow, routes):
            rule = kind_of("fac.rules", hand).name
            message = f"nobody needs the errors that `{rule}` {verb}, for example {reasons[0]}"
            yield DEAD_ROUTE.at(
                (*origin, "rule"), message, help=f"remove `{rule}`, or the routes that cut it off"
            )


def _cut_by_routes(flow: Flow, routes: list[Route]) -> bool:
    """Whether routes that are written out leave nothing to those of a short-hand.

    Frozen layers do that, too, but then the short-hand says what holds once they learn.
    """
    below = {name for r in routes if r.through for name in flow.program.by_name[r.node].inputs}
    cutting = [r for name in below & flow.cut for r in flow.brought[name] if not r.add]
    return bool(cutting) and all(short_hand(flow.program, r) is None for r in cutting)


def dead(flow: Flow, route: Route) -> str:
    """Where the error would have gone, and why it is not needed; empty if it is, or if that is unknown."""
    if not route.through:
        if route.site is None or route.site in flow.needed:
            return ""
        return f"to the output of `{route.site}`: {_why(flow, route.site)}"
    node = flow.program.by_name.get(route.node)
    if node is None or not has_weights(node):
        return ""
    if any(name in flow.needed and name not in flow.cut for name in node.inputs):
        return ""
    below = node.inputs[0]
    if below in flow.needed:
        return f"from `{node.name}` to `{below}`: a `to` route cuts it there"
    if below in flow.program.inputs:
        return f"from `{node.name}` to the input: nothing there learns"
    return f"from `{node.name}` to `{below}`: {_why(flow, below)}"


def _why(flow: Flow, name: str) -> str:
    if name in flow.program.needed:
        return "`to` routes bring other errors to the layers there and below"
    node = flow.program.by_name.get(name)
    if node is not None and node.stops:
        return "it passes none on"
    return "no layer there or below learns"


def error_cycle(program: Program) -> Iterator[Diagnostic]:
    """An error depends on itself.

    A route may bring any error to any layer as long as the one can be computed before the other. The error of a
    layer is made from the errors of the layers that read it, so a route from a layer below its target goes round in
    a circle, unless another route cuts the way in between. No order of computation exists for such a step. The
    error of the loss at the output feeds the layers below the last; the last one receives it anyway. Each circle is
    reported at one route that closes it; of thousands of circles in a network of thousands of layers the first.

    Bad, where `fc2` reads `fc1`:

        feedback:
          routes:
            - {to: fc2, from: fc1, matrix: {kind: random}}

    Good:

        feedback:
          routes:
            - {to: fc1, from: fc2, matrix: {kind: random}}
    """
    if not wired(program):
        return
    flow = Flow(program)
    cycles = flow.cycles
    together = by_origin(program.routes) if cycles else {}
    for number, (route, names) in enumerate(cycles, 1):
        hand = short_hand(program, route)
        # The other routes of a glob may be right: what is wrong is that it matches this layer, too.
        by_glob = hand is None and len(together[route.origin]) > 1
        if hand is not None:
            path = (*route.origin, "rule")
        else:
            path = target(route) if by_glob or route.source == LOSS else (*route.origin, "from")
        if len(names) == 1:
            message = f"the error at `{names[0]}` would be made from itself"
        else:
            way = " -> ".join(_shortened((names[0], *reversed(names))))
            message = f"errors run in a circle: {way}"
        if by_glob:
            glob = written(program.spec, path)
            help = f"`{glob}` also matches `{route.node}`: name the layers, or narrow the glob"
        elif route.source == LOSS:
            help = f"remove the route: the loss reaches `{names[0]}` without it"
        else:
            help = f"take the error from a layer above `{route.site}`, or from `loss`"
        if number == len(cycles) and not flow.all_cycles:
            help += "; there are more: in a network of this size only the first cycles are told"
        yield ERROR_CYCLE.at(path, message, help=help)


def _shortened(names: tuple[str, ...]) -> list[str]:
    """Names in backticks. Long ways round lose their middle."""
    quoted = [f"`{name}`" for name in names]
    return quoted if len(quoted) <= 8 else [*quoted[:4], "...", *quoted[-3:]]
