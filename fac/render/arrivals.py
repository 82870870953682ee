"""How errors arrive: the ops of a step, walked back from each error to where it comes from.

What is printed is read off the step as it is built. The program only lends names: which route or layer a state
tensor belongs to, and what its learning rule is called. A layer without weights is one hop, from the error of what it
reads to the error of what it makes, with however many ops it is written and however often it reads its input.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from fac.build.functions import routed
from fac.build.routing import constant
from fac.build.transport import Transport, transport_of
from fac.passes.dead import drop_dead
from fac.program.lower import kind_of
from fac.program.program import LOSS, TARGETS, Node, Program, Route, Subspace
from fac.program.reading import is_weight
from fac.render.operators import Owner, describe
from fac.step.cost import state_inputs
from fac.step.ir import Op, Origin, Phase, Value
from fac.step.ops.shapes import VIEWS

LOSS_ERROR = "loss error"
OPENED = 4
"""How many terms of a sum are told, and into how many ways a join of errors is opened in the table."""


@dataclass(frozen=True, slots=True)
class Way:
    """A way along which an error arrives: what it passed, the nearest first, and where the way begins."""

    labels: tuple[str, ...]
    operators: tuple[Owner, ...]
    """Whose matrices it passed: a route or a subspace, or a node whose weight it passed transposed."""
    start: str
    """`loss error`, or the name of an error that has a line of its own."""
    value: Value | None
    """The error of that name; None at the loss."""

    def __str__(self) -> str:
        return " <- ".join((*self.labels, self.start))


@dataclass(frozen=True, slots=True)
class Arrival:
    """What an error is made of: one way, or a common way from a sum of several."""

    common: Way | None
    ways: tuple[Way, ...]

    @property
    def chain(self) -> tuple[str, ...]:
        """The labels in order; a sum is one of them. Ways that say the same, inside of one layer, are one."""
        common = self.common.labels if self.common else ()
        told = {str(way): way for way in self.ways}
        if len(told) == 1:
            return (*common, *self.ways[0].labels, self.ways[0].start)
        ways = [f"({way})" for way in told]
        return (*common, listed(ways, "ways"))


Part = tuple[Value, Node | None]
"""An error, and the layer that hands it down if that is told as one hop: then the error is the layer's own."""


class Arrivals:
    """The errors of a step, read backwards."""

    def __init__(self, program: Program, sums: frozenset[str] = frozenset()) -> None:
        """Build the step, without the passes that make it shorter: routes would lose ops that tell of them.

        Args:
            program: without findings of the severity `error`.
            sums: layers without weights whose errors have lines of their own, where ways end.
        """
        self.sums = sums
        routing, outputs, _ = routed(program)
        self.built = routing.trace.b.finish("step", outputs)
        """The step before any pass."""
        self.program, self.step = program, drop_dead(self.built)
        self.routing, step = routing, self.step
        exact = {id(route) for route in program.routes if is_weight(route)}
        self.routes = {
            op: r for op, r in routing.owner.items() if isinstance(r, Route) and id(r) not in exact
        }
        """Which operator wrote an op; those that are the transposed weight itself are no detour."""
        self.made = {op.result: op for op in step.ops}
        self.outputs = dict(step.outputs)
        self.state = frozenset(value.name for value in state_inputs(step))
        self.owner: dict[str, Owner] = {t.name: node for node in program.nodes for t in node.tensors}
        self.owner |= {t.name: route for route in program.routes for t in route.tensors}
        self.owner |= {t.name: subspace for subspace in program.subspaces for t in subspace.tensors}

    @cached_property
    def landmarks(self) -> frozenset[Value]:
        """Errors with a line of their own, the loss error aside: they make a gradient or go more than one way."""
        readers: dict[Value, set[object]] = {}
        found: set[Value] = set()
        for total in self.routing.reverse.sums:
            for index, (value, node) in enumerate(self._parts(total) if self._is_sum(total) else ()):
                readers.setdefault(value, set()).update(self._taught(node) if node else {(total, index)})
        for op in self.step.ops:
            node = self._hop(op)
            for index, value in enumerate(self._errors(op)):
                if op.origin.phase == Phase.GRADIENT:
                    found.add(self._whole(value))
                elif op in self._adding or op.origin.phase != Phase.ERROR:
                    continue
                elif node is None:
                    # However often an operator reads a value, it is one reader.
                    owner = self.routing.owner.get(op)
                    readers.setdefault(value, set()).add((op, index) if owner is None else id(owner))
                elif value is self._error[node.name]:
                    readers.setdefault(value, set()).update(self._taught(node))
        found |= {value for value, known in readers.items() if len(known) > 1}
        return frozenset(value for value in found if not self._of_loss(value))

    @cached_property
    def _adding(self) -> frozenset[Op]:
        """The ops that add up what several layers say of one error."""
        found: set[Op] = set()
        for total, made in self.routing.reverse.sums.items():
            if self._is_sum(total):
                op = self.made[total]
                found.add(op)
                for _ in made.terms[2:]:
                    op = self.made[op.operands[0]]
                    found.add(op)
        return frozenset(found)

    def _taught(self, node: Node) -> set[object]:
        """The inputs of a layer that get an error from it."""
        return {(node.name, index) for index, name in enumerate(node.inputs) if name in self._error}

    def arrival(self, error: Value) -> Arrival:
        """Follow an error to the nearest landmark or the loss; a sum on the way is opened."""
        way = None if self._is_sum(error) else self._way(error)
        joint = error if way is None else way.value
        if joint is None or not self._is_sum(joint) or (joint is not error and joint in self.landmarks):
            assert way is not None
            return Arrival(None, (way,))
        ways: list[Way] = []
        stack = self._parts(joint)[::-1]
        while stack:
            part, node = stack.pop()
            if node is not None:
                ways.append(self._way(part, node))
            elif part in self.landmarks:
                ways.append(Way((), (), self.name_of(part), part))
            elif self._is_sum(part):
                stack += self._parts(part)[::-1]
            else:
                ways.append(self._way(part))
        return Arrival(way, tuple(ways))

    def hands_down(self, error: Value) -> bool:
        """Whether it is that of a layer without weights that learns from it, such as a normalisation, and no sum."""
        node = self.program.by_name.get(layer_of(self.name_of(error)))
        return node is not None and node.parametric and not node.weighted and not self._is_sum(error)

    def _way(self, value: Value, node: Node | None = None) -> Way:
        """From an error that is no sum, or by way of the layer that hands it down, to a landmark, sum, or the loss."""
        labels: list[str] = []
        passed: list[Owner] = []
        begun = False
        while True:
            op, hop = self.made[value], node
            if hop is None:
                if self._of_loss(value):
                    return Way(tuple(labels), tuple(passed), self.loss_error(value), None)
                if begun and (value in self.landmarks or self._is_sum(value)):
                    return Way(tuple(labels), tuple(passed), self.name_of(value), value)
                hop = self._hop(op)
            begun = True
            if hop is not None:
                if hop.name in self._crossed:
                    passed.append(hop)
                    labels.append(describe(hop))
                elif node is not None or hop.name in self._changing:
                    labels.append(f"{kind_of('fac.layers', hop.layer).name}'")
                value, node = self._error[hop.name], None
                continue
            owner = self._owner(op)
            if owner is not None:
                if owner not in passed[-1:]:
                    passed.append(owner)
                    labels.append(describe(owner))
            elif (label := self._label(op)) not in ("", *labels[-1:]):
                labels.append(label)
            errors = self._errors(op)
            if not errors:  # an operator that reads the targets, say, and no error
                return Way(tuple(labels), tuple(passed), self._read_by(op), None)
            value = errors[0]

    def _read_by(self, op: Op) -> str:
        """What an op of an operator reads where that is no error."""
        owner = self.routing.owner.get(op)
        source = owner.source if isinstance(owner, Route) else "" if owner is None else owner.of
        if self.program.of_targets(source):
            return source
        return ", ".join(v.name for v in op.operands if v not in self._constant)

    def loss_error(self, value: Value) -> str:
        """What an error is called that losses make: with the head that they read, if there are several."""
        head = self._at_head.get(value)
        return LOSS_ERROR if head is None or len(self.program.heads) == 1 else f"{LOSS_ERROR} at {head}"

    @cached_property
    def _at_head(self) -> Mapping[Value, str]:
        """The errors that losses make of what they read, by themselves and as parts of those at the layers."""
        memo, heads = self.routing.reverse.memo, self.routing.trace.heads
        found = {error: name for name, value in heads.items() if (error := memo.get(value)) is not None}
        for op in self.step.ops:
            if op.origin == Origin(LOSS, Phase.ERROR):
                of = next((found[value] for value in op.operands if value in found), None)
                if of is not None:
                    found[op.result] = of
        return found

    def _is_sum(self, value: Value) -> bool:
        return value in self.made and not self._of_loss(value) and len(self._parts(value)) > 1

    def _of_loss(self, value: Value) -> bool:
        """Whether losses alone make an error. That of a layer which a loss reads and others too is a sum of both."""
        made = self.routing.reverse.sums.get(value)
        return self.made[value].origin.node == LOSS and (
            made is None or {name for name, _ in made.terms} == {LOSS}
        )

    def _parts(self, value: Value) -> list[Part]:
        """What an error is the sum of. What one layer without weights gives one of its inputs is one part."""
        made = self.routing.reverse.sums.get(value)
        if made is None:
            op = self.made[value]
            within = self._hop(op) is not None or len(self._entries(op)) == 1
            return [(value, None)] if within else [(error, None) for error in self._errors(op)]
        found: dict[object, list[Part]] = {}
        for index, (name, term) in enumerate(made.terms):
            if self._is_error(term):
                node = self._once(name, made.of) if index < made.exact else None
                found.setdefault(node.name if node else index, []).append((term, node))
        parts: list[Part] = []
        for (term, node), *more in found.values():
            parts.append((self._error[node.name], node) if node and more else (term, None))
        return parts

    def _entries(self, op: Op) -> set[Value]:
        """The errors that the operator of an op reads on the way to it, or the op itself if it is of no operator."""
        owner, read, stack = self.routing.owner.get(op), dict[Value, bool](), [op]
        while stack:
            for error in self._errors(stack.pop()):
                if error not in read:
                    read[error] = owner is not None and self.routing.owner.get(self.made[error]) is owner
                    stack += [self.made[error]] if read[error] else []
        return {error for error, inside in read.items() if not inside}

    def _once(self, name: str, read: Value) -> Node | None:
        """The layer of that name if it is without weights and has the value as one of its inputs, or inside."""
        node = self.program.by_name.get(name)
        if node is None or node.weighted:
            return None
        times = sum(self.routing.trace.values[source] is read for source in node.inputs)
        return node if times < 2 else None

    def _hop(self, op: Op) -> Node | None:
        """The layer without weights that an op of the backward pass takes an error through."""
        node = self.program.by_name.get(op.origin.node)
        # A route may stand at such a layer, too: what it brings is no hop through the layer.
        if node is None or node.weighted or op in self.routing.sending or not self._is_error(op.result):
            return None
        return node

    @cached_property
    def _changing(self) -> frozenset[str]:
        """Layers without weights that do more to an error than lay it out anew."""
        ops = (op for op in self.step.ops if op.kind not in VIEWS and op not in self._adding)
        return frozenset(node.name for node in map(self._hop, ops) if node is not None)

    @cached_property
    def _crossed(self) -> frozenset[str]:
        """Those of them that mix units by a matrix of their own, though no feedback can go through it."""
        if not any(node.tensors for node in self.program.nodes if not node.weighted):
            return frozenset()
        return frozenset(self.transport.exact)

    @cached_property
    def transport(self) -> Transport:
        """What of the step depends on forward weights."""
        return transport_of(self.routing, self.outputs)

    @cached_property
    def _error(self) -> Mapping[str, Value]:
        """The errors of what layers make, by layer; as far as they are part of the step."""
        memo, values = self.routing.reverse.memo, self.routing.trace.values
        found = {name: memo.get(value) for name, value in values.items()}
        return {name: error for name, error in found.items() if error is not None and error in self.made}

    def name_of(self, error: Value) -> str:
        """Its name: that of a layer's error, if it is one, and not of a value inside of the layer above."""
        if layer_of(error.name) in self._error:
            return error.name
        below = self._below.get(error)
        return error.name if below is None else f"{below}.error"

    @cached_property
    def _below(self) -> Mapping[Value, str]:
        """For each error of what a layer makes the layer; of several the nearest to the loss."""
        return {error: name for name, error in self._error.items()}

    def _errors(self, op: Op) -> list[Value]:
        return [value for value in op.operands if self._is_error(value)]

    def _is_error(self, value: Value) -> bool:
        return value in self._carried

    def _whole(self, value: Value) -> Value:
        """What a layer laid out in rows for its product; other values are what they are."""
        names = self.program.by_name
        while (op := self.made.get(value)) is not None and op.kind == "reshape":
            if value.name in names or layer_of(self.name_of(value)) in names:
                break
            (value,) = op.operands
        return value

    @cached_property
    def _carried(self) -> frozenset[Value]:
        """Errors: what is made of the loss error, or by an operator. The factors of a derivative are none."""
        found: set[Value] = set()
        for op in self.step.ops:
            if op.origin.phase == Phase.ERROR and op.result not in self._constant:
                begins = op.origin.node == LOSS or op in self.routing.owner
                if begins or not found.isdisjoint(op.operands):
                    found.add(op.result)
        return frozenset(value for value in found if value.type.shape != ())

    def _owner(self, op: Op) -> Owner | None:
        """Whose matrix an op reads, or whose operator it is: one without matrices, or made of the weight."""
        name = next((self._read[v] for v in op.operands if v in self._read), "")
        owner, route = self.owner.get(name), self.routes.get(op)
        if isinstance(owner, Node | Route):
            owner = self._at(op, owner)
        if route is None or isinstance(owner, Route | Subspace):
            return owner
        return route if owner is not None or not route.tensors else None

    def _at(self, op: Op, owner: Node | Route) -> Owner:
        """Which of those that share an array stands where the op was written."""
        if isinstance(owner, Route):
            route = self.routes.get(op)
            return route if route is not None and owner.tensors == route.tensors else owner
        node = self.program.by_name.get(op.origin.node)
        return node if node is not None and node.owner == owner.name else owner

    @cached_property
    def _constant(self) -> frozenset[Value]:
        """What is made of no sample, and so is no error: a matrix, or one that is scaled before an error meets it."""
        return constant(self.step.inputs, self.step.ops)

    @cached_property
    def _read(self) -> Mapping[Value, str]:
        """The matrix that a value is, or is made of."""
        found = {value: value.name for value in self.step.inputs if value.name in self.owner}
        for op in self.step.ops:
            of = next((found[v] for v in op.operands if v in found), None)
            if of is not None and op.result in self._constant:
                found[op.result] = of
        return found

    def _label(self, op: Op) -> str:
        """What an op of a layer with weights, or around its routes, does to an error without reading state."""
        if op.kind in VIEWS:
            return ""
        node = self.program.by_name.get(op.origin.node)
        if node is not None and op not in self.routing.sending:
            return f"{kind_of('fac.layers', node.layer).name}'"
        others = [self.made[v] for v in op.operands if v in self.made]
        factors = [other["value"] for other in others if other.kind == "constant"]
        # To all tokens, which the operator says; and what a label stands for.
        if op.kind == "broadcast_to" or any(other.origin.node == TARGETS for other in others):
            return ""
        if op.kind == "mul" and any(other.kind == "batch_size" for other in others):
            return "x N"
        if op.kind == "add" and (kept := [v.name for v in op.operands if not self._is_error(v)]):
            return f"+ {kept[0]}"
        return f"x {factors[0]:.4g}" if op.kind == "mul" and factors else op.kind


def listed(terms: Sequence[str], what: str = "terms") -> str:
    """A sum; of many terms the first and the last."""
    if len(terms) <= OPENED:
        return " + ".join(terms)
    return f"{terms[0]} + ... + {terms[-1]} ({len(terms)} {what})"


def layer_of(start: str) -> str:
    """The layer, subspace or `loss` whose error a way begins with."""
    return LOSS if start.startswith(LOSS_ERROR) else start.removesuffix(".error")
