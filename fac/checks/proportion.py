"""FAC325: errors that explode or vanish on their way down."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import copysign, exp, log

from fac.checks.laws import Range, variance
from fac.checks.places import head, matrix_of, short_hand, stated
from fac.checks.spread import Hop, Spread
from fac.diagnostics import Diagnostic, Path, Rule, Severity
from fac.program.balance import weight_of
from fac.program.program import Node, Program, Route

ERROR_OUT_OF_PROPORTION = Rule("FAC325", "error-out-of-proportion", Severity.WARNING)

LIMIT = 2 * log(1e3)
"""Of the logarithm of a squared norm: a thousand times as large, or as small, as the error at the output."""

Bound = Callable[[Range], float]


def error_out_of_proportion(program: Program) -> Iterator[Diagnostic]:
    """The error of a layer is expected to be a thousand times as large, or as small, as that at the output.

    What an error is multiplied by on its way is known before any training: a matrix that writes k numbers and has
    entries of variance v multiplies its squared norm by k v, `relu` by 1/2. The default laws make that 1 at each
    layer. Another `init` or `scale` enters once per layer, so it compounds with depth: entries with standard deviation
    1 in place of sqrt(2 / 512) are 16 times too large, which is 4096 times after three layers. The scale of a feedback
    matrix is a factor on the learning rate of all layers below it: steps that fit the last layer then either blow
    up the first ones or leave them where they are. Sums at joins count, too: a chain of residual blocks without
    any normalisation doubles the squared error at every block.

    The estimate holds at the first step. Errors that meet add their squares, as if they knew nothing of each other.
    Matrices that learn are never reported as too small, because they may grow. For `tanh`, `sigmoid` and `gelu` it
    assumes inputs with mean square 1.

    Bad:

        feedback: {rule: fa, scale: 100.0}

    Good:

        feedback: {rule: fa}

    See arXiv 1906.04554; arXiv 1502.01852.
    """
    spread = Spread(program)
    errors = {n.name: e for n in program.nodes if n.learns and (e := spread.errors.get(n.name)) is not None}
    if not errors:
        return
    largest = max(errors, key=lambda name: errors[name].low)
    if errors[largest].low > LIMIT:
        yield _finding(spread, largest, lambda size: size.low, "as large as that at the output")
    smallest = min(errors, key=lambda name: errors[name].high)
    if errors[smallest].high < -LIMIT:
        yield _finding(spread, smallest, lambda size: size.high, "that at the output")


def _finding(spread: Spread, name: str, bound: Bound, rest: str) -> Diagnostic:
    size = bound(spread.errors[name] or Range(0.0, 0.0))
    steps = list(_steps(spread, name, bound))
    hop, gain = max(steps, key=lambda step: step[1] * size, default=(None, 0.0))
    message = f"the error at `{stated(spread.program, name)}` is expected to be {_times(size)} times {rest}"
    # What the layers on the way do not explain comes from sums.
    if hop is None or abs(sum(step[1] for step in steps)) < abs(size) / 2:
        join = next((n for n in spread.program.nodes if len(n.inputs) > 1), spread.program.by_name[name])
        help = "errors add up at joins: draw the last weights of each branch smaller"
        return ERROR_OUT_OF_PROPORTION.at(head(join), message, help=help)
    if len(steps) > 1:
        message += f", {len(steps)} layers above"
    if hop.route is not None:
        old, layer = hop.route.matrix.scale, stated(spread.program, hop.route.node, hop.route)
        scale = copysign(_corrected(2 * log(abs(old)), gain), old)
        help = (
            f"the feedback of `{layer}` makes it {_times(gain)} times as large; "
            f"`scale: {scale:.2g}` keeps its size"
        )
        return ERROR_OUT_OF_PROPORTION.at(_place(spread.program, hop.route), message, help=help)
    node = spread.program.by_name[str(hop.weight)]
    std = _corrected(log(variance(weight_of(node)) or 1.0), gain)
    help = (
        f"the weights of `{stated(spread.program, node.name)}` make it {_times(gain)} times as large; "
        f"`init: {{kind: normal, std: {std:.2g}}}` keeps its size"
    )
    return ERROR_OUT_OF_PROPORTION.at(_law(node), message, help=help)


def _corrected(square: float, gain: float) -> float:
    """The root of a square (both are logarithms) that would not make the gain."""
    return exp(min((square - gain) / 2, 700.0))


def _steps(spread: Spread, name: str, bound: Bound) -> Iterator[tuple[Hop, float]]:
    """The way by which most of an error comes, from `name` up: each matrix, with the activations just below it."""
    below = 0.0
    while name not in spread.of_losses:
        ways = [hop for hop in spread.hops(name) if hop is not None]
        hop = max(ways, key=lambda hop: bound((spread.errors[hop.above] or Range(0.0, 0.0)) + hop.gain))
        below += bound(hop.gain)
        if hop.route is not None or hop.weight is not None:
            yield hop, below
            below = 0.0
        name = hop.above


def _times(size: float) -> str:
    """The factor on the norm. Exponents beyond those of floating-point numbers are written out."""
    power = size / 2 / log(10)
    if abs(power) >= 300:
        return f"1e{power:+.0f}"
    factor = float(f"{10**power:.2g}")
    return f"{factor:.0f}" if 10 <= factor < 1e6 else f"{factor:g}"


def _place(program: Program, route: Route) -> Path:
    """The setting of a matrix that decides about its size, if one is written."""
    hand = short_hand(program, route)
    owner = route.matrix if hand is None else hand
    fields = ("scale", "init", "init_Q", "init_P", "rank")
    field = next((f for f in fields if f in owner.model_fields_set), None)
    return matrix_of(program, route, field or ("kind" if hand is None else None))


def _law(node: Node) -> Path:
    return (*node.origin, "init") if "init" in node.layer.model_fields_set else head(node)
