"""Routes as edits of the reverse sweep, and what feedback matrices learn from it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from fac.build.trace import Trace
from fac.program.kinds import Learned, Signals
from fac.program.lower import kind_of
from fac.program.program import Route, Subspace
from fac.step.builder import Builder
from fac.step.ir import Op, Origin, Phase, Value
from fac.step.reverse import Edits, Injection, Reverse


class Routing:
    """The routed sweep of one trace."""

    def __init__(self, trace: Trace, loss: Value) -> None:
        """Turn the program's routes into edits; nothing is built until a cotangent is asked for."""
        self.trace, self.program = trace, trace.program
        self.used: dict[int, Value] = {}
        """The error that each route read, by its place in the program; routes that nobody needed are absent."""
        self.owner: dict[Op, Route | Subspace] = {}
        """Whose operator, or whose learning, wrote an op."""
        through: dict[tuple[Op, int], list[Injection]] = {}
        to: dict[Value, list[Injection]] = {}
        cut: set[Value] = set()
        self.subspace_errors: dict[str, Value] = {}
        for index, route in enumerate(self.program.routes):
            injection = self._injection(index, route)
            if route.through:
                through.setdefault(trace.contraction[route.node], []).append(injection)
                continue
            assert route.site is not None
            site = trace.values[route.site]
            to.setdefault(site, []).append(injection)
            if not route.add:
                cut.add(site)
        edits = Edits(
            {k: tuple(v) for k, v in through.items()}, {k: tuple(v) for k, v in to.items()}, frozenset(cut)
        )
        self.reverse = Reverse(trace.b, loss, edits, constant(trace.b.inputs, trace.b.ops))

    def _injection(self, index: int, route: Route) -> Injection:
        def send(b: Builder, error: Value) -> Value:
            with self._owned(route):
                return self._send(b, index, route, error)

        root = self.program.root(route.source)
        assert root is not None
        return Injection(self.trace.values[root], send, Origin(route.node, Phase.ERROR))

    def _send(self, b: Builder, index: int, route: Route, error: Value) -> Value:
        """F(error), in the shape of the value that receives it."""
        error = self._read(b, route.source, error)
        self.used[index] = error
        kind = kind_of("fac.feedback", route.matrix)
        sent = kind.apply(b, route.matrix, self.trace.read(route.tensors), error, self._weight(route))
        if route.matrix.scale != 1:
            sent = b.mul(sent, route.matrix.scale)
        return b.reshape(sent, self._receiver(route).type.shape)

    def _read(self, b: Builder, source: str, error: Value) -> Value:
        """The error as rows; projected if the source is a subspace."""
        rows = b.rows(error)
        subspace = self.program.subspace.get(source)
        if subspace is None:
            return rows
        self.subspace_errors[source] = rows
        return b.named(b.matmul(rows, self.trace.read(subspace.tensors)["P"], tb=True), f"{source}.read")

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
                found = tuple(kind.learn(b, route.matrix, self.trace.read(route.tensors), signals))
            yield from ((_full_name(route, learned), learned) for learned in found)
        for name, error in self.subspace_errors.items():
            subspace = self.program.subspace[name]
            with b.at(name, Phase.LEARN), self._owned(subspace):
                found = tuple(_basis(b, subspace, self.trace, error))
            yield from found

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


def _full_name(route: Route, learned: Learned) -> str:
    return next(t.name for t in route.tensors if t.part == learned.tensor)


def _basis(b: Builder, subspace: Subspace, trace: Trace, error: Value) -> Iterator[tuple[str, Learned]]:
    rule = kind_of("fac.learning", subspace.basis).read
    if rule is not None:
        signals = Signals(error, error, None)
        yield subspace.tensors[0].name, rule(b, subspace.basis, trace.read(subspace.tensors), signals)
