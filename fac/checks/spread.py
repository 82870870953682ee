"""How large errors are expected to be at the start, from the laws of initial values and the widths alone.

In a network whose weights are drawn independently with mean 0, a matrix with entries of variance v multiplies the
squared norm of what it reads by (numbers written) * v in expectation, and an activation multiplies that of an error by
the mean of its squared derivative. Errors that meet add their squares. All numbers are natural logarithms of ratios of
squared norms, so that depth neither overflows nor underflows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import inf, log, prod

from fac.checks.laws import HUGE, Range, exactly, mean_square, rounded, variance, wide
from fac.program.declared import curve_of, traits_of
from fac.program.flow import Flow
from fac.program.lower import kind_of
from fac.program.program import Node, Program, Route
from fac.program.reading import factors, ways
from fac.program.tensors import SvdFactor, Tensor
from fac.program.traits import Curve

INPUT_SQUARE = 1.0
"""Assumed mean square of the numbers of a sample. It matters for curves such as `tanh`, `sigmoid` and `gelu` only."""


@dataclass(frozen=True, slots=True)
class Hop:
    """One piece of the way of an error."""

    above: str
    """The output whose error is read."""
    gain: Range
    route: Route | None = None
    """What passes the error, if a feedback matrix does."""
    weight: str | None = None
    """The layer whose forward weight passes it, if one does."""


class Spread:
    """The expected error at every output, beside that at the output of the network. For programs without errors."""

    def __init__(self, program: Program) -> None:
        self.program, self.flow = program, Flow(program)
        self.through = {route.node: route for route in program.routes if route.through}
        self.drawn = {node.name: _drawn(node) for node in program.nodes}
        alike = {self._key(route): route for route in program.routes}
        gains = {key: self._operator(route) for key, route in alike.items()}
        self.operators = {id(route): gains[self._key(route)] for route in program.routes}
        self.squares, self.even = self._forward()
        self.of_losses = _of_losses(program)
        self.errors: dict[str, Range | None] = {}
        for name in self._in_order():
            self.errors[name] = self._error(name)

    def hops(self, name: str) -> Iterator[Hop | None]:
        """What brings errors to the output of `name`; None for what cannot be foretold."""
        for reader in self.flow.passing(name):
            gain: Range | None
            route = self.through.get(reader.name)
            if route is not None:
                gain = self.operators[id(route)]
                yield None if gain is None else Hop(reader.name, gain, route)
            elif reader.weighted:
                gain = self._weight(reader)
                yield None if gain is None else Hop(reader.name, gain, weight=reader.name)
            else:
                gain = self._derivative(reader)
                # Who reads a value twice passes the same error down twice.
                twice = exactly(float(reader.inputs.count(name)) ** 2)
                yield None if gain is None else Hop(reader.name, gain + twice)
        for route in self.flow.brought.get(name, ()):
            root, gain = self.program.root(route.source), self.operators[id(route)]
            yield None if root is None or gain is None else Hop(root, gain, route)

    # -- errors ----------------------------------------------------------------------------------------------

    def _error(self, name: str) -> Range | None:
        total = self.of_losses.get(name)
        for hop in self.hops(name):
            above = None if hop is None else self._above(hop)
            if hop is None or above is None:
                return None
            part = above + hop.gain
            total = part if total is None else total.joined(part)
        return total

    def _above(self, hop: Hop) -> Range | None:
        """The error that a hop starts from: of a head that others feed too, a route reads what its losses say."""
        if hop.route is not None and not hop.route.through and hop.above in self.program.tapped:
            return self.of_losses[hop.above]
        return self.errors.get(hop.above)

    def _in_order(self) -> Iterator[str]:
        """Every output after those whose errors its own is made of; an explicit stack, because networks are deep."""
        done: set[str] = set()
        for start in reversed(self.program.nodes):
            stack = [start.name]
            while stack:
                name = stack[-1]
                missing = [maker for maker in self.flow.makers(name) if maker not in done]
                if name in done or not missing:
                    stack.pop()
                    if name not in done:
                        done.add(name)
                        yield name
                else:
                    stack += missing

    def _weight(self, node: Node) -> Range | None:
        """W^T d."""
        gain = self.drawn[node.name]
        return exactly(gain) if gain else None

    def _key(self, route: Route) -> object:
        """What `_operator` depends on: thousands of copies of a block have a few operators."""
        node, ends = self.program.by_name[route.node], route.ends
        weight = None if ends is None else ends.weight
        return (
            id(route.matrix),
            route.source if route.source in self.program.subspace else None,
            route.through,
            ends and replace(ends, prefix="", weight=None),
            weight and (id(weight.drawn), weight.shape, weight.fan_in, weight.fan_out, weight.groups),
            (self.drawn[node.name], node.places, node.shape, weight and weight.reads_axis),
        )

    def _operator(self, route: Route) -> Range | None:
        """A feedback matrix, the subspace that it may read, and its scale."""
        kind = kind_of("fac.feedback", route.matrix)
        taught = any(ways(rule).teaches for rule in kind.learning(route.matrix).values())
        gain = self._matrix(route)
        if gain is None or route.matrix.scale == 0:
            return None
        scale = 2 * log(abs(route.matrix.scale))
        gain += Range(scale, scale)
        subspace = self.program.subspace.get(route.source)
        if subspace is not None:
            gain += _reading(subspace.tensors[0], learns=ways(subspace.basis).teaches)
        # What learns may grow out of a small start.
        return Range(gain.low, inf) if taught else gain

    def _matrix(self, route: Route) -> Range | None:
        ends, found = route.ends, factors(route)
        if ends is None or found is None:
            return None
        total = Range(0.0, 0.0)
        for factor in found:
            tensor = factor.tensor
            if isinstance(tensor.init, SvdFactor):
                whole = self._weight(self.program.by_name[route.node])
                # The largest singular values hold at least their share of the squared norm, at most all of it.
                share = Range(log(tensor.init.rank / ends.most), 0.0)
                return None if whole is None else share + whole
            if wide(tensor.size) * tensor.kept < 1:
                return None  # A mask that keeps no entry is a finding of its own.
            gain = wide(factor.writes) * (variance(tensor) or 0.0) * factor.kept
            if not gain:
                return None
            total += exactly(gain)
        node = self.program.by_name[route.node]
        # Of as many tokens each gets as small a part.
        total += exactly(1 / ends.copies)
        if ends.step is not None:
            total += exactly(1 / self.program.tokens(route.source)[0])
        if route.through and node.shape is not None:
            # A kernel that makes a map larger stands at fewer places than there are errors.
            total += exactly(wide(node.places * ends.reads) / wide(prod(node.shape)))
        return total

    # -- the forward pass ------------------------------------------------------------------------------------

    def _forward(self) -> tuple[dict[str, float], dict[str, bool]]:
        """The mean square of each output, and whether positive and negative numbers are equally likely in it."""
        squares = dict.fromkeys(self.program.inputs, INPUT_SQUARE)
        even = dict.fromkeys(self.program.inputs, False)
        for node in self.program.nodes:
            # What is read twice counts twice in the sum, four times in its square.
            read = [squares[name] * times**2 for name, times in Counter(node.inputs).items()]
            curve, traits = curve_of(node.layer), traits_of(node)
            linear = traits.value is not None or traits.unit is not None
            even[node.name] = self.drawn[node.name] is not None or (
                (linear or (curve is not None and curve.odd)) and all(even[name] for name in node.inputs)
            )
            squares[node.name] = min(self._square(node, sum(read), even[node.inputs[0]]), HUGE)
        return squares, even

    def _square(self, node: Node, read: float, even: bool) -> float:
        gain, curve = self.drawn[node.name], curve_of(node.layer)
        if gain is not None:
            return min(gain * read, HUGE)
        if curve is None:
            traits = traits_of(node)
            if node.by_averages:
                return read if traits.averages is None else read * traits.averages
            if traits.unit is not None:
                return read / (read + traits.unit)
            return read if traits.value is None else read * traits.value
        if curve.homogeneous:
            half, whole = _sides(curve)
            return read * (half if even else whole)
        return mean_square(curve, False, rounded(read))

    def _derivative(self, node: Node) -> Range | None:
        """What a layer without weights does to an error that it passes to one of its inputs."""
        curve, below = curve_of(node.layer), node.inputs[0]
        if curve is None:
            traits = traits_of(node)
            if node.by_averages and traits.averages is not None:
                return exactly(traits.averages)
            if traits.unit is not None and not node.by_averages:
                # The variance is smaller than the mean square, by how much is for the samples to say.
                return Range(-log(self.squares[below] + traits.unit), inf)
            return exactly(traits.error) if traits.error else None
        if curve.homogeneous:
            half, whole = _sides(curve)
            return Range(log(half), log(half if self.even[below] else whole)) if half else None
        return exactly(mean_square(curve, True, rounded(self.squares[below])))


def _of_losses(program: Program) -> dict[str, Range]:
    """The squared norm of the error that losses make at each head, beside that of a loss with a factor of 1."""
    found: dict[str, float] = {}
    for objective in program.losses:
        found[objective.of] = found.get(objective.of, 0.0) + objective.scale**2
    return {name: exactly(square) for name, square in found.items()}


def _drawn(node: Node) -> float | None:
    """By what a weight that is drawn multiplies the squared norm of an error; None for a layer without one."""
    if node.weight is None or node.shape is None or not traits_of(node).homogeneous:
        return None
    # How many products make a number of the output, on average, and so take its error down.
    products = wide(node.places * node.weight.size) / wide(prod(node.shape))
    return min(products * (variance(node.weight) or 0.0), HUGE)


def _sides(curve: Curve) -> tuple[float, float]:
    """The squared slope of two straight lines that meet in zero: the mean of the two, and the larger one."""
    above, below = curve.f(1.0) ** 2, curve.f(-1.0) ** 2
    return (above + below) / 2, max(above, below)


def _reading(tensor: Tensor, learns: bool) -> Range:
    """P d. A fixed P keeps its share of a random direction; one that learns turns towards the errors that come."""
    share = wide(tensor.shape[0]) * (variance(tensor) or 0.0)
    low = log(share) if share else -inf
    return Range(low, inf if learns else low)
