"""FAC209, FAC304, FAC306, FAC307, FAC309: which routes there are, and which of them meet."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from fac.checks.places import (
    Guess,
    elsewhere,
    excluded,
    has_parameters,
    has_weights,
    short_hand,
    target,
    written,
)
from fac.diagnostics import Diagnostic, Edit, Fix, Path, Rule, Severity
from fac.program.globs import Names, is_glob
from fac.program.lower import kind_of
from fac.program.program import LOSS, Node, Program, Route
from fac.spec.feedback import Subspace

GLOB_MATCHES_NOTHING = Rule("FAC209", "glob-matches-nothing")
ROUTE_WITHOUT_WEIGHT = Rule("FAC304", "route-without-weight")
CONFLICTING_ROUTES = Rule("FAC306", "conflicting-routes")
UNUSED_SUBSPACE = Rule("FAC307", "unused-subspace", Severity.WARNING)
SEVERAL_ROUTES_AT_ONE_VALUE = Rule("FAC309", "several-routes-at-one-value", Severity.WARNING)


def glob_matches_nothing(program: Program) -> Iterator[Diagnostic]:
    """A glob of the feedback section matches no layer that feedback can go through, or to.

    Globs (`*`, `?`, `[ab]`) stand for several layers at once. Feedback goes through weights: `through:`, and the
    `nodes` of layer-wise rules such as `fa`, match layers that multiply with a weight. It is brought to what learns:
    `to:`, and the `nodes` of direct rules such as `dfa`, match layers with parameters, the gain of a normalisation
    among them. A layer that another route names is left to that one, unless
    the glob says `combine: add`. A rule that applies to no layer leaves
    backpropagation in place, which a loss curve does not show.

    Bad, where the layers are `fc1`, `fc2` and `logits`:

        feedback: {rule: fa, nodes: "conv*"}

    Good:

        feedback: {rule: fa, nodes: "fc*"}
    """
    guess = Guess()
    for missed in program.unmatched:
        if missed.taken:
            message = f"other routes name each layer that `{missed.glob}` matches"
            yield GLOB_MATCHES_NOTHING.at(
                missed.path, message, help="remove this route, or one of the others"
            )
            continue
        fits, what = (has_parameters, "parameters") if missed.direct else (has_weights, "weights")
        known = [node.name for node in program.nodes if fits(node)]
        # A layer whose shape is unknown is not in the program's list, and has a finding of its own.
        if known and not Names(known).matching(missed.glob):
            help, fix = guess.mended(missed.path, missed.glob, known, f"the layers with {what} are {{}}")
            if Names(known).matching(inside := f"{missed.glob}.*"):
                help = f"for the layers inside of `{missed.glob}` write `{inside}`"
            elif not missed.glob:
                help = "name at least one, or leave it out, for all of them"
            elif said := excluded(missed.glob, known):
                help, fix = said, None
            elif found := elsewhere(program, missed.glob, known):
                help, fix = found, None
            # What a glob should have matched is seldom one layer.
            fix = None if is_glob(missed.glob) else fix
            message = (
                f"no layer with {what} matches `{missed.glob}`" if missed.glob else "`nodes` names no layer"
            )
            yield GLOB_MATCHES_NOTHING.at(missed.path, message, help=help, fix=fix)


def route_without_weight(program: Program) -> Iterator[Diagnostic]:
    """A route goes through a layer that multiplies with no weight, or to one that has no parameters.

    A `through` route replaces the pass through a transposed weight. An activation has none, a normalisation has
    parameters but multiplies unit by unit: their exact derivatives always stay. A `to` route names a layer that learns
    from it, a normalisation for instance; the error enters at that layer's site, which lies behind its activation, or
    where `at:` says.

    Bad:

        feedback:
          routes:
            - {to: relu_1, matrix: {kind: random}}

    Good:

        feedback:
          routes:
            - {to: fc1, at: relu_1, matrix: {kind: random}}
    """
    weighted = _nearest_below(program, has_weights)
    parametric = _nearest_below(program, has_parameters)
    for route in program.routes:
        node = program.by_name.get(route.node)
        if node is None or (has_weights if route.through else has_parameters)(node):
            continue
        if route.through and has_parameters(node):
            message = f"`{route.node}` has parameters, but no weight that feedback could replace"
        elif route.through:
            message = f"`{route.node}` has no weights, so no feedback can go through it"
        else:
            message = f"`{route.node}` has no parameters that could learn from an error brought to it"
        below = weighted.get(route.node)
        help = f"name a layer with weights, such as `{below}`" if below else ""
        if not route.through and below is None and (below := parametric.get(route.node)):
            help = f"name a layer with parameters, such as `{below}`"
        yield ROUTE_WITHOUT_WEIGHT.at(target(route), message, help=help)


def _nearest_below(program: Program, fits: Callable[[Node], bool]) -> dict[str, str]:
    """For each layer the nearest one at it or below that fits, following first inputs upwards from the data."""
    found: dict[str, str] = {}
    for name, node in program.by_name.items():
        if fits(node):
            found[name] = name
        elif node.inputs[0] in found:
            found[name] = found[node.inputs[0]]
    return found


def conflicting_routes(program: Program) -> Iterator[Diagnostic]:
    """Two routes, or two short-hands, decide what error one place receives.

    A layer passes its error down in one way: a second `through` route at it would contradict the first. Two
    short-hands conflict where both give a route to one place; `nodes:` keeps them apart. Which of the two should
    win cannot be guessed, and the order in a file is no place to hide it.

    Bad:

        feedback:
          - {rule: fa}
          - {rule: dfa}

    Good:

        feedback:
          - {rule: fa, nodes: logits}
          - {rule: dfa, nodes: fc1}
    """
    through: dict[str, Route] = {}
    holders: dict[str, Route] = {}
    reported: set[tuple[Path, Path]] = set()
    for route in program.routes:
        for place in _places(program, route):
            other = holders.setdefault(place, route)
            pair = other.origin, route.origin
            if other.origin == route.origin or pair in reported:
                continue
            first, second = short_hand(program, other), short_hand(program, route)
            if first is not None and second is not None:
                reported.add(pair)
                names = [kind_of("fac.rules", rule).name for rule in (first, second)]
                message = f"`{names[0]}` and `{names[1]}` both decide which error reaches `{place}`"
                help = "keep them apart with `nodes:`, or remove one of them"
                yield CONFLICTING_ROUTES.at((*route.origin, "rule"), message, help=help)
        if not route.through:
            continue
        other = through.setdefault(route.node, route)
        pair = other.origin, route.origin
        if other is not route and pair not in reported:
            reported.add(pair)
            message = f"`{route.node}` already has a `through` route"
            explicit = short_hand(program, route) is None
            path = target(route) if explicit else (*route.origin, "rule")
            by = short_hand(program, other)
            help, fix = "remove one of the two", None
            if by is not None:
                help = f"exclude `{route.node}` from the `nodes:` of `{kind_of('fac.rules', by).name}`"
            elif explicit and written(program.spec, route.origin) == written(program.spec, other.origin):
                fix = Fix("remove the copy", (Edit(route.origin, None),))
            yield CONFLICTING_ROUTES.at(path, message, help=help, fix=fix)


def _places(program: Program, route: Route) -> tuple[str, ...]:
    """The values whose error the route decides on."""
    if not route.through:
        return () if route.site is None else (route.site,)
    node = program.by_name.get(route.node)
    # One without weights may read thousands of layers, and has a finding of its own.
    return node.inputs if node is not None and has_weights(node) else ()


def unused_subspace(program: Program) -> Iterator[Diagnostic]:
    """No route reads this subspace.

    Its P is drawn, stored in every checkpoint, and never used: a subspace learns from the error that a route asks
    of it. Mostly a route was meant to read it and still reads `loss`.

    Bad:

        feedback:
          subspaces:
            - {name: task, of: loss, rank: 9}
          routes:
            - {to: fc1, matrix: {kind: random}}

    Good:

        feedback:
          subspaces:
            - {name: task, of: loss, rank: 9}
          routes:
            - {to: fc1, from: task, matrix: {kind: random}}
    """
    used = {route.source for route in program.routes}
    # A dangling `from:` may well be a misspelt name of this subspace, and is reported.
    if used - {LOSS, *program.subspace, *program.by_name}:
        return
    for subspace in program.subspaces:
        if subspace.name not in used and subspace.name not in program.by_name:
            by_hand = isinstance(written(program.spec, subspace.origin), Subspace)
            yield UNUSED_SUBSPACE.at(
                (*subspace.origin, "name"),
                f"no route reads the subspace `{subspace.name}`",
                help=f"read it with `from: {subspace.name}`, or remove it",
                fix=Fix("remove the subspace", (Edit(subspace.origin, None),)) if by_hand else None,
            )


def several_routes_at_one_value(program: Program) -> Iterator[Diagnostic]:
    """Several `to` routes bring an error to one value, and the errors add.

    That may be meant. It often is not: `to` routes at layers of a residual block can meet behind its join, so that
    a layer learns from the sum of projections meant for others. A published benchmark of direct feedback on
    residual networks is made of such sums. `combine: add` on each of the routes says that the sum is meant, but
    also keeps, and pays for, what the layers above send.

    Bad:

        feedback:
          routes:
            - {to: fc1, matrix: {kind: random}}
            - {to: fc1, from: fc2, matrix: {kind: random}}

    Good:

        feedback:
          routes:
            - {to: fc1, matrix: {kind: random}}

    See arXiv 2108.13446.
    """
    sites: dict[str, list[Route]] = {}
    for route in program.routes:
        if not route.through and route.site is not None:
            sites.setdefault(route.site, []).append(route)
    for site, routes in sites.items():
        latest = routes[-1]
        hands = [short_hand(program, route) for route in routes]
        if len(routes) == 1 or all(r.add for r in routes) or all(hand is not None for hand in hands):
            continue
        roots = {program.root(route.source) for route in routes}
        if len(roots) == len(routes) and roots <= set(program.heads):
            continue  # one from each head, whose errors add in backpropagation too
        explicit = next(r for r, hand in zip(reversed(routes), reversed(hands), strict=True) if hand is None)
        message = f"{len(routes)} `to` routes meet at the output of `{site}`, and their errors add"
        if any(r.add for r in routes) and not all(r.add for r in routes):
            message += "; what comes from above is cut all the same"
        path = target(latest if latest is explicit else explicit)
        yield SEVERAL_ROUTES_AT_ONE_VALUE.at(
            path, message, help="remove one, or move one elsewhere with `at:`"
        )
