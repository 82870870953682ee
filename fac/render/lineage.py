"""Where updates come from: from each parameter back to the errors that it learns from, and to the loss."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import cached_property

from fac.build.updating import Plan, plan
from fac.program.feeds import inputs
from fac.program.lower import kind_of
from fac.program.program import LOSS, TARGETS, Node, Route, Subspace
from fac.program.tensors import Role, Tensor
from fac.render.arrivals import OPENED, Arrivals, Way, layer_of, listed
from fac.render.operators import rule_name
from fac.step.ir import Op, Phase, Value
from fac.step.types import Batch, Dim

MADE = frozenset({Phase.GRADIENT, Phase.LEARN, Phase.ERROR})
"""Phases that make what an update rule is given."""
UPDATING = frozenset({Phase.UPDATE})


@dataclass(frozen=True, slots=True)
class Update:
    """Where one tensor's next value comes from."""

    name: str
    chain: tuple[str, ...]
    """From the update rule back to errors; empty if the tensor does not move."""
    still: str = ""
    """Why it does not move."""
    settings: Mapping[str, object] | None = None
    """Of the update rule that moves it, `rule` and `lr` first; None if there is none."""


class Lineage(Arrivals):
    """What moves each tensor of a step, and on which ways the errors arrive that move it."""

    # -- ways ------------------------------------------------------------------------------------------------

    def error(self, name: str) -> Value | None:
        """The error of what a layer makes; None if the step computes none."""
        return self._error.get(name)

    def ways(self, error: Value, node: str = "") -> list[tuple[Way, tuple[str, ...]]]:
        """The ways on which an error arrives, each with the joins that it passes before its first operator.

        Each goes on to the loss, to a layer that learns, or to one of `sums`: other joins and frozen layers have no
        error of their own to tell. `node` is the layer of whose error they are told.
        """
        if layer_of(self.name_of(error)) in self.sums - {node}:
            return [(Way((), (), self.name_of(error), error), ())]
        found: list[tuple[Way, tuple[str, ...]]] = []
        seen: set[tuple[tuple[int, ...], Value | None]] = set()
        queue: list[tuple[Way, Value, tuple[str, ...]]] = [
            (Way((), (), self.name_of(error), error), error, ())
        ]
        while queue:
            whole, value, joins = queue.pop(0)
            arrival = self.arrival(value)
            if value is not error and len(found) + len(queue) + len(arrival.ways) > OPENED:
                found.append((whole, joins))
                continue
            if not whole.operators:
                joins += tuple(join for join in self._joins(value, own=value is error) if join != node)
            passed = (*whole.operators, *(arrival.common.operators if arrival.common else ()))
            for way in (replace(way, operators=(*passed, *way.operators)) for way in arrival.ways):
                known = tuple(map(id, way.operators)), way.value
                if known in seen:  # a layer may read another one twice
                    continue
                seen.add(known)
                if way.value is None or layer_of(way.start) in self.sums or self._told(way):
                    found.append((way, joins))
                else:
                    queue.append((way, way.value, joins))
        return found

    def _joins(self, error: Value, own: bool) -> tuple[str, ...]:
        """The layer without weights that an error has its name from, if it has.

        A normalisation joins nothing where it only learns from the error, and its own row needs not to say so.
        """
        node = self.program.by_name.get(layer_of(self.name_of(error)))
        if node is None or node.weighted or self.hands_down(error) or (own and node.parametric):
            return ()
        return (node.name,)

    def _told(self, way: Way) -> bool:
        """Whether a way begins with an error that a table of layers tells, or the reading of a subspace."""
        node = self.program.by_name.get(layer_of(way.start))
        # The error at a join may be that of a layer below it, too: then its row tells it, once an operator is passed.
        alike = node is not None and (node.weighted or bool(way.operators))
        return node is None or (alike and way.value is not None and self.learns_from(way.value))

    def learns_from(self, error: Value) -> bool:
        """Whether it is the error that some layer learns from."""
        return error in self._learned_from

    @cached_property
    def _learned_from(self) -> frozenset[Value]:
        return frozenset(
            error for node in self.program.parametric for t in node.tensors for error in self.arriving(t)
        )

    # -- updates ---------------------------------------------------------------------------------------------

    @cached_property
    def updates(self) -> tuple[Update, ...]:
        """One for each weight, bias and feedback matrix, in the order of the spec."""
        return tuple(map(self._update, self.program.arrays))

    @cached_property
    def update(self) -> Mapping[str, Update]:
        """`updates` by name."""
        return {update.name: update for update in self.updates}

    @cached_property
    def errors(self) -> tuple[Update, ...]:
        """The landmarks that `updates` refers to without saying where they come from."""
        tensors = self.program.arrays
        learned = [t for t in tensors if t.role == Role.PARAMETER]
        told = {e for t in learned if not self._shared(t) for e in self.arriving(t)}
        queue = [e for t in learned for e in self.arriving(t)]
        queue += [e for t in tensors for e in self._taught_by(t) if e is not None]
        seen: set[Value] = set()
        while queue:
            value = queue.pop()
            if value not in seen:
                seen.add(value)
                queue += [way.value for way in self.arrival(value).ways if way.value is not None]
        untold = seen - {error for error in told if layer_of(self.name_of(error)) not in self.sums}
        return tuple(Update(self.name_of(v), self.arrival(v).chain) for v in self.made if v in untold)

    def arriving(self, tensor: Tensor, node: str | None = None) -> list[Value]:
        """The errors that a parameter's gradient is made of; none if it has no gradient.

        Those that arrive at one layer, if a `node` is named: others may share the parameter.
        """
        return [self._whole(v) for v in self._taught_with(tensor, node) if self._is_error(v)]

    def teaching(self, node: Node) -> list[Value]:
        """The errors that a layer learns from: of parameters that it shares those that arrive here."""
        at = node.name if node.owner in self.program.sharing else None
        return list(dict.fromkeys(error for tensor in node.state for error in self.arriving(tensor, at)))

    def _taught_with(self, tensor: Tensor, node: str | None = None) -> list[Value]:
        """Errors and inputs that a parameter's gradient is made of, at one layer or at all."""
        if tensor.name not in self._gradients:
            passed: list[Op] = []
            leaves = list(self._leaves(self._given(tensor)[0], {Phase.GRADIENT}, passed))
            read: dict[str, set[Value]] = {}
            for op in passed:
                read.setdefault(op.origin.node, set()).update(op.operands)
            self._gradients[tensor.name] = leaves, read
        leaves, read = self._gradients[tensor.name]
        return leaves if node is None else [value for value in leaves if value in read.get(node, ())]

    @cached_property
    def _gradients(self) -> dict[str, tuple[list[Value], dict[str, set[Value]]]]:
        """For each parameter that was asked for what its gradient is made of, and what of that which layer read."""
        return {}

    def _shared(self, tensor: Tensor) -> tuple[str, ...]:
        """The layers that share an array; none if it belongs to one alone."""
        return tuple(node.name for node in self.program.sharing.get(tensor.owner, ()))

    def _update(self, tensor: Tensor) -> Update:
        if tensor.name not in self.outputs:
            return Update(tensor.name, (), self._still(tensor))
        if tensor.role == Role.STATISTIC:
            return Update(tensor.name, ("forward pass",))
        given, passed = self._given(tensor)
        chain: list[str] = []
        settings = None
        if self.moved(tensor):
            chain.append(self.moves(tensor))
            settings = plan(self.program, tensor).settings(self.program.update.lr)
        if any(op.kind == "clamp" or op.origin.node == "clip" for op in passed):
            chain.append("clip")
        if tensor.role == Role.FEEDBACK:
            chain += (self._learning(tensor), self._made_of(tensor))
            return Update(tensor.name, tuple(chain), settings=settings)
        if shared := self._shared(tensor):
            taught = (self._taught_with(tensor, node) for node in shared)
            terms = [" x ".join(self._first_errors(values)) for values in taught if values]
            return Update(tensor.name, (*chain, f"sum of {listed(terms)}"), settings=settings)
        errors = self.arriving(tensor)
        others = [self._shown(v) for v in self._leaves(given, {Phase.GRADIENT}) if not self._is_error(v)]
        made = " x ".join((*map(self.name_of, errors), *others))
        chain.append(made if others else f"sum of {made}")
        chain += (
            label
            for error in errors
            if layer_of(self.name_of(error)) not in self.sums
            for label in self.arrival(error).chain
        )
        return Update(tensor.name, tuple(chain), settings=settings)

    def _first_errors(self, values: Sequence[Value]) -> list[str]:
        """The names of errors, then those of what they meet."""
        errors = [self.name_of(self._whole(value)) for value in values if self._is_error(value)]
        return [*errors, *(self._shown(value) for value in values if not self._is_error(value))]

    def rule(self, tensor: Tensor) -> str:
        """The name of the rule that moves a tensor, or why none does."""
        if not self.moved(tensor):
            return self._still(tensor)
        return str(kind_of("fac.updates", plan(self.program, tensor).rule).name)

    def moves(self, tensor: Tensor) -> str:
        """The update rule of a tensor, and what sets it apart from the one of the spec: `sgd (lr 0.05)`.

        Another rule is set apart by its rate and by what it does not leave as it is by default. One that multiplies
        square matrices says how large these are: see `_squares`.
        """
        lr = self.program.update.lr
        own, usual = (p.settings(lr) for p in (plan(self.program, tensor), Plan(self.program.update, 1.0)))
        if usual["rule"] != own["rule"]:
            fields = kind_of("fac.updates", plan(self.program, tensor).rule).spec.model_fields
            usual = {name: field.default for name, field in fields.items()}
        apart = [f"{k} {_number(v)}" for k, v in own.items() if k != "rule" and usual.get(k) != v]
        apart += self._squares(tensor)
        return f"{own['rule']} ({shown})" if (shown := ", ".join(apart)) else str(own["rule"])

    def _squares(self, tensor: Tensor) -> list[str]:
        """Of which size: the rows of a batch, or a side of the tensor. Read off the ops that the update makes."""
        found: set[Dim] = set()
        for op in self._given(tensor)[1]:
            first, *rest = op.result.type.shape or (1,)
            if op.kind == "newton_schulz_rows" or (op.kind == "matmul" and rest == [first]):
                found.add(first)
        rows = [dim.times for dim in found if isinstance(dim, Batch)]
        sides = [dim for dim in found if isinstance(dim, int)]
        if rows:
            return [f"rows {min(rows) * self.program.spec.train.batch}"]
        return [f"side {min(sides)}"] if sides else []

    def moved(self, tensor: Tensor) -> bool:
        """Whether an update rule moves a tensor in each step."""
        value = self.outputs.get(tensor.name)
        return value is not None and self.made[value].origin.phase == Phase.UPDATE

    def _still(self, tensor: Tensor) -> str:
        if tensor.role == Role.FEEDBACK:
            return "fixed" if tensor.name in self.state else "not used"
        return "no error arrives" if tensor.trainable else "frozen"

    def _given(self, tensor: Tensor) -> tuple[list[Value], list[Op]]:
        """What the update rule is given, and the ops from there to the tensor's next value."""
        if tensor.name not in self._known:
            passed: list[Op] = []
            out = None if tensor.role == Role.STATISTIC else self.outputs.get(tensor.name)
            leaves = [] if out is None else list(self._leaves([out], UPDATING, passed))
            self._known[tensor.name] = [v for v in leaves if v in self.made or v in self.fed], passed
        return self._known[tensor.name]

    @cached_property
    def _known(self) -> dict[str, tuple[list[Value], list[Op]]]:
        return {}

    def _leaves(
        self, start: Iterable[Value], inside: Set[Phase], passed: list[Op] | None = None
    ) -> Iterator[Value]:
        """Tensors that the ops of some phases are given, going back from `start`."""
        stack, seen = list(start), set[Value]()
        while stack:
            value = stack.pop()
            if value in seen or not value.type.shape:
                continue
            seen.add(value)
            op = self.made.get(value)
            if op is None or op.origin.phase not in inside:
                yield value
                continue
            if passed is not None:
                passed.append(op)
            stack += reversed(op.operands)

    def _taught_by(self, tensor: Tensor) -> list[Value | None]:
        """The landmarks of the errors that a feedback matrix learns from; None is the loss error."""
        if tensor.role != Role.FEEDBACK:
            return []
        errors = filter(self._is_error, self._leaves(self._given(tensor)[0], {Phase.LEARN, Phase.GRADIENT}))
        return list(dict.fromkeys(map(self._landmark, errors)))

    def _made_of(self, tensor: Tensor) -> str:
        """What a feedback matrix learns from. Of one that several layers share the errors and inputs add up."""
        errors, others = self._sources(tensor)
        if not self._shared(tensor) or max(len(errors), len(others)) < 2:
            return " x ".join((*errors, *others))
        sums = [f"({listed(names)})" if len(names) > 1 else names[0] for names in (errors, others) if names]
        return " x ".join(sums) if len(sums) > 1 else listed(errors or others)

    def _sources(self, tensor: Tensor) -> tuple[list[str], list[str]]:
        leaves = list(self._leaves(self._given(tensor)[0], {Phase.LEARN, Phase.GRADIENT}))
        own = self.owner[tensor.name]
        others = [v for v in leaves if not self._is_error(v) and self.owner.get(v.name) is not own]
        errors = dict.fromkeys(map(self._called, filter(self._is_error, leaves)))
        return list(errors), list(dict.fromkeys(map(self._shown, others)))

    def _called(self, error: Value) -> str:
        """The name of its landmark, or of the loss."""
        landmark = self._landmark(error)
        if landmark is not None:
            return self.name_of(landmark)
        return self.loss_error(error) if self.made[error].origin.node == LOSS else self._way(error).start

    def _landmark(self, value: Value) -> Value | None:
        """The error that a value such as s = P d is read from."""
        if self.made[value].origin.node == LOSS:
            return None
        return value if value in self.landmarks or self._is_sum(value) else self._way(value).value

    def _learning(self, tensor: Tensor) -> str:
        owner = self.owner[tensor.name]
        if isinstance(owner, Subspace):
            return rule_name(owner.basis)
        assert isinstance(owner, Route)
        kind = kind_of("fac.feedback", owner.matrix)
        rule = kind.learning(owner.matrix).get(tensor.part)
        return str(kind.name) if rule is None else rule_name(rule)

    @cached_property
    def fed(self) -> Mapping[Value, str]:
        """What the layers call the inputs of the step that are arrays of a batch."""
        called = {feed.name: name for name, feed in inputs(self.program).items()}
        return {value: called[value.name] for value in self.step.inputs if value.name in called}

    def _shown(self, value: Value) -> str:
        value = self._whole(value)
        made = self.made.get(value)
        if value in self.routing.trace.targets.values() or (made and made.origin.node == TARGETS):
            return TARGETS
        return self.fed.get(value, value.name)


def _number(value: object) -> str:
    if isinstance(value, Mapping):  # a rule for other parameters, which have a line of their own
        return str(value["rule"])
    return f"{value:.12g}" if isinstance(value, float) else str(value).lower()
