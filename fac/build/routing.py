"""Routes as edits of the reverse sweep, and what feedback matrices learn from it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace

from fac.build.contract import learned, made
from fac.build.joining import Said, joined
from fac.build.trace import Trace
from fac.plugins import misuse
from fac.program.counted import Counted
from fac.program.ends import rows
from fac.program.kinds import Learned, Signals
from fac.program.lower import kind_of
from fac.program.program import TARGETS, Ends, Route, Subspace
from fac.program.reading import drawn_from_weight
from fac.program.tensors import Tensor
from fac.step.builder import Builder
from fac.step.contraction import Contraction, pretended, product
from fac.step.feed import fed
from fac.step.forward import Forward, makers
from fac.step.ir import Op, Origin, Phase, Value
from fac.step.labelled import Labelled
from fac.step.random import Stream
from fac.step.reverse import Edits, Injection, Reverse
from fac.step.types import Batch, N, flat


class Routing:
    """The routed sweep of one trace."""

    def __init__(self, trace: Trace, loss: Value, *, counting: bool = False) -> None:
        """Turn the program's routes into edits; nothing is built until a cotangent is asked for (see `Reverse`)."""
        self.trace, self.program, self.loss = trace, trace.program, loss
        self.forward = makers(trace.b.ops)
        """The ops of the forward pass, by what they make."""
        self.used: dict[int, Signals] = {}
        """What each route read, by its place in the program; routes that nobody needed are absent."""
        self.owner: dict[Op, Route | Subspace] = {}
        """Whose operator, or whose learning, wrote an op."""
        self.sending: set[Op] = set()
        """What routes wrote, from the error that they read to the one that they bring."""
        through: dict[tuple[Op, int], list[Injection]] = {}
        to: dict[Value, list[Injection]] = {}
        cut: set[Value] = set()
        self.subspace_signals: dict[str, Signals] = {}
        self.read: dict[str, Value] = {}
        """What subspaces read of them; all routes from one share it."""
        for index, route in enumerate(self.program.routes):
            injection = self._injection(index, route)
            if route.through:
                way = self._way(route)
                through.setdefault((way.op, way.place), []).append(injection)
                continue
            assert route.site is not None
            site = trace.values[route.site]
            to.setdefault(site, []).append(injection)
            if not route.add:
                cut.add(site)
        tapped = {trace.heads[name] for name in self.program.tapped}
        edits = Edits(
            {k: tuple(v) for k, v in through.items()},
            {k: tuple(v) for k, v in to.items()},
            frozenset(cut),
            frozenset(op for op in trace.b.ops if op.result in tapped),
        )
        self.reverse = Reverse(trace.b, loss, edits, constant(trace.b.inputs, trace.b.ops), counting=counting)

    def _way(self, route: Route) -> Contraction:
        """The product with the weight that a `through` route replaces.

        Raises:
            PluginError: see `Trace.contraction`; or factors of the weight are wanted, which the layer keeps otherwise.
        """
        if drawn_from_weight(route) and self.trace.turns(route.node):
            layer = kind_of("fac.layers", self.program.by_name[route.node].layer)
            problem = "transposes its weight: the SVD is that of a weight kept as [reads, ...]"
            raise misuse(layer.forward, problem, route.node)
        return self.trace.contraction(route.node)

    def _injection(self, index: int, route: Route) -> Injection:
        def send(b: Builder, error: Value) -> Value:
            start = len(b.ops)
            sent = self._send(b, index, route, error)
            self.sending.update(b.ops[start:])
            return sent

        return Injection(self._source(route), send, Origin(route.node, Phase.ERROR))

    def _source(self, route: Route) -> Value:
        """The value whose error the operator reads: what the product makes, or what the source of a `to` route names.

        Behind the product a layer may do more, and that stays exact. Targets wait for no error: the loss has one from
        the start.
        """
        if route.through:
            return self._way(route).op.result
        if self.program.of_targets(route.source):
            return self.loss
        root = self.program.root(route.source)
        assert root is not None
        return self.trace.heads.get(root) or self.trace.values[root]

    def _send(self, b: Builder, index: int, route: Route, error: Value) -> Value:
        """F(error), in the shape of the value that receives it."""
        signals = self.used[index] = self._signals(route, error)
        kind = kind_of("fac.feedback", route.matrix)
        assert signals.way is not None
        with self._owned(route):
            sent: Value = kind.apply(b, route.matrix, self.trace.read(route.tensors), signals)
            made(kind.apply, sent, signals.way.x.type, route.node)
            if sent is signals.error:
                # An op of its own, as for layers: the step tells that the error took this route.
                sent = b.emit("reshape", sent, shape=sent.type.shape)
        if route.matrix.scale != 1:
            sent = b.mul(sent, route.matrix.scale)
        if route.sums:
            sent = b.mul(sent, b.emit("batch_size"))
        return sent if route.site is None else self._spread(b, route, sent)

    def _spread(self, b: Builder, route: Route, rows: Value) -> Value:
        """Rows [places, writes], as the operator of a `to` route makes them, where its site has them."""
        assert route.site is not None
        assert route.ends is not None
        site = self.trace.values[route.site]
        if route.ends.copies == 1:
            return self._counted(route.ends, b.reshape(rows, site.type.shape))
        n, *tokens, channels = site.type.shape
        wide = b.reshape(rows, (n, *(1 for _ in tokens), channels))
        return b.broadcast_to(b.mul(wide, self._part(route.ends, site)), site.type.shape)

    def _slope(self, b: Builder, route: Route, rows: Value) -> Value:
        """How the loss of each sample changes where the site moves along rows: [places, 1] (see `Signals.slope`).

        The sweep goes to what losses read, where the exact error is at hand: <dL/dz, dz>, sample by sample.
        """
        assert route.site is not None
        assert route.ends is not None
        with b.at(route.node, Phase.TANGENT):
            directions = {self.trace.values[route.site]: self._spread(b, route, rows)}
            sweep, total = Forward(b, directions, self.forward), None
            for head in self.trace.heads.values():
                moved, error = sweep.tangent(head), self.reverse.cotangent(head)
                if moved is not None and error is not None:
                    part = b.sum(b.mul(error, moved), range(1, len(head.type.shape)))
                    total = part if total is None else b.add(total, part)
            if total is None:
                return b.broadcast_to(b.constant(0.0), (Batch(route.ends.places), 1))
            b.label(total, "slope")
            places = b.broadcast_to(b.reshape(total, (N, 1)), (N, route.ends.places))
            return b.reshape(places, (Batch(route.ends.places), 1))

    def _part(self, ends: Ends, site: Value) -> Value:
        """How large a part each token has in what goes to all: of those that count, if a mask says which do."""
        b = self.trace.b
        if ends.mask is None:
            return b.constant(1 / ends.copies)
        mask = self._mask(ends.mask)
        if ends.mask.at is not None:
            return b.reshape(b.mul(mask, 1 / ends.copies), (N, *(1 for _ in site.type.shape[1:])))
        axes = range(1, len(mask.type.shape))
        part = b.div(mask, b.maximum(b.sum(mask, axes, keep=True), 1.0))
        return b.reshape(part, (*site.type.shape[:-1], 1))

    def _mask(self, of: Counted) -> Value:
        """The part of a mask that a value goes by: [N, places], or [N, 1]."""
        b, mask = self.trace.b, self.trace.values[of.mask]
        first, end = (of.skip, 0) if of.at is None else (of.at, _size(mask, 1) - 1 - of.at)
        if not first and not end:
            return mask
        others = (0,) * (len(mask.type.shape) - 2)
        return b.emit("crop", mask, before=(0, first, *others), after=(0, end, *others))

    def _counted(self, ends: Ends, value: Value) -> Value:
        """A value like that at a site, with zeros at the places that do not count."""
        if ends.mask is None:
            return value
        b, mask = self.trace.b, self._mask(ends.mask)
        shape = mask.type.shape if ends.mask.at is None else (N,)
        wide = (*shape, *(1 for _ in value.type.shape[len(shape) :]))
        return b.mul(value, b.reshape(mask, wide))

    def signals(self, route: Route) -> Signals | None:
        """What the operator of a route reads and may learn from; None if no error arrives there."""
        error = self.reverse.cotangent(self._source(route))
        return None if error is None else self._signals(route, error)

    def _signals(self, route: Route, error: Value) -> Signals:
        """The same, given the error at `_source`.

        A `through` route goes past the product of its layer, a `to` route past a pretended one: of its site, of each of
        its tokens, or of their mean (see `fac.program.ends`).
        """
        b = self.trace.b
        if route.site is None:
            way = self._way(route)
            like = None if route.ends is None else route.ends.weight
            return Signals(way.rows(b, error), way, way.matrix(b), like, self._stream(route))
        assert route.ends is not None
        ends, site = route.ends, self.trace.values[route.site]
        if ends.copies > 1:
            places = range(1, len(site.type.shape) - 1)
            fed = b.sum(b.mul(site, self._part(ends, site)), places) if ends.mask else b.mean(site, places)
        else:
            fed = b.reshape(self._counted(ends, site), (Batch(ends.places), ends.writes))
        read, labelled = self._rows(route, ends, self._read(b, route.source, error))
        return Signals(
            read,
            pretended(fed, ends.reads),
            None,
            None,
            self._stream(route),
            lambda b, rows: self._slope(b, route, rows),
            labelled,
        )

    def _rows(self, route: Route, ends: Ends, said: Value | Labelled) -> tuple[Value, Labelled | None]:
        """What the operator of a `to` route reads of what its source says: rows, and their labels if they are that."""
        b, shape = self.trace.b, (Batch(ends.places), ends.reads)
        with self._made_of(route.source):
            whole = said.whole(b) if isinstance(said, Labelled) else said
            read = b.reshape(self._part_read(b, route.source, ends, whole), shape)
            if route.signs:
                return b.div(b.emit("sign", read), b.emit("batch_size")), None
        return read, said if isinstance(said, Labelled) and said.shape == shape else None

    def _part_read(self, b: Builder, source: str, ends: Ends, read: Value) -> Value:
        """Of an error all, or the element of a step; its tokens summed up, if they are read as one."""
        if ends.step is not None:
            steps, dim = self.program.tokens(source)[0], self.program.dim(source)
            assert dim is not None
            wide = b.reshape(read, (N, steps, dim // steps))
            read = b.emit("crop", wide, before=(0, ends.step, 0), after=(0, steps - 1 - ends.step, 0))
        if ends.summed > 1:
            read = b.sum(b.reshape(read, (N, ends.summed, ends.reads)), (1,))
        return read

    def _stream(self, route: Route) -> Stream:
        assert route.ends is not None
        return self.trace.stream(route.ends.prefix)

    def _read(self, b: Builder, source: str, error: Value) -> Value | Labelled:
        """The error, or what targets say of it; if the source is a subspace, its rows, projected.

        Those of each token, if there are tokens.
        """
        subspace = self.program.subspace.get(source)
        said = self._said(source, error)
        if subspace is None:
            return said
        if source not in self.read:
            shape = rows(self.program, subspace.of)
            labelled = said if isinstance(said, Labelled) else None
            with self._made_of(subspace.of):
                error = b.reshape(said.whole(b) if isinstance(said, Labelled) else said, shape)
            p = self.trace.read(subspace.tensors)["P"]
            signals = Signals(error, None, None, None, self.trace.stream(subspace.name), labelled=labelled)
            self.subspace_signals[source] = signals
            with self._owned(subspace):
                self.read[source] = b.named(signals.read(b, p), f"{source}.read")
        return self.read[source]

    def _said(self, source: str, error: Value) -> Value | Labelled:
        """What a source says, subspaces left aside."""
        if not self.program.of_targets(source):
            return error
        head = self.program.root(source)
        assert head is not None
        return self.trace.surrogate(head)

    def learned(self) -> Iterator[tuple[str, Learned]]:
        """(full name of the matrix, what its rule says), for routes and subspaces that the sweep used."""
        b = self.trace.b
        together: dict[str, list[int]] = {}
        for index in reversed(self.used):
            ends = self.program.routes[index].ends
            assert ends is not None
            together.setdefault(ends.prefix, []).append(index)
        for indices in together.values():
            said: dict[str, list[Said]] = {}
            for route, node, signals in self._teaching(indices):
                for tensor, found in self._taught(route, node, signals):
                    said.setdefault(tensor.name, []).append(Said(signals.error, found))
            for route, node, signals in self._looked_up(indices):
                for tensor, found in self._taught(route, node, signals):
                    if found.gradient:
                        said.setdefault(tensor.name, []).append(Said(signals.error, found))
            route = self.program.routes[indices[-1]]
            with b.at(route.node, Phase.LEARN), self._owned(route):
                for name, told in said.items():
                    yield name, joined(b, self.trace.state[name], self._sampled(told))
        for name, signals in self.subspace_signals.items():
            subspace = self.program.subspace[name]
            with b.at(name, Phase.LEARN), self._owned(subspace):
                basis = tuple(_basis(b, subspace, self.trace, signals))
            yield from basis

    def _teaching(self, indices: Sequence[int]) -> Iterator[tuple[Route, str, Signals]]:
        """What a matrix learns from, and at which layers: what its routes read.

        One in the place of a weight that several layers share learns at all those from which the weight learns, with a
        route or without: so it can take the step that the weight takes, and any rule sees the same as the weight.
        """
        own = {self.program.routes[index].node: index for index in indices}
        route = self.program.routes[indices[0]]
        owner = self.program.by_name[route.node].owner
        if not route.through or owner not in self.program.sharing:
            yield from ((self.program.routes[i], node, self.used[i]) for node, i in own.items())
            return
        weight = None if route.ends is None else route.ends.weight
        for node in reversed(self.program.sharing[owner]):
            if weight is None or node.weight is None or node.weight.name != weight.name:
                continue
            if not node.trainable and weight.trainable:
                continue
            if node.name in own:
                index = own[node.name]
                yield self.program.routes[index], node.name, self.used[index]
            elif (signals := self.signals(replace(route, node=node.name))) is not None:
                yield route, node.name, signals

    def _taught(self, route: Route, node: str, signals: Signals) -> Iterator[tuple[Tensor, Learned]]:
        """What the operator of a route learns of signals at a layer."""
        b, kind = self.trace.b, kind_of("fac.feedback", route.matrix)
        with b.at(node, Phase.LEARN), self._owned(route):
            for one in kind.learn(b, route.matrix, self.trace.read(route.tensors), signals):
                yield learned(kind.learn, one, route.tensors, node)

    def _looked_up(self, indices: Sequence[int]) -> Iterator[tuple[Route, str, Signals]]:
        """The same at layers that look up rows of the weight: products with it of vectors that are 1 in one place.

        The sides are the other way round there: that vector stands where errors do, and the error where inputs do. So
        gradients are those of the weight; no error is read, and rules that go by errors alone have nothing to say.
        """
        route = self.program.routes[indices[0]]
        weight = None if route.ends is None else route.ends.weight
        if weight is None or not route.through:
            return
        looking = {
            n.name
            for n in self.program.sharing.get(self.program.by_name[route.node].owner, ())
            if not n.weighted
        }
        table = self.trace.state[weight.name]
        for op, place in self.reverse.readers.get(table, ()) if looking else ():
            if op.kind == "gather" and place == 0 and op.origin.node in looking:
                error = self.reverse.cotangent(op.result)
                if error is not None:
                    signals = self._lookup(op, error, table, weight, self._stream(route))
                    yield route, op.origin.node, signals

    def _lookup(self, op: Op, error: Value, table: Value, like: Tensor, stream: Stream) -> Signals:
        b, (count, width) = self.trace.b, table.type.shape
        assert isinstance(count, int)
        with b.at(op.origin.node, Phase.LEARN):
            named = b.emit("gather", b.eye(count), op.operands[1])
            *places, _ = named.type.shape
            of = b.reshape(error, (flat(tuple(places)), width))
            read = b.reshape(named, (flat(tuple(places)), count))
            return Signals(read, product(of, table), table, like, stream)

    def _sampled(self, said: Sequence[Said]) -> Sequence[Said]:
        """What is said of samples; what is made of none is the same at all layers, and is said once."""
        b = self.trace.b
        once = len(said) > 1 and said[0].learned.value in constant(b.inputs, b.ops)
        return said[:1] if once else said

    def _made_of(self, source: str) -> AbstractContextManager[None]:
        """Ops that write out what targets say belong to no layer."""
        return self.trace.b.at(TARGETS, Phase.ERROR) if self.program.of_targets(source) else nullcontext()

    @contextmanager
    def _owned(self, owner: Route | Subspace) -> Iterator[None]:
        """Ops written inside are the owner's."""
        ops = self.trace.b.ops
        start = len(ops)
        yield
        self.owner.update(dict.fromkeys(ops[start:], owner))


def constant(inputs: Iterable[Value], ops: Iterable[Op]) -> frozenset[Value]:
    """Values that are made of no sample: weights, or what was reshaped or scaled of them. They have no error.

    What was stretched to one for each sample is one of each: its errors differ.

    Their cotangents are gradients, and what they do to an error is weight transport.
    """
    found = {value for value in inputs if not fed(value)}
    for op in ops:
        if found.issuperset(op.operands) and not any(isinstance(dim, Batch) for dim in op.result.type.shape):
            found.add(op.result)
    return frozenset(found)


def _size(value: Value, axis: int) -> int:
    size = value.type.shape[axis]
    assert isinstance(size, int)
    return size


def _basis(b: Builder, subspace: Subspace, trace: Trace, signals: Signals) -> Iterator[tuple[str, Learned]]:
    rule = kind_of("fac.learning", subspace.basis).read
    if rule is not None:
        found = rule(b, subspace.basis, trace.read(subspace.tensors), signals)
        tensor, said = learned(rule, found, subspace.tensors, subspace.name)
        yield tensor.name, said
