"""FAC216, FAC319: what starts at zero and stays there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Literal

from fac.checks.places import SHOWN, by_origin, fed, head, listed, matrix_of, short_hand, stated, wired
from fac.diagnostics import Diagnostic, Path, Rule, Severity
from fac.program.declared import curve_of, traits_of
from fac.program.flow import Flow
from fac.program.program import Node, Program, Route
from fac.program.reading import stays_zero

ZERO_WEIGHTS_NEVER_MOVE = Rule("FAC216", "zero-weights-never-move", Severity.WARNING)
ZERO_FEEDBACK = Rule("FAC319", "zero-feedback", Severity.WARNING)

Quantity = tuple[Literal["weight", "value", "error"], str]
"""The weight of a node, its output, or the error at its output."""


def zero_weights_never_move(program: Program) -> Iterator[Diagnostic]:
    """The weights of a layer start at zero, and no step can ever change them.

    The gradient of a weight is the error at its layer times what the layer reads. Where all weights are zero, so are
    the units behind them; the derivative of `relu` at 0 is 0, so no error gets back through it, whatever the routes
    bring. Two layers of zeros hold each other in place in the same way: the upper one passes no error down, the
    lower one passes no signal up. A single one moves where its error does not come through a `relu`: as the last
    layer, or below a `tanh` or a `sigmoid`. So nets that learn by direct feedback alone can start from nothing
    (arXiv 1903.02083), and nets that learn by backpropagation cannot.

    Bad:

        layers:
          - {kind: linear, name: fc1, out: 32, init: zeros}
          - {kind: relu}
          - {kind: linear, name: logits, out: 10}

    Good:

        layers:
          - {kind: linear, name: fc1, out: 32}
          - {kind: relu}
          - {kind: linear, name: logits, out: 10, init: zeros}

    See arXiv 1903.02083.
    """
    candidates = {n.name for n in program.weighted if n.weight and n.weight.zero and traits_of(n).zero}
    if not wired(program) or not any(program.by_name[name].weight_learns for name in candidates):
        return
    zero = _Zeros(program, candidates).hold()
    stuck = [n for n in program.nodes if n.weight_learns and ("weight", n.name) in zero]
    many = len(stuck) > SHOWN
    weights = frozenset(node.weight.name for node in stuck if node.weight)
    for node in stuck:
        others = (
            listed(stated(program, other.name) for other in stuck if other is not node)
            if not many
            else "the other layers"
        )
        if ("value", node.inputs[0]) in zero:
            why = "what it reads is zero, too"
        elif others and not _dead_unit_follows(program, node):
            why = f"together with {others} it keeps every error out"
        else:
            why = "no error gets back through units that are all zero"
        if (layer := stated(program, node.name)) != node.name:
            help = "an error has to reach it: take other feedback, or remove the adapter"
            yield ZERO_WEIGHTS_NEVER_MOVE.at(
                head(node),
                f"the adapter of `{layer}` is zero and stays so: {why}",
                help=help,
                supposes=weights,
            )
            continue
        yield ZERO_WEIGHTS_NEVER_MOVE.at(
            (*node.origin, "init") if "init" in node.layer.model_fields_set else head(node),
            f"the weights of `{node.name}` are zero and stay so: {why}",
            help="draw them, as `init: kaiming_uniform` does",
            supposes=weights,
        )


def _dead_unit_follows(program: Program, node: Node) -> bool:
    return any(map(_dead_at_zero, program.readers.get(node.name, ())))


def _dead_at_zero(node: Node) -> bool:
    curve = curve_of(node.layer)
    return curve is not None and curve.dead_at_zero


class _Zeros:
    """The largest set of quantities that are zero before every step if they are zero before the first.

    Everything that could be zero is assumed to be; what some step would change is taken out, and what depended on
    it is looked at again. Each quantity leaves once, so the time is linear.
    """

    def __init__(self, program: Program, candidates: set[str]) -> None:
        self.program, self.flow = program, Flow(program)
        self.feeds = {r.node: not _stays_zero(r) for r in program.routes if r.through}
        self.zero: set[Quantity] = {("weight", name) for name in candidates}
        for node in program.nodes:
            self.zero |= {("value", node.name), ("error", node.name)}
        self.users: dict[Quantity, list[Quantity]] = defaultdict(list)
        for quantity in self.zero:
            for used in self._uses(quantity):
                self.users[used].append(quantity)

    def hold(self) -> set[Quantity]:
        """The quantities that stay zero."""
        waiting = list(self.zero)
        while waiting:
            quantity = waiting.pop()
            if quantity in self.zero and not self._stays(quantity):
                self.zero.discard(quantity)
                waiting += self.users[quantity]
        return self.zero

    def _uses(self, quantity: Quantity) -> list[Quantity]:
        kind, name = quantity
        node = self.program.by_name[name]
        if kind == "weight":
            return [("value", node.inputs[0]), ("error", name)]
        if kind == "value":
            return [("weight", name), ("error", name), *(("value", below) for below in node.inputs)]
        uses: list[Quantity] = [("value", name)]
        for maker in self.flow.makers(name):
            uses += [("error", maker), ("weight", maker)]
        return uses

    def _stays(self, quantity: Quantity) -> bool:
        kind, name = quantity
        node, zero = self.program.by_name[name], self.zero
        if kind == "weight":
            return not node.weight_learns or ("value", node.inputs[0]) in zero or ("error", name) in zero
        if kind == "value":
            fed = ("weight", name) not in zero and any(("value", below) not in zero for below in node.inputs)
            own = "" if node.weight is None else node.weight.name
            biases = any(t.trainable and t.name != own and t.zero for t in node.state)
            moves = biases and ("error", name) not in zero
            return traits_of(node).zero and not fed and not moves
        return self._no_error(name)

    def _no_error(self, name: str) -> bool:
        """Whether everything that would bring an error to the output of `name` brings zeros."""
        for route in self.flow.brought.get(name, ()):
            maker = self.program.maker(route.source)
            if not _stays_zero(route) and (maker is None or ("error", maker) not in self.zero):
                return False
        if name in self.program.heads:
            return False
        return all(self._passes_nothing(reader, name) for reader in self.flow.passing(name))

    def _passes_nothing(self, reader: Node, name: str) -> bool:
        if ("error", reader.name) in self.zero:
            return True
        if _dead_at_zero(reader):
            return ("value", name) in self.zero
        if reader.name in self.feeds:
            return not self.feeds[reader.name]
        return ("weight", reader.name) in self.zero


def zero_feedback(program: Program) -> Iterator[Diagnostic]:
    """A feedback matrix is zero at the start and nothing ever moves it.

    A matrix of zeros brings no error, so the layers that live on it never learn. Zeros are a fair start for a
    matrix that is taught from outside: `kolen_pollack` gives B the step of the forward weight, and Q one that
    only needs P. But `fixed` keeps what there is, Oja's rule moves P by s^T d - (s^T s) P with s = d P^T, which is 0
    for P = 0, and P and Q that are both zero wait for each other under every rule.

    Bad:

        feedback: {rule: dfa, init: zeros}

    Good:

        feedback: {rule: dfa, init: zeros, learn: {rule: kolen_pollack}}
    """
    for routes in by_origin(r for r in program.routes if _stays_zero(r)).values():
        route = routes[0]
        yield ZERO_FEEDBACK.at(
            _law_of(program, route),
            f"the feedback of {listed(fed(program, routes))} starts at zero and stays there, so it brings no error",
            help="give it another initial law, or let it learn by a rule that moves it",
        )


def _stays_zero(route: Route) -> bool:
    """Whether the operator is zero for ever."""
    zeros = [tensor.part for tensor in route.tensors if tensor.zero]
    return bool(zeros) and stays_zero(route, zeros)


def _law_of(program: Program, route: Route) -> Path:
    """Where the zeros are written, or the matrix if that is the weight that it is drawn like."""
    hand = short_hand(program, route)
    owner = route.matrix if hand is None else hand
    zeros = [t for t in route.tensors if t.zero]
    fields = ["init", *(f"init_{t.part}" for t in zeros)]
    field = next((f for f in reversed(fields) if f in owner.model_fields_set), None)
    if field is not None:
        return matrix_of(program, route, field)
    return matrix_of(program, route, "kind" if hand is None else None)
