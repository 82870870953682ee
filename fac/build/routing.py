"""Routes as edits of the reverse sweep, and what feedback matrices learn from it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from fac.build.contract import learned, made
from fac.build.trace import Trace
from fac.plugins import misuse
from fac.program.kinds import Learned, Signals
from fac.program.lower import kind_of
from fac.program.program import Route, Subspace
from fac.step.builder import Builder
from fac.step.ir import Op, Origin, Phase, Value
from fac.step.reverse import Edits, Injection, Reverse
from fac.step.types import N, Type


class Routing:
    """The routed sweep of one trace."""

    def __init__(self, trace: Trace, loss: Value, *, counting: bool = False) -> None:
        """Turn the program's routes into edits; nothing is built until a cotangent is asked for (see `Reverse`)."""
        self.trace, self.program = trace, trace.program
        self.used: dict[int, Value] = {}
        """The error that each route read, by its place in the program; routes that nobody needed are absent."""
        self.owner: dict[Op, Route | Subspace] = {}
        """Whose operator, or whose learning, wrote an op."""
        through: dict[tuple[Op, int], list[Injection]] = {}
        to: dict[Value, list[Injection]] = {}
        cut: set[Value] = set()
        self.subspace_errors: dict[str, Value] = {}
        self.read: dict[str, Value] = {}
        """What subspaces read of them; all routes from one share it."""
        for index, route in enumerate(self.program.routes):
            injection = self._injection(index, route)
            if route.through:
                through.setdefault(self._replaced(route), []).append(injection)
                continue
            assert route.site is not None
            site = trace.values[route.site]
            to.setdefault(site, []).append(injection)
            if not route.add:
                cut.add(site)
        edits = Edits(
            {k: tuple(v) for k, v in through.items()}, {k: tuple(v) for k, v in to.items()}, frozenset(cut)
        )
        self.reverse = Reverse(trace.b, loss, edits, constant(trace.b.inputs, trace.b.ops), counting=counting)

    def _replaced(self, route: Route) -> tuple[Op, int]:
        """The product with the weight, and its other operand, whose error comes from elsewhere.

        Raises:
            PluginError: the layer reads its weight in another way.
        """
        op, index = self.trace.contraction[route.node]
        if op.kind != "matmul":
            layer = kind_of("fac.layers", self.program.by_name[route.node].layer)
            problem = (
                f"reads the weight by `{op.kind}`: a route through the layer has to find a `matmul` with it"
            )
            raise misuse(layer.forward, problem, route.node)
        return op, index

    def _injection(self, index: int, route: Route) -> Injection:
        def send(b: Builder, error: Value) -> Value:
            return self._send(b, index, route, error)

        root = self.program.root(route.source)
        assert root is not None
        return Injection(self.trace.values[root], send, Origin(route.node, Phase.ERROR))

    def _send(self, b: Builder, index: int, route: Route, error: Value) -> Value:
        """F(error), in the shape of the value that receives it."""
        error = self._read(b, route.source, error)
        self.used[index] = error
        kind = kind_of("fac.feedback", route.matrix)
        assert route.ends is not None
        with self._owned(route):
            sent = kind.apply(b, route.matrix, self.trace.read(route.tensors), error, self._weight(route))
            made(kind.apply, sent, Type((N, route.ends.writes)), route.node)
            if sent is error:
                # An op of its own, as for layers: the step tells that the error took this route.
                sent = b.emit("reshape", sent, shape=sent.type.shape)
        if route.matrix.scale != 1:
            sent = b.mul(sent, route.matrix.scale)
        return b.reshape(sent, self._receiver(route).type.shape)

    def _read(self, b: Builder, source: str, error: Value) -> Value:
        """The error as rows; projected if the source is a subspace."""
        subspace = self.program.subspace.get(source)
        if subspace is None:
            return b.rows(error)
        if source not in self.read:
            rows = self.subspace_errors[source] = b.rows(error)
            s = b.matmul(rows, self.trace.read(subspace.tensors)["P"], tb=True)
            self.read[source] = b.named(s, f"{source}.read")
        return self.read[source]

    def _receiver(self, route: Route) -> Value:
        if route.through:
            op, index = self.trace.contraction[route.node]
            return op.operands[index]
        assert route.site is not None
        return self.trace.values[route.site]

    def learned(self) -> Iterator[tuple[str, Learned]]:
        """(full name of the matrix, what its rule says), for routes and subspaces that the sweep used."""
        b = self.trace.b
        for index in reversed(self.used):
            route = self.program.routes[index]
            kind = kind_of("fac.feedback", route.matrix)
            with b.at(route.node, Phase.LEARN), self._owned(route):
                signals = Signals(self.used[index], b.rows(self._receiver(route)), self._weight(route))
                found = tuple(
                    learned(kind.learn, one, route.tensors, route.node)
                    for one in kind.learn(b, route.matrix, self.trace.read(route.tensors), signals)
                )
            yield from ((tensor.name, said) for tensor, said in found)
        for name, error in self.subspace_errors.items():
            subspace = self.program.subspace[name]
            with b.at(name, Phase.LEARN), self._owned(subspace):
                basis = tuple(_basis(b, subspace, self.trace, error))
            yield from basis

    @contextmanager
    def _owned(self, owner: Route | Subspace) -> Iterator[None]:
        """Ops written inside are the owner's."""
        ops = self.trace.b.ops
        start = len(ops)
        yield
        self.owner.update(dict.fromkeys(ops[start:], owner))

    def _weight(self, route: Route) -> Value | None:
        """The forward weight that a `through` route replaces."""
        weight = None if route.ends is None else route.ends.weight
        return None if weight is None else self.trace.state[weight.name]


def constant(inputs: Iterable[Value], ops: Iterable[Op]) -> frozenset[Value]:
    """Values that are made of no sample: weights, or what was reshaped or scaled of them. They have no error.

    Their cotangents are gradients, and what they do to an error is weight transport.
    """
    found = {value for value in inputs if value.name not in ("x", "y")}
    for op in ops:
        if found.issuperset(op.operands):
            found.add(op.result)
    return frozenset(found)


def _basis(b: Builder, subspace: Subspace, trace: Trace, error: Value) -> Iterator[tuple[str, Learned]]:
    rule = kind_of("fac.learning", subspace.basis).read
    if rule is not None:
        signals = Signals(error, error, None)
        found = rule(b, subspace.basis, trace.read(subspace.tensors), signals)
        tensor, said = learned(rule, found, subspace.tensors, subspace.name)
        yield tensor.name, said
