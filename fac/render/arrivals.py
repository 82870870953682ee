"""How errors arrive: the ops of a step, walked back from each error to where it comes from.

What is printed is read off the step as it is built. The program only lends names: which route or layer a state
tensor belongs to, and what its learning rule is called.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from fac.build.functions import routed
from fac.build.routing import constant
from fac.passes.dead import drop_dead
from fac.program.lower import kind_of
from fac.program.program import LOSS, Program, Route, Subspace
from fac.program.reading import is_weight
from fac.render.operators import Owner, describe
from fac.step.cost import state_inputs
from fac.step.ir import Op, Phase, Value

LOSS_ERROR = "loss error"


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
        """The labels in order; a sum is one of them."""
        if len(self.ways) == 1:
            return (*self.ways[0].labels, self.ways[0].start)
        return (*(self.common.labels if self.common else ()), " + ".join(f"({way})" for way in self.ways))


class Arrivals:
    """The errors of a step, read backwards."""

    def __init__(self, program: Program) -> None:
        """Build the step, without the passes that make it shorter: routes would lose ops that tell of them.

        Args:
            program: without findings of the severity `error`.
        """
        routing, outputs, _ = routed(program)
        self.program, self.step = program, drop_dead(routing.trace.b.finish("step", outputs))
        step = self.step
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
        readers: dict[Value, int] = {}
        found: set[Value] = set()
        for op in self.step.ops:
            for value in self._errors(op):
                if self.made[value].origin.node == LOSS:
                    continue
                if op.origin.phase == Phase.GRADIENT:
                    found.add(value)
                elif op.origin.phase == Phase.ERROR:
                    readers[value] = readers.get(value, 0) + 1
        return frozenset(found | {value for value, n in readers.items() if n > 1})

    def arrival(self, error: Value) -> Arrival:
        """Follow an error to the nearest landmark or the loss; a sum on the way is opened."""
        way = None if self._is_sum(error) else self._way(error)
        joint = error if way is None else way.value
        if joint is None or not self._is_sum(joint) or (joint is not error and joint in self.landmarks):
            assert way is not None
            return Arrival(None, (way,))
        ways: list[Way] = []
        stack = self._errors(self.made[joint])[::-1]
        while stack:
            part = stack.pop()
            if self._is_sum(part) and part not in self.landmarks:
                stack += self._errors(self.made[part])[::-1]
            else:
                ways.append(Way((), (), part.name, part) if part in self.landmarks else self._way(part))
        return Arrival(way, tuple(ways))

    def _way(self, value: Value) -> Way:
        """From an error that is no sum to the nearest landmark, sum, or the loss."""
        labels: list[str] = []
        passed: list[Owner] = []
        first, node = value, ""
        while True:
            op = self.made[value]
            if op.origin.node == LOSS:
                return Way(tuple(labels), tuple(passed), LOSS_ERROR, None)
            if value is not first and (value in self.landmarks or self._is_sum(value)):
                return Way(tuple(labels), tuple(passed), value.name, value)
            owner = self._owner(op)
            if owner is not None:
                if owner not in passed[-1:]:
                    passed.append(owner)
                    labels.append(describe(owner))
            elif label := self._label(op, repeated=op.origin.node == node):
                labels.append(label)
            errors = self._errors(op)
            if not errors:  # an operator that reads the targets, say, and no error
                read = ", ".join(v.name for v in op.operands if v.name not in self.state)
                return Way(tuple(labels), tuple(passed), read, None)
            value, node = errors[0], op.origin.node

    def _is_sum(self, value: Value) -> bool:
        op = self.made[value]
        return op.origin.node != LOSS and len(self._errors(op)) > 1

    def _errors(self, op: Op) -> list[Value]:
        return [value for value in op.operands if self._is_error(value)]

    def _is_error(self, value: Value) -> bool:
        op = self.made.get(value)
        error = op is not None and op.origin.phase == Phase.ERROR and value.type.shape != ()
        return error and value not in self._constant

    def _owner(self, op: Op) -> Owner | None:
        """Whose matrix an op reads, or whose operator it is: one without matrices, or made of the weight."""
        name = next((self._read[v] for v in op.operands if v in self._read), "")
        owner, route = self.owner.get(name), self.routes.get(op)
        if route is None or isinstance(owner, Route | Subspace):
            return owner
        return route if owner is not None or not route.tensors else None

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

    def _label(self, op: Op, *, repeated: bool) -> str:
        """What an op without state does to an error; a layer of several ops is named once."""
        node = self.program.by_name.get(op.origin.node)
        if op.kind == "reshape" or node is None:
            return ""
        if not node.weighted:
            return "" if repeated else f"{kind_of('fac.layers', node.layer).name}'"
        factors = [
            self.made[v]["value"] for v in op.operands if v in self.made and self.made[v].kind == "constant"
        ]
        return f"x {factors[0]}" if op.kind == "mul" and factors else op.kind


def layer_of(start: str) -> str:
    """The layer, subspace or `loss` whose error a way begins with."""
    return LOSS if start == LOSS_ERROR else start.removesuffix(".error")
