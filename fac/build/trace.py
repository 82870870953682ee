"""The forward pass as ops, and the state that it reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

from fac.build.contract import made, moved
from fac.plugins import misuse
from fac.program.feeds import inputs, targets
from fac.program.kinds import Made, Mode
from fac.program.lower import kind_of
from fac.program.products import contracted, leading, readers
from fac.program.program import LOSS, TARGETS, Node, Objective, Program
from fac.program.tensors import Tensor
from fac.step.builder import Builder
from fac.step.contraction import Contraction
from fac.step.ir import Op, Phase, Value
from fac.step.labelled import Labelled
from fac.step.random import Stream
from fac.step.types import SCALAR, DType, N, Type, flat

NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, eq=False, slots=True)
class Judged:
    """What a loss reads of an output and of a target, and which of it counts: see `LossKind.forward`."""

    objective: Objective
    output: Value
    y: Value
    kept: Value | None

    @property
    def read(self) -> tuple[Value, ...]:
        """The arguments of the loss."""
        return (self.output, self.y) if self.kept is None else (self.output, self.y, self.kept)


class Trace:
    """One function under construction: its inputs as they are asked for, and the outputs of the nodes."""

    def __init__(self, program: Program, *, training: bool, given: Mapping[str, str] = NOTHING) -> None:
        """Write the forward pass.

        Args:
            program: without findings of the severity `error`.
            training: whether layers behave as in training (dropout).
            given: nodes whose outputs are inputs of the function, and what those are called.
        """
        self.program, self.training = program, training
        self.b = Builder()
        self.state: dict[str, Value] = {}
        self.values: dict[str, Value] = {
            name: self.b.input(feed.name, feed.type) for name, feed in inputs(program).items()
        }
        self.readers: dict[str, tuple[tuple[Op, int], ...]] = {}
        """For each weighted node which ops of its output read its weight, or a view of it, and as which operand."""
        self.moved: dict[str, Value] = {}
        """What follows in training on the statistics of layers, by their full names."""
        self.targets: dict[str, Value] = {}
        """What losses read beside outputs, by name; none before a loss is asked for."""
        self._parts: dict[str, Value] = {}
        self._surrogates: dict[str, Labelled | Value] = {}
        self._step: Value | None = None
        for node in program.nodes:
            if node.name in given:
                assert node.shape is not None
                self.values[node.name] = self.b.input(given[node.name], Type((N, *node.shape)))
                continue
            with self.b.at(node.name, Phase.FORWARD):
                self.values[node.name] = self._forward(node)
        self.heads = {name: self._head(name) for name in program.heads}
        """What losses read; where others read it too, or feed it errors, a value whose error is theirs alone."""
        self.output = self.values[program.output]

    def _head(self, name: str) -> Value:
        value = self.values[name]
        if name not in self.program.tapped:
            return value
        with self.b.at(LOSS, Phase.FORWARD):
            return self.b.named(self.b.emit("reshape", value, shape=value.type.shape), f"{name}.judged")

    @property
    def step(self) -> Value:
        """INT scalar input: how many steps were made before this one."""
        if self._step is None:
            self._step = self.b.scalar("step", DType.INT)
        return self._step

    def stream(self, name: str) -> Stream:
        """Random numbers of each step under a name."""
        return Stream(self.program.spec.train.seed, name, lambda: self.step)

    def read(self, tensors: Sequence[Tensor]) -> Mapping[str, Value]:
        """State inputs by the last part of their names; each is made once."""
        found: dict[str, Value] = {}
        for tensor in tensors:
            if tensor.name not in self.state:
                self.state[tensor.name] = self.b.input(tensor.name, Type(tensor.shape))
            found[tensor.part] = self.state[tensor.name]
        return found

    def loss(self) -> Value:
        """What is minimised: the loss, or the sum of several, against targets, which become inputs here."""
        with self.b.at(LOSS, Phase.FORWARD):
            total = None
            for judged in self._judged:
                value, scale = self._part(judged), judged.objective.scale
                part = value if scale == 1 else self.b.mul(value, scale)
                total = part if total is None else self.b.add(total, part)
            assert total is not None
            return self.b.named(total, LOSS)

    def asked(self) -> Value:
        """The output [N, *output] that the only loss asks for, by targets that become inputs here."""
        (judged,) = self._judged
        loss = judged.objective.loss
        aim = kind_of("fac.losses", loss).aim(loss)
        with self.b.at(LOSS, Phase.FORWARD):
            return made(aim, aim(self.b, judged.output, judged.y), judged.output.type, LOSS)

    def several(self) -> Mapping[str, Value]:
        """Each loss by its name, `aux:loss`, without its factor in the sum; nothing where there is one only."""
        named = ((self.called(judged.objective), judged) for judged in self._judged)
        return {f"{name}:loss": self._part(judged) for name, judged in named if name}

    def surrogate(self, head: str) -> Labelled | Value:
        """What targets alone say of the error at a head: written out in its shape, or rows that need not be.

        The losses are those that have a `LossKind.surrogate`.
        """
        if head not in self._surrogates:
            with self.b.at(TARGETS, Phase.ERROR):
                self._surrogates[head] = self._stand_in(head)
        return self._surrogates[head]

    def _stand_in(self, head: str) -> Labelled | Value:
        b, like = self.b, self.heads[head].type
        own = [judged for judged in self._judged if judged.objective.of == head]
        found = [self._said(judged) for judged in own]
        if (
            len(found) == 1
            and isinstance(found[0], Labelled)
            and self.program.class_axis(head) == len(like.shape) - 2
        ):
            return found[0]
        total: Value | None = None
        for judged, said in zip(own, found, strict=True):
            rows = said.whole(b) if isinstance(said, Labelled) else said
            part = rows if rows.type == like else self.laid_out(judged.objective, rows)
            total = part if total is None else b.add(total, part)
        assert total is not None
        return b.named(total, f"{head}.targets")

    def _said(self, judged: Judged) -> Labelled | Value:
        kind, objective = kind_of("fac.losses", judged.objective.loss), judged.objective
        output, *rest = judged.read
        # The output has a type and no value: what reads it would depend on the layers above.
        unread = Value(f"{objective.of}.unread", output.type)
        said: Labelled | Value = kind.surrogate(self.b, objective.loss, unread, *rest)
        if not isinstance(said, Labelled):
            made(kind.surrogate, said, output.type, LOSS)
        if objective.scale == 1:
            return said
        if isinstance(said, Labelled):
            return said.times(self.b, objective.scale)
        return self.b.mul(said, objective.scale)

    def _part(self, judged: Judged) -> Value:
        name = self.called(judged.objective)
        if name not in self._parts:
            kind, loss = kind_of("fac.losses", judged.objective.loss), judged.objective.loss
            with self.b.at(LOSS, Phase.FORWARD):
                value = kind.forward(self.b, loss, *judged.read)
                made(kind.forward, value, SCALAR, LOSS)
                self._parts[name] = self.b.named(value, f"{name}.loss" if name else LOSS)
        return self._parts[name]

    def called(self, objective: Objective) -> str:
        """What results call a loss; nothing if it is the only one."""
        return objective.name if len(self.program.losses) > 1 else ""

    def measured(self) -> Mapping[str, Value]:
        """What an evaluation finds of each loss, see `Session.run_evaluate`."""
        found: dict[str, Value] = {}
        for judged in self._judged:
            name, loss = self.called(judged.objective), judged.objective
            value = self._part(judged)
            if not name and loss.scale != 1:
                value = self.loss()
            prefix = f"{name}:" * bool(name)
            weight = self._weight(judged)
            values = {
                "loss": value,
                "hits": self._hits(judged),
                "counted": self._kept(judged),
                "weight": weight,
            }
            for part, measure in values.items():
                if measure is not None:
                    found[prefix + part] = self.b.named(measure, prefix + part)
        return found

    def _weight(self, judged: Judged) -> Value | None:
        """A scalar: what the loss is the mean over, if that is not the number of samples, or of their places."""
        loss = judged.objective.loss
        kind = kind_of("fac.losses", loss)
        with self.b.at(LOSS, Phase.FORWARD):
            weight = kind.weight(self.b, loss, *judged.read)
            return None if weight is None else made(kind.weight, weight, SCALAR, LOSS)

    def _hits(self, judged: Judged) -> Value | None:
        """FLOAT scalar: how many labels that count stand where the output is largest; None for regression."""
        if judged.y.type.dtype != DType.INT:
            return None
        with self.b.at(LOSS, Phase.FORWARD):
            same = self.b.cast(self.b.equal(self.b.argmax(judged.output), judged.y), DType.FLOAT)
            same = same if judged.kept is None else self.b.mul(same, judged.kept)
            return self.b.sum(same, (0,))

    def _kept(self, judged: Judged) -> Value | None:
        """FLOAT scalar: how many labels count; None if all do, and for regression."""
        if judged.y.type.dtype != DType.INT or judged.kept is None:
            return None
        with self.b.at(LOSS, Phase.FORWARD):
            return self.b.sum(judged.kept, (0,))

    @cached_property
    def _judged(self) -> tuple[Judged, ...]:
        """What each loss reads. Targets become inputs here."""
        self.targets = {feed.name: self.b.input(feed.name, feed.type) for feed in targets(self.program)}
        with self.b.at(LOSS, Phase.FORWARD):
            return tuple(self._judge(objective) for objective in self.program.losses)

    def _judge(self, objective: Objective) -> Judged:
        kind, b = kind_of("fac.losses", objective.loss), self.b
        output, y = self.heads[objective.of], self.targets[objective.target]
        if not kind.classes and objective.mask is None:
            return Judged(objective, output, y, None)
        output = self._rows(objective, output)
        y = b.reshape(y, output.type.shape[:1]) if kind.classes else self._rows(objective, y)
        kept = None
        if (label := kind.ignored(objective.loss)) is not None:
            kept = b.sub(1.0, b.cast(b.equal(y, b.constant(label)), DType.FLOAT))
        if objective.mask is not None:
            mask = b.reshape(self.values[objective.mask], output.type.shape[:1])
            kept = mask if kept is None else b.mul(kept, mask)
        return Judged(objective, output, y, kept)

    def _rows(self, objective: Objective, value: Value) -> Value:
        """A value like the output that a loss reads, as one row of channels for each place of each sample."""
        axis = self.program.class_axis(objective.of)
        assert axis is not None
        places = (a for a in range(len(value.type.shape)) if a != axis + 1)
        value = self.b.transpose(value, (*places, axis + 1))
        *shape, channels = value.type.shape
        return self.b.reshape(value, (flat(tuple(shape)), channels))

    def laid_out(self, objective: Objective, rows: Value) -> Value:
        """Rows of channels as the output that a loss reads: what `_rows` undoes."""
        axis, shape = self.program.class_axis(objective.of), self.heads[objective.of].type.shape
        assert axis is not None
        places = [dim for a, dim in enumerate(shape) if a != axis + 1]
        value, last = self.b.reshape(rows, (*places, shape[axis + 1])), len(places)
        return self.b.transpose(value, (*range(axis + 1), last, *range(axis + 1, last)))

    def _forward(self, node: Node) -> Value:
        kind = kind_of("fac.layers", node.layer)
        parameters = self._shown(node)
        training = self.training and not node.still
        mode = Mode(node.name, training, self.program.spec.train.seed, lambda: self.step)
        start = len(self.b.ops)
        inputs = [self.values[name] for name in node.inputs]
        said = kind.forward(self.b, node.layer, inputs, parameters, mode)
        value = said.value if isinstance(said, Made) else said
        assert node.shape is not None
        made(kind.forward, value, Type((N, *node.shape)), node.name, ", the shape of `infer`")
        if training:
            following = moved(kind.forward, said, node.state, node.name)
            names = {tensor.part: tensor.name for tensor in node.state}
            self.moved |= {names[part]: found for part, found in following.items()}
        if value in inputs:
            # A value of its own: a route to this node must not cut the other readers of the node below.
            value = self.b.emit("reshape", value, shape=value.type.shape)
        if node.weight is not None:
            own = leading(self.b.ops[start:], value)
            self.readers[node.name] = readers(own, parameters[node.weight.part])
            if not self.readers[node.name]:
                raise misuse(
                    kind.forward, f"makes its output without the weight `{node.weight.part}`", node.name
                )
        return self.b.named(value, node.name)

    def _shown(self, node: Node) -> Mapping[str, Value]:
        """What a layer reads of state: of what several share, statistics as those below left them.

        To what still learns elsewhere, a layer that is frozen hands no gradient.
        """
        found = dict(self.read(node.state))
        for tensor in node.state:
            if tensor.name in self.moved:
                found[tensor.part] = self.moved[tensor.name]
            elif tensor.trainable and not node.trainable:
                found[tensor.part] = self.b.stop_gradient(found[tensor.part])
        return found

    def contraction(self, name: str) -> Contraction:
        """The product of a weighted node with its weight.

        Raises:
            PluginError: the layer reads its weight in another way than `infer` and the ops allow.
        """
        node = self.program.by_name[name]
        assert node.weight is not None
        found = contracted(self.readers[name], node.weight)
        if isinstance(found, str):
            raise misuse(kind_of("fac.layers", node.layer).forward, found, name)
        return found

    def turns(self, name: str) -> bool:
        """Whether a weighted node multiplies with its weight in another order than that in which it is kept."""
        made = {op.result: op for op in self.b.ops}
        value = self.contraction(name).weight
        while value in made and made[value].kind in ("reshape", "stop_gradient"):
            (value,) = made[value].operands
        return value in made
